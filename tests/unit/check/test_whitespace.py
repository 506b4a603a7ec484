"""Rules on whitespace in added lines."""

from dataclasses import replace

import pytest

from harness.check.whitespace import check
from tests.unit.check.support import append, good, judged, new_diff, new_file

BINARY = (
    "diff --git a/a b/a\nnew file mode 100644\nindex 000..e69de29\nBinary files /dev/null and b/a differ\n"
)
REMOVED = "diff --git a/a b/a\ndeleted file mode 100644\n--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
RENAMED = """\
diff --git a/old.c b/new.c
similarity index 50%
rename from old.c
rename to new.c
--- a/old.c
+++ b/new.c
@@ -1 +1 @@
-x
+y
"""


def lines(*added, path="util/new.c", mode="100644"):
    """Findings in the lines of a new file."""
    return list(check(judged(new_file(path, *added, mode=mode), files={f"c1:{path}": "x\n"})))


@pytest.mark.parametrize("line", ["int x; ", "int x;\t", " ", "int x; \r"])
def test_trailing_whitespace_is_a_finding(line):
    (finding, *others) = lines("int a;", line)
    assert (finding.rule, finding.message) == ("whitespace-trailing", "trailing whitespace")
    assert (finding.patch, finding.file, finding.line) == (1, "util/new.c", 2)
    assert finding.snippet == (line,)
    assert {one.rule for one in others} <= {"whitespace-cr"}


def test_other_characters_and_symbolic_links_are_not_checked():
    assert lines("#define X", "\f") == []
    assert lines("target ", mode="120000") == []


@pytest.mark.parametrize("path", ["a.patch", "a.diff", "a.svg", "a.md"])
def test_files_in_which_whitespace_has_a_meaning_are_not_checked(path):
    assert lines("text ", " \ttext", path=path) == []
    assert [one.rule for one in lines("text ", path=f"{path}.c")] == ["whitespace-trailing"]


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", ">>>>>>> 0123abc (hw: one)", ">>>>>>> topic\r"])
def test_marker_of_a_conflict_is_a_finding(line):
    finding = lines("int a;", line)[0]
    assert (finding.rule, finding.severity, finding.line) == ("whitespace-conflict", "error", 2)
    assert finding.snippet == (line.rstrip(),)


@pytest.mark.parametrize("line", ["=======", " <<<<<<< HEAD", "<<<<<<<", ">>>>>>>> x", ">>>>>>>  x"])
def test_line_that_resembles_a_marker_of_a_conflict_is_none(line):
    assert [one for one in lines(line) if one.rule == "whitespace-conflict"] == []


def test_space_before_a_tab_in_the_indentation_is_a_finding():
    (finding,) = lines("int a;", "  \tint x;")
    assert (finding.rule, finding.message) == (
        "whitespace-space-tab",
        "space before a tab in the indentation",
    )
    assert (finding.patch, finding.file, finding.line) == (1, "util/new.c", 2)
    assert finding.snippet == ("  \tint x;",)
    assert lines("\t  int x;", "int \tx;") == []


def test_cr_lf_is_a_finding_unless_the_file_has_it():
    (finding,) = lines("int a;", "int x;\r")
    assert (finding.rule, finding.message) == ("whitespace-cr", "the line ends in CR LF")
    assert (finding.patch, finding.file, finding.line) == (1, "util/new.c", 2)
    for old in ("one\r\ntwo\r\n", "one\r\ntwo\n"):
        series = judged(append("util/a.c", old, "int x;\r"), files={"c1:util/a.c": "x\n"})
        assert list(check(series)) == []


def test_removed_lines_with_cr_lf_are_old_lines():
    diff = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\r\n+y\r\n"
    assert list(check(judged(good(diff=diff), files={"c0:a": "x\r\n", "c1:a": "y\r\n"}))) == []


def ends(before, after, diff=""):
    """Findings at the end of util/a.c, which a patch changes from ``before`` to ``after``."""
    files = {"c1:util/a.c": after} | ({} if before is None else {"c0:util/a.c": before})
    mail = new_file("util/a.c", "x") if before is None else append("util/a.c", "x\n", "y")
    found = list(check(judged(mail, files=files)))
    assert {(one.rule, one.patch, one.file) for one in found} <= {("whitespace-end", 1, "util/a.c")}
    return [(one.message, one.line) for one in found]


BLANK = "blank line at the end of the file"
NO_END = "no line end at the end of the file"


@pytest.mark.parametrize("before", ["x\n", None])
def test_new_blank_line_at_the_end_is_a_finding(before):
    assert ends(before, "x\ny\n") == []
    assert ends(before, "x\ny\n\n") == [(BLANK, 3)]


@pytest.mark.parametrize("before", ["x\n", None])
def test_removed_line_end_is_a_finding(before):
    assert ends(before, "x\ny") == [(NO_END, 2)]
    assert ends(before, "x") == [(NO_END, 2)]


def test_end_of_a_file_that_was_so_before_is_no_finding():
    assert ends("x\n\n", "y\n\n") == []
    assert ends("x", "y") == []


@pytest.mark.parametrize("before", ["x\n", None])
def test_empty_file_has_no_finding(before):
    assert ends(before, "") == []


def test_renamed_file_is_compared_with_the_old_one():
    files = {"c0:old.c": "x", "c1:new.c": "y", "c0:new.c": "x\n"}
    assert list(check(judged(good(diff=RENAMED), files=files))) == []


def test_ends_are_checked_only_of_text_files_that_exist():
    files = {"c1:a": "x", "c1:": "x", "c1:util/new.c": "x"}
    assert list(check(judged(good(diff=BINARY), files=files))) == []
    assert list(check(judged(good(diff=REMOVED), files=files))) == []
    assert list(check(judged(new_file("util/new.c", "x", mode="120000"), files=files))) == []
    mode = "diff --git a/a b/a\nold mode 100644\nnew mode 100755\n"
    assert list(check(judged(good(diff=mode), files=files))) == []


def test_files_after_one_that_is_not_checked_are_checked():
    mail = good(diff=BINARY + new_diff("util/a.c", "x "))
    findings = list(check(judged(mail, files={"c1:util/a.c": "x"})))
    assert [(one.rule, one.file) for one in findings] == [
        ("whitespace-trailing", "util/a.c"),
        ("whitespace-end", "util/a.c"),
    ]
    mail = good(diff=new_diff("a.md", "x ") + new_diff("util/a.c", "x "))
    assert [one.file for one in check(judged(mail))] == ["util/a.c"]


def test_patch_without_a_commit_has_no_end():
    series = judged(append("util/a.c", "x\n", "y"), files={":util/a.c": "x"})
    series = replace(series, patches=(replace(series.patches[0], commit=""),))
    assert list(check(series)) == []
