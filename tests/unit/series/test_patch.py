"""Patch files in git's format: headers, names, modes and hunks, and what is refused."""

import pytest

from harness.series.patch import FileChange, Hunk, PatchFormatError, read_patch, scan_changes
from tests.unit.series.mails import DIFF, patch

HUNK = "@@ -3,2 +3,3 @@ int f(void)\n one\n-two\n+zwei\n+drei\n"
READ = Hunk(
    header=HUNK.partition("\n")[0], old_start=3, new_start=3, lines=(" one", "-two", "+zwei", "+drei")
)


def test_patch_has_the_fields_of_its_mail():
    data = b"\xef\xbb\xbf" + patch(
        " [RFC PATCH v2 1/2]  util:\n count [all]", message="Why.\n\n--- a b\n\nMore."
    )
    found = read_patch("0001-a.patch", 7, data)
    assert (found.file, found.number, found.data) == ("0001-a.patch", 7, data)
    assert (found.subject, found.author) == ("util: count [all]", "A U Thor <a@example.org>")
    assert found.date == "Tue, 01 Feb 2022 10:00:00 +0100"
    assert found.paths == ("util/a.c",)
    assert read_patch("x", 1, patch(message="Why.\n\nMore.")).message == "Why.\n\nMore."
    assert read_patch("x", 1, patch(message="Why.\n--- \nnote")).message == "Why."


def test_files_of_a_patch_are_listed_once():
    rename = "diff --git a/x b/y\nrename from x\nrename to y\n"
    assert read_patch("x", 1, patch(diff=f"{rename}{rename}{DIFF}")).paths == ("x", "y", "util/a.c")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patch().replace(b"From:", b"X:"), "From:"),
        (patch().replace(b"Subject:", b"X:"), "Subject:"),
        (
            patch(headers="Content-Type: multipart/mixed; boundary=b\n", message="--b\n\nx\n--b--"),
            "multipart",
        ),
        (patch(diff=""), "no file"),
        (patch(sender="<"), "headers"),  # IndexError in the parser of Python 3.11
    ],
)
def test_mail_that_is_no_patch_is_refused(data, reason):
    with pytest.raises(PatchFormatError, match=reason):
        read_patch("x", 1, data)


def test_bytes_that_are_not_utf_8_are_kept():
    data = patch().replace(b"int three", b"int \xff")
    assert " int \udcff;" in read_patch("x", 1, data).changes[0].hunks[0].lines


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_change_of_a_file_is_read_whole(newline):
    text = (
        "prose\ndiff --git a/util/a.c b/util/a.c\nold mode 100644\nnew mode 100755\nindex 1234567..89abcde\n"
        "--- a/util/a.c\n+++ b/util/a.c\n"
    ).replace("\n", newline)
    assert scan_changes(text + HUNK + "-- \n2.39\n") == (
        FileChange(
            old="util/a.c",
            new="util/a.c",
            old_mode="100644",
            new_mode="100755",
            old_blob="1234567",
            hunks=(READ,),
        ),
    )


def test_index_line_gives_blob_and_mode():
    (change,) = scan_changes(f"diff --git a/x b/x\nindex 12..34 100755\n--- a/x\n+++ b/x\n{HUNK}{HUNK}")
    assert change == FileChange(
        old="x", new="x", old_mode="100755", new_mode="100755", old_blob="12", hunks=(READ, READ)
    )


@pytest.mark.parametrize(
    ("header", "change"),
    [
        (
            "a/x b/x\nnew file mode 100755\nindex 0000000..e69de29\n",
            FileChange(old="", new="x", old_mode="", new_mode="100755", old_blob="0000000"),
        ),
        (
            "a/x b/x\ndeleted file mode 120000\nindex e69de29..0000000\n",
            FileChange(old="x", new="", old_mode="120000", new_mode="", old_blob="e69de29"),
        ),
        ("a/x b/y\ncopy from x\ncopy to y\n", FileChange(old="x", new="y")),
        ("a/a b b/c d\nrename from a b\nrename to c d\n", FileChange(old="a b", new="c d")),
        ("a/x b b/x b\nold mode 100644\nnew mode 100755\n",
         FileChange(old="x b", new="x b", old_mode="100644", new_mode="100755")),
        ("a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n\n",
         FileChange(old="x", new="x", old_mode="100644", new_mode="100644", old_blob="1", binary=True)),
        ("a/x b/x\nBinary files a/x and b/x differ\n",
         FileChange(old="x", new="x", binary=True, lacks_content=True)),
        ('"a/\\t\\"\\\\\\303\\274" "b/\\t\\"\\\\\\303\\274"\n',
         FileChange(old='\t"\\\u00fc', new='\t"\\\u00fc')),
        ('a/x "b/\\303\\274"\nrename from x\nrename to "\\303\\274"\n', FileChange(old="x", new="\u00fc")),
        ('a/x y "b/\\303\\274 z"\nold mode 1\nnew mode 2\n',
         FileChange(old="x y", new="\u00fc z", old_mode="1", new_mode="2")),
        ("a/a b b/c d\ncopy from a b\ncopy to c d\n", FileChange(old="a b", new="c d")),
        ("a/x y z b/x y z\nold mode 1\nnew mode 2\n",
         FileChange(old="x y z", new="x y z", old_mode="1", new_mode="2")),
        ('"a/\udcff\\t" b/x\n', FileChange(old="\udcff\t", new="x")),
        ('"a/\\a\\b\\n\\v\\f\\r" b/x\n', FileChange(old="\a\b\n\v\f\r", new="x")),
        ('"a/\\377" b/x\n', FileChange(old="\udcff", new="x")),
    ],
)  # fmt: skip
def test_header_identifies_the_file(header, change):
    assert scan_changes(f"diff --git {header}") == (change,)


def test_name_above_a_hunk_may_contain_spaces():
    (change,) = scan_changes(f"diff --git a/x y b/x y\n--- a/x y\t2020-01-01\n+++ b/x y\t\n{HUNK}")
    assert change.paths == ("x y",)
    name = r"x\303\274 y"
    (change,) = scan_changes(f'diff --git "a/{name}" "b/{name}"\n--- "a/{name}"\t\n+++ "b/{name}"\t\n{HUNK}')
    assert change.paths == ("x\u00fc y",)


@pytest.mark.parametrize(
    ("names", "old", "new"),
    [
        ("--- a/x\t2020-01-01\n+++ b/x\t2020-01-02\n", "x", "x"),
        ('--- "a/x"\n+++ b/x\n', "x", "x"),
        ("--- /dev/null\n+++ b/x\n", "", "x"),
        ("--- a/x\n+++ /dev/null\n", "x", ""),
    ],
)
def test_names_above_the_hunks_are_read(names, old, new):
    (change,) = scan_changes(f"diff --git a/x b/x\n{names}{HUNK}")
    assert (change.old, change.new, change.path) == (old, new, "x")
    assert change.paths == ("x",)


@pytest.mark.parametrize(
    ("hunk", "old_start", "new_start", "lines"),
    [
        ("@@ -1 +2 @@\n-a\n+b\n", 1, 2, ("-a", "+b")),
        ("@@ -0,0 +1 @@\n+b\n\\ No newline at end of file\n", 0, 1, ("+b",)),
        ("@@ -1 +0,0 @@\n-a\n", 1, 0, ("-a",)),
        ("@@ -1,3 +1,3 @@\n \n\n-a\r\n+b\n", 1, 1, (" ", " ", "-a\r", "+b")),
        ("@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n+b\n c\n", 1, 1, ("-a", "+b", " c")),
        ("@@ -1,2 +1,1 @@\n--- x\n a", 1, 1, ("--- x", " a")),
        ("@@ -1,3 +1,3 @@\r\n a\r\n\r\n-b\r\n+c\r\n", 1, 1, (" a\r", " \r", "-b\r", "+c\r")),
    ],
)
def test_lines_of_a_hunk_are_counted(hunk, old_start, new_start, lines):
    (change,) = scan_changes(f"diff --git a/x b/x\n--- a/x\n+++ b/x\n{hunk}")
    (found,) = change.hunks
    assert (found.old_start, found.new_start, found.lines) == (old_start, new_start, lines)
    assert found.header == hunk.splitlines()[0]
    assert found.before == tuple(line[1:] for line in lines if line[0] in " -")
    assert found.added == tuple(line[1:] for line in lines if line[0] == "+")


GIT = "diff --git a/x b/x\n--- a/x\n+++ b/x\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{GIT}@@ -1,2 +1,2 @@ f\n a", "@@ -1,2 +1,2 @@ f"),
        (f"{GIT}@@ -1,2 +1,2 @@ f\n a\nwrapped rest\n", "wrapped rest"),
        (f"{GIT}@@ -1,2 +1,1 @@ f\n a\n+b\n", "@@ -1,2 +1,1 @@ f"),
        (f"{GIT}@@ -1,1 +1,2 @@ f\n a\n-b\n", "@@ -1,1 +1,2 @@ f"),
        ("@@ -1 +1 @@\n-a\n+b\n", "@@ -1 +1 @@"),
        ("GIT binary patch\n", "GIT binary patch"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "--- a/x"),
        (f"{GIT}@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n", "--- a/y"),
        ("diff --git a/x b/x\nGIT binary patch\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n", "--- a/y"),
        ("diff --git a/x b/x\nindex 1..2\nindex 3..4\n", "index"),
        ("diff --git a/x b/x\n--- a/y\n+++ b/x\n", "---|y"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/y\n", "+++|y"),
        ("diff --git a/a b c/d e f\n", "a/a b c/d e f"),
        ("diff --git x b/x\n", "'x'"),
        ("diff --git /x b/x\n", "'/x'"),
        ('diff --git "a/\\8" b/x\n', '"a/'),
        ('diff --git a/x b/y\nrename from "x\\"\nrename to y\n', '"x'),
        (f"{GIT}@@ -1,2 +1,2 @@ f\n a\nXtra\n", "Xtra"),
        ('diff --git "a/x b/x\n', '"a/x'),
        ("diff --git a/x b/x\nnew file mode 1\ndeleted file mode 1\n", "a/x b/x"),
    ],
)
def test_damaged_diff_is_refused_with_the_place(text, named):
    with pytest.raises(PatchFormatError) as error:
        scan_changes(text)
    assert all(word in str(error.value) for word in named.split("|"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "--- a/x",
        "--- a/x\ntext",
        "--- a/x\n+++ b/x",
        "--- a/x\n+++ b/x\n@@ 1",
        "+++ b/x\n",
        "-- \n2.39\n",
        f"{GIT}@@ text",
    ],
)
def test_other_text_is_skipped(text):
    assert [change.hunks for change in scan_changes(text)] in ([], [()])
