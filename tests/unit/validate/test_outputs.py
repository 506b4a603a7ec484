"""Verdicts and output formats: SARIF (checked with the official schema), JUnit, TAP, mail, annotations."""

import json
import re
from email import message_from_string, policy

import jsonschema
import pytest
from junitparser import JUnitXml
from msgspec.structs import replace

from harness.check import RULES, CommitBuild, CompiledFiles, Fit, HeaderUse, StageRow, TestRow, ValidatedPatch
from harness.errors import (
    ApplyError,
    FindingsError,
    InfrastructureError,
    SeriesBuildError,
    SeriesTestError,
    StorageError,
)
from harness.jsonfile import write_json
from harness.validate.outputs import ci_marks, write_outputs
from harness.validate.page import fit_words, page
from harness.validate.reply import reply
from harness.validate.run import read_validate, validate_file, verdict_of
from harness.validate.sarif import sarif
from harness.validate.table import compiled_line, render_validate
from harness.validate.tap import tap
from harness.validate.verdict import check_validate
from tests.fuzz.site import sample_results
from tests.unit.schemas import validate
from tests.unit.screen import rendered

EVIL = "a\x00b \x1b[31m <&> \u2028 'quoted' 100% :: ,\nnext"


def results(**changes):
    """Return results with an entry of each kind; ``changes`` replace fields."""
    patches = tuple(
        ValidatedPatch(
            number=number,
            origin=f"000{number}-x.patch",
            subject=f"util: thing {number}" + (" h\u00fcbsch" if number == 2 else ""),
            author="A U Thor <a@example.org>",
            sha256="0" * 64,
            message_id=f"{number}@example.org",
            commit="c" * 40,
        )
        for number in (1, 2)
    )
    fields = {
        "options": {"fail_on": "warning"},
        "pin": "7.2",
        "isolation": "none",
        "series": replace(sample_results().series, title="things", patches=patches),
        "fits": tuple(Fit(pin=pin, patch=n, kind="clean") for pin in ("7.2", "10.0") for n in (1, 2)),
        "findings": (
            RULES["cover-missing"].finding("none came"),
            RULES["whitespace-trailing"].finding(
                "blanks", patch=1, file="a b/\u00fc.c", line=3, snippet=("x ",)
            ),
            RULES["body-alone"].finding(EVIL, patch=1),
            RULES["dco-missing"].finding("it has none", patch=2),
        ),
        "builds": tuple(
            CommitBuild(patch=n, commit="c" * 40, host="native", outcome="ok", seconds=10.0 * (3 - n))
            for n in range(3)
        ),
        "compiled": None,
        "proofs": (),
        "coverage": (),
        "tests": (
            TestRow(
                patch=0,
                suite="unit",
                name="flaky",
                outcome="failed",
                seconds=1.0,
                reason="always",
                failed_parts=("one", "two"),
            ),
            TestRow(patch=1, suite="unit", name="flaky", outcome="failed", seconds=1.0, reason="always"),
            TestRow(patch=1, suite="unit", name="good", outcome="ok", seconds=1.0),
        ),
        "stages": (StageRow(name="behaviour", outcome="not run", reason="series.toml names no suites"),),
    }
    return sample_results(**(fields | changes))


def test_sarif_is_valid_and_contains_every_finding():
    log = json.loads(sarif(results()))
    validate(log, "(SARIF) Version 2.1.0")
    (run,) = log["runs"]
    assert [one["ruleId"] for one in run["results"]] == [one.rule for one in results().findings]
    for one in run["results"]:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/%C3%BC.c"
    assert place["region"]["startLine"] == 3
    assert run["invocations"][0]["executionSuccessful"]
    broken = json.loads(sarif(results(verdict="infrastructure")))
    assert not broken["runs"][0]["invocations"][0]["executionSuccessful"]
    del log["runs"][0]["tool"]
    with pytest.raises(jsonschema.ValidationError):
        validate(log, "(SARIF) Version 2.1.0")


def test_all_formats_are_written_and_can_be_read(layout):
    run = results()
    write_json(validate_file(layout), run)
    assert read_validate(layout) == replace(run, options={"fail_on": "warning"})
    written = {path.name: path for path in write_outputs(layout, run)}
    document = JUnitXml.fromfile(str(written["validate.junit.xml"]))
    failed = {
        (suite.name, case.name) for suite in document for case in suite if case.result and case.is_failure
    }
    assert ("patch 2: util: thing 2 h\u00fcbsch", "origin") in failed
    assert not any(name == "test flaky" for _, name in failed), "it fails on the base too"
    assert not any("body" in name for _, name in failed)
    rows = json.loads(written["validate.codequality.json"].read_text(encoding="utf-8"))
    assert len({row["fingerprint"] for row in rows}) == len(rows) == 4
    assert rows[3]["location"]["path"] == "0002-x.patch"
    write_json(validate_file(layout), replace(run, schema=99))
    with pytest.raises(StorageError, match="schema 99"):
        read_validate(layout)


def test_tap_plan_matches_the_listed_points():
    lines = tap(results()).splitlines()
    assert lines[0] == "TAP version 13"
    points = [line for line in lines if re.match(r"(not )?ok \d+ - ", line)]
    assert lines[1] == f"1..{len(points)}"
    assert [int(re.findall(r"ok (\d+)", line)[0]) for line in points] == list(range(1, len(points) + 1))
    assert any(line.startswith("not ok") and "patch 2: origin" in line for line in points)
    assert any("# SKIP series.toml names no suites" in line for line in points)
    assert lines[-1].startswith(("ok", "not ok", "  ..."))
    assert "Bail out!" in tap(results(verdict="infrastructure"))


def test_reply_is_a_mail_with_short_lines(layout):
    write_outputs(layout, results())
    text = (layout.results / "validate.txt").read_text(encoding="utf-8")
    mail = message_from_string(text, policy=policy.default)
    assert mail["In-Reply-To"] == "<1@example.org>"
    assert str(mail["Subject"]).startswith("Re: [PATCH v2 0/2] things")
    body = text.partition("\n\n")[2]
    assert "> [1/2] util: thing 1" in body
    assert "a b/\u00fc.c:3: blanks [whitespace-trailing]" in body
    assert max(len(line) for line in body.splitlines()) <= 76 + len("Series: sha256 ")
    for one in results().findings:
        if one.severity != "note":
            assert f"[{one.rule}]" in body


def test_annotations_are_printed_only_in_github_actions():
    assert ci_marks(results(), {}) == ()
    marks = ci_marks(results(), {"GITHUB_ACTIONS": "true"})
    assert len(marks) == 4
    assert marks[1].startswith(
        "::warning file=a b/\u00fc.c,line=3,title=whitespace-trailing::patch 1: blanks"
    )
    assert all("\n" not in mark for mark in marks)
    assert "100%25" in marks[2]


def test_table_shows_findings_and_ratio():
    text = rendered(render_validate(results()), width=120)
    for word in (
        "1.20 times",
        "dco-missing",
        "flaky (one, two)",
        "whitespace-trailing",
        "applies to",
        "2 warnings",
    ):
        assert word in text


def test_reply_names_the_patches_as_they_were_sent():
    whole = results()
    first, second = whole.series.patches
    lone = replace(
        whole.series,
        patches=(replace(first, label="03/12"), second),
        total=12,
        title=first.subject,
        cover_sha256="",
    )
    text = reply(results(series=lone))
    assert text.startswith(f"Subject: Re: [PATCH v2 03/12] {first.subject}\n")
    assert f"> [03/12] {first.subject}" in text
    assert "> [2/12] " in text, "a subject without a number"
    covered = replace(lone, cover_sha256="1")
    assert reply(results(series=covered)).startswith("Subject: Re: [PATCH v2 0/12] ")
    named = replace(covered, cover_message_id="cover@e.org")
    assert "\nIn-Reply-To: <cover@e.org>\nReferences: <cover@e.org>\n" in reply(results(series=named))
    own = replace(lone, title="another title")
    assert reply(results(series=own)).startswith("Subject: Re: [PATCH v2 0/12] ")


def test_name_of_the_folder_of_a_clone_is_not_shown():
    fits = tuple(Fit(pin=pin, patch=1, kind="clean") for pin in ("clone-q-12", "10.0"))
    run = results(pin="clone-q-12", fits=fits, options={"source": "q@1"})
    for text in (rendered(render_validate(run), width=200), page(run), str(fit_words(run)), reply(run)):
        assert "clone-q-12" not in text
    assert fit_words(run) == (("base", "clean"), ("10.0", "clean"))
    assert fit_words(results(fits=fits)) == (("clone-q-12", "clean"), ("10.0", "clean"))


def test_table_and_reply_state_how_much_was_compiled():
    files = CompiledFiles(compiled=1, changed=2, targets=("aarch64-softmmu",))
    line = "1 of 2 changed source files compiled (aarch64-softmmu)"
    text = rendered(render_validate(results(compiled=files)), width=120)
    assert line in text
    assert line in reply(results(compiled=files))
    some = HeaderUse(file="a.h", compiled=3, sources=5)
    none = HeaderUse(file="b.h", compiled=0, sources=5)
    partly = CompiledFiles(compiled=1, changed=2, headers=(some, none))
    assert compiled_line(partly) == (
        "1 of 2 changed source files compiled; of the sources that include a header: a.h with 3 of 5"
    )
    assert "source files compiled" not in reply(results())
    assert "source files compiled" not in reply(results(compiled=CompiledFiles(compiled=0, changed=0)))


BAD_BUILD = CommitBuild(patch=1, commit="c", host="native", outcome="failed", seconds=1.0, reason="x")


@pytest.mark.parametrize(
    ("changes", "verdict", "error"),
    [
        ({"findings": ()}, "clean", None),
        ({"findings": (RULES["body-alone"].finding("x"),)}, "clean", None),
        ({}, "findings", FindingsError),
        ({"builds": (BAD_BUILD,)}, "build", SeriesBuildError),
        ({"findings": (RULES["test-fails"].finding("x"),)}, "tests", SeriesTestError),
        ({"findings": (RULES["test-fails"].finding("x", severity="warning"),)}, "findings", FindingsError),
        ({"findings": (RULES["build-fails"].finding("x (tests)"),)}, "build", SeriesBuildError),
        ({"findings": (RULES["behaviour-fails"].finding("x"),)}, "tests", SeriesTestError),
        ({"findings": (RULES["input-missing"].finding("x"),)}, "findings", FindingsError),
        ({"findings": (RULES["input-damaged"].finding("x"),)}, "apply", ApplyError),
        ({"series": replace(sample_results().series, patches=())}, "apply", ApplyError),
        (
            {"stages": (StageRow(name="build", outcome="infrastructure"),)},
            "infrastructure",
            InfrastructureError,
        ),
        ({"complete": False}, "infrastructure", InfrastructureError),
        (
            {"stages": (StageRow(name="build", outcome="infrastructure"),), "builds": (BAD_BUILD,)},
            "infrastructure",
            InfrastructureError,
        ),
    ],
)
def test_each_verdict_has_its_error(changes, verdict, error, layout):
    run = results(**changes)
    run = replace(run, verdict=verdict_of(run, "warning"))
    assert run.verdict == verdict
    if error is None:
        check_validate(layout, run)
        return
    with pytest.raises(error) as caught:
        check_validate(layout, run)
    assert type(caught.value) is error


def test_patch_without_commit_does_not_apply_unless_the_tree_contains_it():
    run = results()
    lost = replace(run.series.patches[1], commit="")
    series = replace(run.series, patches=(run.series.patches[0], lost))
    assert verdict_of(replace(run, series=series), "never") == "apply"
    fits = (run.fits[0], Fit(pin="7.2", patch=2, kind="already"))
    contained = replace(run, series=series, fits=fits, findings=())
    assert verdict_of(contained, "warning") == "clean"


def test_fail_on_sets_the_severity_that_counts():
    run = results(findings=(RULES["body-wrap"].finding("x"),))
    assert [verdict_of(run, level) for level in ("error", "warning", "note", "never")] == [
        "clean",
        "findings",
        "findings",
        "clean",
    ]
