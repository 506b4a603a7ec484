"""Whole runs on a small release: results, verdicts, and failures that the series did not cause."""

from types import SimpleNamespace

import pytest

from harness.check import RULES
from harness.errors import ApplyError, FetchError, InfrastructureError, OptionError
from harness.progress import Silent
from harness.series import read_input, series_sha256
from harness.tree.fit import fit_patches
from harness.validate import run as module
from harness.validate.run import read_validate, record_validate
from harness.validate.verdict import check_validate
from tests.unit.build.support import make_options
from tests.unit.check.support import RELEASE, append, good, new_file, pair
from tests.unit.check.test_required import series as on_top
from tests.unit.conftest import tiny_source
from tests.unit.series.mails import mbox

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_source(tmp_path_factory.mktemp("release"), dict(RELEASE))


@pytest.fixture
def run(layout, tmp_path, source, monkeypatch):
    monkeypatch.setattr(module, "fetch", lambda *_, **__: source)
    # The tiny release has a configure without switches; whether it is built is up to each test.
    monkeypatch.setattr(module, "why_not_built", lambda _: "")

    def validate(*mails, behaviour=None, **options):
        path = tmp_path / "series.mbox"
        path.write_bytes(mbox(*mails))
        asked = make_options(**({"bisect": "none", "series": str(path)} | options))
        given = (layout, asked, read_input(layout, str(path)), source.pin, Silent())
        return record_validate(*given, command="validate", behaviour=behaviour)

    return validate


def test_good_series_is_clean_and_identified_by_its_digest(run, layout, tmp_path):
    results = run(*pair())
    assert results.verdict == "clean"
    check_validate(layout, results)
    assert read_validate(layout).series == results.series
    found = read_input(layout, str(tmp_path / "series.mbox"))
    assert results.series.sha256 == series_sha256(found.cover, found.patches)
    assert [patch.sha256 for patch in results.series.patches] == [mail.sha256 for mail in found.patches]
    assert all(len(patch.commit) == 40 for patch in results.series.patches)
    assert [stage.outcome for stage in results.stages] == ["ok", "ok", "not run", "not run"]


def test_patches_are_tried_on_further_pins_unless_there_are_none(run):
    here = run(good(), matrix=("none",))
    assert [fit.pin for fit in here.fits] == [here.pin]
    assert [(fit.pin, fit.kind) for fit in run(good(), matrix=("none", "4.2")).fits[1:]] == [
        ("4.2", "unknown")
    ]


def test_only_the_given_patches_are_judged(run):
    above, two, three = pair()
    mails = (above, *(one.replace(b"Signed-off-by:", b"Nobody-has:") for one in (two, three)))
    assert {one.patch for one in run(*mails).findings} == {1, 2}
    results = run(*mails, patches=("2",))
    assert {one.patch for one in results.findings} == {2}
    with pytest.raises(OptionError, match="-Dpatches: series has no '3'"):
        run(*mails, patches=("3",))


def test_series_that_does_not_apply_has_that_verdict(run, layout):
    results = run(append("util/short.c", "int other_line;\n", "int x;"))
    assert results.verdict == "apply"
    assert results.series.patches[0].commit == ""
    with pytest.raises(ApplyError):
        check_validate(layout, results)


def test_network_failure_is_an_infrastructure_error(run, layout, monkeypatch):
    def gone(*_, **__):
        raise FetchError("no network", "connect it")

    monkeypatch.setattr(module, "fetch", gone)
    with pytest.raises(InfrastructureError, match="no network"):
        run(good(signed=""))
    kept = read_validate(layout)
    assert (kept.verdict, kept.complete, kept.findings) == ("infrastructure", False, ())
    assert kept.stages[0].reason == "no network"


def test_base_that_does_not_build_keeps_the_findings(run, layout, monkeypatch):
    def broken(*_, **__):
        raise InfrastructureError("the base does not build", "fix it")

    monkeypatch.setattr(module, "ensure", lambda *_: ())
    monkeypatch.setattr(module, "run_bisect", broken)
    with pytest.raises(InfrastructureError):
        run(good(signed=""), bisect="each")
    kept = read_validate(layout)
    assert kept.verdict == "infrastructure"
    assert [finding.rule for finding in kept.findings] == ["dco-missing"]


def test_behaviour_is_tested_only_if_the_series_builds(run, monkeypatch):
    built = module.BisectResult(rows=(), tests=(), findings=(), cost=None, isolation="none")
    monkeypatch.setattr(module, "ensure", lambda *_: ())
    monkeypatch.setattr(module, "run_bisect", lambda *_, **__: built)
    monkeypatch.setattr(module.BisectResult, "tip_builds", True)
    results = run(good(), behaviour=lambda: [RULES["behaviour-fails"].finding("x")], bisect="each")
    assert results.verdict == "tests"
    for name, value in {"patches": ("1",), "hosts": ("s390x",)}.items():
        asked = {"bisect": "each", name: value}
        results = run(good(), behaviour=lambda: pytest.fail("it is not asked for"), **asked)
        assert f"-D{name}=" in results.stages[-1].reason
    monkeypatch.setattr(module.BisectResult, "tip_builds", False)
    results = run(good(), behaviour=lambda: pytest.fail("it does not build"), bisect="each")
    assert results.stages[-1].reason == "the series does not build"


@pytest.mark.parametrize(
    ("base", "commit", "options", "trusted"),
    [
        ("pristine", "1", {}, True),
        ("base", "1", {}, True),
        ("pristine", "1", {"source": "clone"}, False),
        ("pristine", "1", {"source": "clone", "trust_base": True}, True),
        ("series", "2", {"source": "clone", "trust_base": True}, True),
        ("series", "2", {"source": "clone"}, False),
        ("series", "2", {}, False),
        ("series", "3", {"source": "clone", "trust_base": True}, False),
    ],
)
def test_base_that_a_mail_names_is_never_trusted(base, commit, options, trusted):
    run = SimpleNamespace(base=base, options=make_options(**options), found=SimpleNamespace(range_base="2"))
    assert module._trusts_base(run, commit) is trusted


def test_other_base_commit_is_a_finding(run, source):
    body = f"Needed.\n\nbase-commit: {'1' * 40}"
    assert [one.rule for one in run(good(body=body)).findings] == ["input-base"]


def test_series_is_judged_on_the_series_that_it_requires(run):
    mails = on_top("base", "int one;")
    mails += on_top("top", "int top;", before="int short_one;\nint one;\n", requires="<base-1@e.org>")
    results = run(*mails)
    assert (results.verdict, results.base, results.findings) == ("clean", "series", ())
    asked = run(*mails, base="pristine")
    assert (asked.verdict, asked.base) == ("apply", "pristine")


def test_unknown_rule_is_an_option_error(run):
    with pytest.raises(OptionError, match="unknown rule 'nonesuch'"):
        run(good(), rules_off=("nonesuch",))


@pytest.fixture
def built(monkeypatch):
    """Builds in which each of two patches has a warning and fails a test."""
    findings = [
        RULES[rule].finding("odd", patch=patch)
        for rule in ("build-warning", "test-fails")
        for patch in (1, 2)
    ]
    result = module.BisectResult(rows=(), tests=(), findings=tuple(findings), cost=None, isolation="none")
    monkeypatch.setattr(module, "ensure", lambda *_: ())
    monkeypatch.setattr(module, "run_bisect", lambda *_, **__: result)


@pytest.mark.usefixtures("built")
def test_disabled_rules_report_nothing_in_any_stage_and_are_recorded(run):
    mails = [mail.replace(b"Signed-off-by:", b"Nobody-has:") for mail in pair()]
    everything = run(*mails, bisect="each")
    assert {one.rule for one in everything.findings} == {"dco-missing", "build-warning", "test-fails"}
    assert everything.verdict == "tests"
    assert everything.switched_off == ()
    some = run(*mails, bisect="each", rules_off=("origin", "test-fails"))
    assert {one.rule for one in some.findings} == {"build-warning"}
    assert some.verdict == "findings"
    family = {rule for rule in RULES if rule.startswith("dco-")}
    assert set(some.switched_off) == {"test-fails", *family}, "a family stands for its rules"


@pytest.mark.usefixtures("built")
def test_findings_of_builds_are_those_of_the_selected_patches(run):
    assert {one.patch for one in run(*pair(), bisect="each").findings} == {1, 2}
    assert {one.patch for one in run(*pair(), bisect="each", patches=("2",)).findings} == {2}


@pytest.mark.parametrize(
    ("fail_on", "verdict"), [("error", "clean"), ("warning", "findings"), ("never", "clean")]
)
def test_fail_on_decides_the_verdict_of_the_run(run, fail_on, verdict):
    results = run(good(line="int x; "), fail_on=fail_on)
    assert [one.severity for one in results.findings] == ["warning"]
    assert results.verdict == verdict


def test_trying_patches_does_not_write_to_the_current_folder(run, layout, tmp_path, monkeypatch):
    run(good())
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    tree = layout.trees / "tiny"
    found = read_input(layout, str(tmp_path / "series.mbox"))
    (tmp_path / "series.mbox").write_bytes(mbox(new_file("util/long.c", "int other;")))
    other = read_input(layout, str(tmp_path / "series.mbox"))
    patches = [(mail.diff, mail.changes) for mail in (*found.patches, *other.patches)]
    assert [fit.kind for fit in fit_patches(tree, "pristine", patches)] == ["clean", "not"]
    assert list(here.rglob("*")) == []
