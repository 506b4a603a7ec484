"""Findings of QEMU's checkpatch.pl."""

import pytest

from harness.check import RULES, choose_rules
from harness.check import checkpatch as module
from harness.check.checkpatch import FAILED, SCRIPT, check, read_output
from harness.errors import MissingError
from tests.unit.check.support import good, judged

ALL = frozenset(RULES)


@pytest.fixture
def source(tmp_path):
    """A tree whose checkpatch.pl fails each patch with its arguments, its working folder and its input."""
    path = tmp_path / SCRIPT
    path.parent.mkdir()
    path.write_text(
        "use Cwd; my $file = $ARGV[-1]; print STDERR qq(ERROR: noise\\n);\n"
        "print qq(ERROR: @ARGV[0..$#ARGV-1] in ), getcwd(), qq(\\n);\n"
        "open(my $in, '<', $file); print qq(WARNING: $_) for grep(/^Subject/, <$in>); exit 1;\n"
    )
    return tmp_path


def test_script_is_run_on_each_sound_patch(source):
    mails = [good(subject="[PATCH 1/2] util: none", diff=""), good(subject="[PATCH 2/2] util: one")]
    findings = list(check(judged(*mails, source=source), ALL))
    assert [(one.rule, one.patch, one.message) for one in findings] == [
        ("checkpatch-error", 2, f"--patch --no-summary --color=never --root {source} in {source}"),
        ("checkpatch-warning", 2, "Subject: [PATCH 2/2] util: one"),
    ]


def test_script_that_crashes_is_a_note(source):
    (source / SCRIPT).write_text("print qq(ERROR: one\\n); exit 77;\n")
    (finding,) = check(judged(good(), source=source), ALL)
    assert (finding.rule, finding.patch) == ("checkpatch-failed", 1)
    assert "77" in finding.message


def test_script_that_hangs_is_ended_and_the_next_patches_are_checked(source, monkeypatch):
    (source / SCRIPT).write_text(
        "open(my $in, '<', $ARGV[-1]); my $text = join('', <$in>);\n"
        "sleep 60 if $text =~ /#define/; print qq(ERROR: fast\\n); exit 1;\n"
    )
    monkeypatch.setattr(module, "LIMIT_S", 2.0)
    mails = [
        good(subject="[PATCH 1/2] util: slow", line="#define MANY"),
        good(subject="[PATCH 2/2] util: fast"),
    ]
    slow, fast = check(judged(*mails, source=source), ALL)
    assert (slow.rule, slow.patch) == ("checkpatch-failed", 1)
    assert "2 s" in slow.message
    assert (fast.rule, fast.patch, fast.message) == ("checkpatch-error", 2, "fast")


def test_script_without_findings_is_silent(source):
    (source / SCRIPT).write_text("exit 0;\n")
    assert list(check(judged(good(), source=source), ALL)) == []


def test_tree_without_the_script_is_a_note(tmp_path):
    for source in (None, tmp_path):
        assert list(check(judged(good(), source=source), ALL)) == [
            FAILED.finding("the tree has no scripts/checkpatch.pl")
        ]


def test_missing_perl_is_an_error(source, monkeypatch):
    monkeypatch.setenv("PATH", str(source))
    with pytest.raises(MissingError, match="perl") as raised:
        list(check(judged(good(), source=source), ALL))
    assert raised.value.remedy == "run: nox -s doctor"


def test_messages_that_an_active_rule_covers_are_left_out():
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


def test_messages_have_a_severity_and_may_have_a_place():
    lines = [
        "noise",
        "WARNING: one",
        "#3: FILE: a.c:9:",
        "",
        "+second",
        "ERROR: two",
        "#4: ",
        " third",
        "+fourth",
        "",
        "ERROR: three",
        "WARNING: four",
        "#9: FILE: b.c:1:",
        *(f"+{number}" for number in range(10)),
        "WARNING: five",
        "#10: FILE: b.c:2:",
        "x.patch has style problems, please review.  If any of these errors",
        "are false positives report them to the maintainer, see",
    ]
    findings = list(read_output(lines, 7, ALL))
    assert [(one.rule, one.message, one.file, one.line, one.snippet) for one in findings] == [
        ("checkpatch-warning", "one", "a.c", 9, ("+second",)),
        ("checkpatch-error", "two", "", 0, (" third", "+fourth")),
        ("checkpatch-error", "three", "", 0, ()),
        ("checkpatch-warning", "four", "b.c", 1, tuple(f"+{number}" for number in range(8))),
        ("checkpatch-warning", "five", "b.c", 2, ()),
    ]
    assert {one.patch for one in findings} == {7}


TEN = """\
ERROR: Saw unacceptable licenses 'and,foo', valid choices for QEMU are:
GPL-2.0-or-later
MIT
WARNING: added, moved or deleted file(s):

  hw/core/new.c
  docs/new.rst

Does MAINTAINERS need updating?

ERROR: New file 'hw/core/new.c' requires 'SPDX-License-Identifier'
WARNING: Does new file 'docs/new.rst' need 'SPDX-License-Identifier'?
ERROR: New file 'hw/core/new.c' must not have license boilerplate header text
"""
"""Output of the checkpatch.pl of 10.2."""


def test_messages_of_several_lines_are_whole():
    findings = list(read_output(TEN.splitlines(), 1, ()))
    assert [(one.severity, one.message, one.file) for one in findings] == [
        (
            "error",
            "Saw unacceptable licenses 'and,foo', valid choices for QEMU are: GPL-2.0-or-later MIT",
            "",
        ),
        (
            "warning",
            "added, moved or deleted file(s): hw/core/new.c docs/new.rst Does MAINTAINERS need updating?",
            "",
        ),
        ("error", "New file 'hw/core/new.c' requires 'SPDX-License-Identifier'", "hw/core/new.c"),
        ("warning", "Does new file 'docs/new.rst' need 'SPDX-License-Identifier'?", "docs/new.rst"),
        ("error", "New file 'hw/core/new.c' must not have license boilerplate header text", ""),
    ]


def test_question_about_a_file_that_no_other_rule_covers_is_kept():
    covered = [one.message[:20] for one in read_output(TEN.splitlines(), 1, ALL)]
    assert covered == ["Saw unacceptable lic", "Does new file 'docs/"]
