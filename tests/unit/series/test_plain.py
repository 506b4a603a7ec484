"""Diffs of diff -u, quilt and Subversion in git's format, and the text that git apply would silently skip."""

import pytest

from harness.series import scan_changes
from harness.series.plain import git_diff, text_after_hunks

HUNK = "@@ -1 +1 @@\n-a\n+b\n"
GIT = f"diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n{HUNK}"


def test_diff_of_git_is_unchanged():
    rename = "diff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to n\n"
    text = f"{rename}{GIT}{GIT.replace('x.c', 'y.c')}-- \n2.39.5\n"
    assert git_diff(text) == (text, False)


@pytest.mark.parametrize(
    ("old", "new", "converted"),
    [
        ("x.c", "x.c", ("a/x.c b/x.c", "", "a/x.c", "b/x.c")),
        ("a/x.c", "b/x.c", ("a/x.c b/x.c", "", "a/x.c", "b/x.c")),
        ("q.orig/hw/s390x/x.c\t2020-01-01 10:00:00", "q/hw/s390x/x.c\t2020-01-02 10:00:00",
         ("a/hw/s390x/x.c b/hw/s390x/x.c", "", "a/hw/s390x/x.c", "b/hw/s390x/x.c")),
        ("a/x.c\r", "b/x.c\r", ("a/x.c b/x.c", "", "a/x.c", "b/x.c")),
        ('"a/t\\303\\274.c"', '"b/t\\303\\274.c"',
         ('"a/t\\303\\274.c" "b/t\\303\\274.c"', "", '"a/t\\303\\274.c"', '"b/t\\303\\274.c"')),
        ("/dev/null", '"b/t\\303\\274.c"', ('"a/t\\303\\274.c" "b/t\\303\\274.c"', "new file mode 100644",
         "/dev/null", '"b/t\\303\\274.c"')),
        ('"a/t\\303\\274.c"', "/dev/null", ('"a/t\\303\\274.c" "b/t\\303\\274.c"', "deleted file mode 100644",
         '"a/t\\303\\274.c"', "/dev/null")),
        ("/dev/null", "b/x.c", ("a/x.c b/x.c", "new file mode 100644", "/dev/null", "b/x.c")),
        ("a/x.c\t1970-01-01 00:00:00.000000000 +0000", "b/x.c\t2020-01-01 10:00:00",
         ("a/x.c b/x.c", "new file mode 100644", "/dev/null", "b/x.c")),
        ("a/x.c\tThu Jan  1 01:00:00 1970", "b/x.c",
         ("a/x.c b/x.c", "new file mode 100644", "/dev/null", "b/x.c")),
        ("a/x.c", "/dev/null", ("a/x.c b/x.c", "deleted file mode 100644", "a/x.c", "/dev/null")),
    ],
)  # fmt: skip
def test_header_is_made_from_the_names(old, new, converted):
    names, mode, before, after = converted
    expected = f"diff --git {names}\n{mode + chr(10) if mode else ''}--- {before}\n+++ {after}\n{HUNK}"
    assert git_diff(f"--- {old}\n+++ {new}\n{HUNK}") == (expected, True)
    assert len(scan_changes(expected)) == 1


@pytest.mark.parametrize("rule", ["=" * 20, "=" * 67])
def test_lines_of_other_programs_are_removed(rule):
    plain = f"--- x.c\n+++ x.c\n{HUNK}"
    text = f"Index: x.c\n{rule}\ndiff -u x.c x.c\n{plain}Index: y.c\n{rule}\n{plain.replace('x.c', 'y.c')}"
    assert git_diff(text) == (GIT + GIT.replace("x.c", "y.c"), True)
    assert git_diff(f"Index: x.c\n{rule}\n{GIT}") == (GIT, True)
    cvs = f"RCS file: /cvs/x.c,v\nretrieving revision 1.1\ndiff -u -r1.1 x.c\n{plain}"
    assert git_diff(f"Index: x.c\n{rule}\n{cvs}" * 2) == (GIT * 2, True)
    assert git_diff(f"{GIT}Index: not removed\n") == (f"{GIT}Index: not removed\n", False)


def test_file_after_one_of_git_gets_a_header_too():
    assert git_diff(f"{GIT}--- y.c\n+++ y.c\n{HUNK}") == (GIT + GIT.replace("x.c", "y.c"), True)


@pytest.mark.parametrize("mark", ["+", "-", " ", "@", "\\"])
def test_header_of_a_rename_ends_before_other_text(mark):
    rename = f"diff --git a/o b/n\nrename from o\nrename to n\n{mark} text\n"
    assert git_diff(f"{rename}--- x.c\n+++ x.c\n{HUNK}") == (rename + GIT, True)


@pytest.mark.parametrize(
    "text",
    [
        "--- x",
        "text\n+++ b/x\n",
        "+++ b/x",
        "--- x\ntext\n",
        "@@ -1,3 +1,3 @@ f(void)\n a\n-b\n",
        f"{HUNK}text",
    ],
)
def test_text_without_a_pair_of_names_is_unchanged(text):
    assert git_diff(text) == (text, False)


def test_names_at_the_end_of_the_text_get_a_header():
    assert git_diff("--- x\n+++ x") == ("diff --git a/x b/x\n--- a/x\n+++ b/x", True)


def test_lines_of_a_hunk_are_not_taken_for_names():
    hunk = "@@ -1,3 +1,4 @@ f(void)\n a\n--- x\n+++ y\n\n+Index: z\n"
    assert git_diff(f"--- x.c\n+++ x.c\n{hunk}") == (GIT.replace(HUNK, hunk), True)


SIGNED = "-- \n2.39.5\n"


@pytest.mark.parametrize(
    ("text", "stray", "trailing"),
    [
        ("no hunk\nat all\n", "", ""),
        (HUNK, "", ""),
        (HUNK.rstrip("\n"), "", ""),
        (f"{HUNK}rest of b  \n", "", "rest of b  "),
        (f"{HUNK}rest of b  \n{SIGNED}", "rest of b  ", ""),
        (f"{HUNK}rest\n--\n2.39.5\n", "rest", ""),
        (f"{HUNK}rest of X\r\n{SIGNED}", "rest of X", ""),
        (f"one\ntwo\n{HUNK}rest\n", "", "rest"),
        (f"one\n{HUNK}rest\nmore\n", "", "rest"),
        (f"{HUNK}rest\n{HUNK}", "rest", ""),
        (f"{HUNK}rest\n{GIT}", "rest", ""),
        (f"{HUNK}rest\n--- a/y\n+++ b/y\n", "rest", ""),
        (f"{HUNK}rest\n--- a/y\n", "", "rest"),
        (f"{HUNK}{HUNK}rest\n", "", "rest"),
        (f"{HUNK}______\nlist\n{SIGNED}", "", "______"),
        (f"{HUNK}====== \nlist\n{SIGNED}", "", ""),
        (f"{HUNK}____\nlist\n{SIGNED}", "____", ""),
        (f"{HUNK}______\n{GIT}", "______", ""),
        (f"{HUNK}Only in b: x\n{GIT}", "", "Only in b: x"),
        (f"{HUNK}Binary files a and b differ\n{HUNK}rest\n{SIGNED}", "rest", ""),
        (f"{HUNK}+not counted\n", "+not counted", ""),
        (f"{HUNK} not counted\n{SIGNED}", " not counted", ""),
        (f"{HUNK}\nafter an empty line\n", "", ""),
        (f"{HUNK}{SIGNED}", "", ""),
        (f"{HUNK}{SIGNED}______\nlist\n", "", ""),
        (f"{HUNK}\\ No newline at end of file\n", "", ""),
        (f"{HUNK}{GIT}Index: x\n", "", ""),
        (f"{HUNK}base-commit: 123\n", "", ""),
        ("@@ -1 +1,3 @@\n a\n+b\n+c\n", "", ""),
        ("@@ -1,3 +1 @@\n-b\n-c\n a\n", "", ""),
        ("@@ -0,0 +1 @@\n+x\n", "", ""),
        ("@@ -1 +0,0 @@\n-x\n", "", ""),
        ("@@ -1,3 +1,3 @@\n a\n\n b\n", "", ""),
        (f"@@ -1,3 +1,3 @@\n a\nXtra\n b\n{SIGNED}", "Xtra", ""),
    ],
)  # fmt: skip
def test_text_after_a_hunk_is_found(text, stray, trailing):
    assert text_after_hunks(text) == (stray, trailing)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("a/x.c.orig", "b/x.c", "x.c"),
        ("a/x.c.old\t2020-01-01", "b/x.c\t2020-01-02", "x.c"),
        ("q.orig/util/x.c~", "q/util/x.c", "util/x.c"),
        ("a/x.c", "b/x.c.new", "x.c"),
        ("a/y.c", "b/x.c", "x.c"),
        ("a/old.x.c", "b/x.c", "x.c"),
    ],
)
def test_older_file_with_another_name_is_changed_in_place(old, new, path):
    converted, changed = git_diff(f"--- {old}\n+++ {new}\n{HUNK}")
    (change,) = scan_changes(converted)
    assert (change.old, change.new, changed) == (path, path, True)


@pytest.mark.parametrize(
    "date",
    [
        "1970-01-01 00:00:00.0 +0000",
        "1970-01-01 05:30:00 +0530",
        "1969-12-31 19:00:00.000000000 -0500",
        "1969-12-31 20:30:00 -03:30",
        "1970-01-01 00:00:00",
        "Thu Jan  1 00:00:00 1970",
    ],
)
def test_file_with_the_oldest_date_is_absent(date):
    gone, _ = git_diff(f"--- a/x.c\t2020-01-01\n+++ b/x.c\t{date}\n@@ -1 +0,0 @@\n-a\n")
    (change,) = scan_changes(gone)
    assert (change.old, change.new) == ("x.c", "")


@pytest.mark.parametrize("date", ["1970-01-01 01:00:00 +0000", "1969-12-31 19:00:00 -0600"])
def test_file_with_another_date_is_present(date):
    kept, _ = git_diff(f"--- a/x.c\t{date}\n+++ b/x.c\t2020-01-01\n@@ -1 +1 @@\n-a\n+b\n")
    (change,) = scan_changes(kept)
    assert (change.old, change.new) == ("x.c", "x.c")
