"""Findings of QEMU's checkpatch.pl."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.check import RULES, choose_rules
from harness.check import checkpatch as module
from harness.check.checkpatch import FAILED, SCRIPT, check, read_output
from harness.errors import MissingError, TimeoutExpiredError
from tests.unit.check.support import good, judged

ALL = frozenset(RULES)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree whose checkpatch.pl fails each patch with its arguments, its working folder and its input."""
    path = tmp_path / SCRIPT
    path.parent.mkdir()
    path.write_text(
        "use Cwd; my $file = $ARGV[-1]; print STDERR qq(ERROR: noise\\n);\n"
        "print qq(ERROR: @ARGV[0..$#ARGV-1] in ), getcwd(), qq(\\n);\n"
        "open(my $in, '<', $file); print qq(WARNING: $_) for grep(/^Subject/, <$in>); exit 1;\n"
    )
    return tmp_path


def test_script_is_run_on_each_sound_patch(source: Path) -> None:
    mails = [
        good(subject="[PATCH 1/2] util: none", diff=""),
        good(subject="[PATCH 2/2] util: one"),
    ]
    findings = list(check(judged(*mails, source=source), ALL))
    assert [(one.rule, one.patch, one.message) for one in findings] == [
        ("checkpatch-error", 2, f"--patch --no-summary --color=never --root {source} in {source}"),
        ("checkpatch-warning", 2, "Subject: [PATCH 2/2] util: one"),
    ]


def test_script_that_crashes_is_a_note(source: Path) -> None:
    (source / SCRIPT).write_text("print qq(ERROR: one\\n); exit 77;\n")
    (finding,) = check(judged(good(), source=source), ALL)
    assert (finding.rule, finding.patch) == ("checkpatch-failed", 1)
    assert "77" in finding.message


def test_script_that_hangs_is_ended(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / SCRIPT).write_text("sleep 60;\n")
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    with pytest.raises(TimeoutExpiredError):
        list(check(judged(good(), source=source), ALL))


def test_script_without_findings_is_silent(source: Path) -> None:
    (source / SCRIPT).write_text("exit 0;\n")
    assert list(check(judged(good(), source=source), ALL)) == []


def test_tree_without_the_script_is_a_note(tmp_path: Path) -> None:
    for source in (None, tmp_path):
        assert list(check(judged(good(), source=source), ALL)) == [
            FAILED.finding("the tree has no scripts/checkpatch.pl")
        ]


def test_missing_perl_is_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(source))
    with pytest.raises(MissingError, match="perl") as raised:
        list(check(judged(good(), source=source), ALL))
    assert raised.value.remedy == "run: nox -s doctor"


def test_messages_that_an_active_rule_covers_are_left_out() -> None:
    lines = [
        "ERROR: Missing Signed-off-by: line(s)",
        "",
        "ERROR: trailing whitespace",
        "#3: FILE: a.c:9:",
        "+x ",
    ]
    assert list(read_output(lines, 1, ALL)) == []
    kept = list(read_output(lines, 1, choose_rules(["whitespace-trailing"])))
    assert [(one.rule, one.file, one.line, one.snippet) for one in kept] == [
        ("checkpatch-error", "a.c", 9, ("+x ",))
    ]
    lines.insert(0, "ERROR: braces")
    assert [one.message for one in read_output(lines, 1, ALL)] == ["braces"]


def test_messages_have_a_severity_and_may_have_a_place() -> None:
    lines = [
        "noise",
        "WARNING: one",
        "#3: FILE: a.c:9:",
        "",
        "+second",
        "ERROR: two",
        "#4: ",
        "+third",
        "+fourth",
        "ERROR: three",
        "no place",
        "+fifth",
        "WARNING: four",
        "#9: FILE: b.c:1:",
        "",
        "",
        "+sixth",
        "WARNING: five",
        "#10: FILE: b.c:2:",
    ]
    findings = list(read_output(lines, 7, ALL))
    assert [(one.rule, one.message, one.file, one.line, one.snippet) for one in findings] == [
        ("checkpatch-warning", "one", "a.c", 9, ("+second",)),
        ("checkpatch-error", "two", "", 0, ("+third",)),
        ("checkpatch-error", "three", "", 0, ()),
        ("checkpatch-warning", "four", "b.c", 1, ()),
        ("checkpatch-warning", "five", "b.c", 2, ()),
    ]
    assert {one.patch for one in findings} == {7}
