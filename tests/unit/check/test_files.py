"""Rules on new files."""

import pytest

from harness.check.files import REFUSES_BOILERPLATE, check, is_covered, read_patterns
from tests.unit.check.support import MAINTAINERS, SPDX, good, judged, new_diff, new_file

STRICT = {
    "10.0": """ERROR("New file '$expect_spdx_file' requires " .\n"'SPDX-License-Identifier'");""",
    "10.2": """ERROR("New file '" . $name . "' requires 'SPDX-License-Identifier'");\n"""
    f'ERROR("must not have {REFUSES_BOILERPLATE}, only");',
}
"""Lines of the checkpatch.pl of two releases."""
OLD = "$rawline !~ m{// SPDX-License-Identifier: }"
LICENCE = "/* This program is free software; you can redistribute it */"
RENAMED = """\
diff --git a/util/old.c b/util/new.c
similarity index 50%
rename from util/old.c
rename to util/new.c
--- a/util/old.c
+++ b/util/new.c
@@ -1 +1 @@
-int x;
+#!/bin/sh
"""
REMOVED = """\
diff --git a/util/old.c b/util/old.c
deleted file mode 100755
--- a/util/old.c
+++ /dev/null
@@ -1 +0,0 @@
-x
"""
EMPTY = "diff --git a/{0} b/{0}\nnew file mode 100755\nindex 000..e69de29\n"
BINARY = f"{EMPTY}Binary files /dev/null and b/{{0}} differ\n"


def findings(*mails, release="", maintainers=""):
    files = {"c0:scripts/checkpatch.pl": STRICT.get(release, OLD)}
    if maintainers:
        files["c1:MAINTAINERS"] = maintainers
    return list(check(judged(*mails, files=files)))


def spdx(path, *lines, release=""):
    found = findings(new_file(path, *lines), release=release)
    assert {(one.file, one.patch) for one in found} <= {(path, 1)}
    return [(one.rule, one.severity, one.line) for one in found]


def test_new_source_file_needs_an_spdx_identifier():
    assert spdx("util/new.c", "int x;") == [("file-spdx", "warning", 1)]
    assert spdx("util/new.c", LICENCE, "int x;") == [("file-spdx", "note", 1)]
    assert spdx("util/new.c", "", SPDX, "int x;") == []


@pytest.mark.parametrize("release", STRICT)
def test_identifier_is_required_where_checkpatch_requires_it(release):
    assert spdx("util/new.c", "int x;", release=release) == [("file-spdx", "error", 1)]
    assert spdx("tests/new.json", "{}", release=release) == [("file-spdx", "error", 1)]
    assert spdx("util/new.S", "nop", release=release) == [("file-spdx", "warning", 1)]
    assert spdx("util/new.c", "", SPDX, "int x;", release=release) == []


@pytest.mark.parametrize("path", ["docs/new.txt", "docs/new.rst", "util/new.c.txt"])
def test_other_files_need_none(path):
    assert spdx(path, "text") == []


def test_files_without_a_text_need_none():
    assert spdx("util/new.c", "", " ") == []
    assert findings(good(diff=BINARY.format("util/new.c"))) == []
    assert findings(good(diff=EMPTY.format("util/new.c"))) == []


def test_licence_text_in_addition_to_the_identifier_is_a_finding():
    lines = (SPDX, "", LICENCE, "int x;")
    assert spdx("util/new.c", *lines) == [("file-boilerplate", "note", 3)]
    assert spdx("util/new.c", *lines, release="10.0") == [("file-boilerplate", "warning", 3)]
    assert spdx("util/new.c", *lines, release="10.2") == [("file-boilerplate", "error", 3)]
    alone = spdx("util/new.c", LICENCE, "int x;", release="10.2")
    assert alone == [("file-spdx", "error", 1), ("file-boilerplate", "error", 1)]
    (finding,) = findings(new_file("util/new.c", *lines))
    assert "'free software; you can redistribute'" in finding.message


def test_identifier_has_to_be_at_the_beginning():
    filler = ["/* x */"] * 600
    assert spdx("util/new.c", *filler, SPDX) == [("file-spdx", "warning", 1)]


def mode(*lines, path="scripts/new", mode="100644"):
    found = findings(new_file(path, *lines, mode=mode))
    assert {(one.file, one.patch) for one in found} <= {(path, 1)}
    return [(one.severity, one.message) for one in found if one.rule == "file-mode"]


def test_mode_and_first_line_of_a_new_file_agree():
    assert mode("text") == []
    assert mode("#!/bin/sh", mode="100755") == []
    assert mode("text", mode="100755") == [("warning", "the file is executable but not a script")]
    assert mode("#!/usr/bin/python") == [("note", "the file is a script but not executable")]
    assert mode("text", "#!/bin/sh") == [], "only the first line decides"
    assert mode("#!@PYTHON@", path="scripts/new.in") == [], "a template"


def test_mode_of_binary_and_empty_files_is_free():
    assert findings(good(diff=BINARY.format("tests/data"))) == []
    assert findings(good(diff=EMPTY.format("tests/data"))) == []


def test_symbolic_links_and_files_that_are_not_new_are_not_checked():
    assert findings(new_file("util/new.c", "int x;", mode="120000"), maintainers="F: hw/\n") == []
    assert findings(good(diff=RENAMED), maintainers="F: hw/\n") == []
    assert findings(good(diff=REMOVED), maintainers="F: hw/\n") == []
    (finding,) = findings(good(diff=RENAMED + new_diff("util/z.c", "int x;")))
    assert finding.file == "util/z.c", "the next file of the patch is checked"


def test_each_new_file_of_each_patch_is_checked():
    one, two = new_file("util/one.c", "int x;"), new_file("util/two.c", "int x;")
    mails = [
        mail.replace(b"[PATCH]", f"[PATCH {number}/2]".encode()).replace(b"<1@", f"<{number}@".encode())
        for number, mail in enumerate((one, two), 1)
    ]
    found = list(check(judged(*mails)))
    assert [(finding.patch, finding.file) for finding in found] == [(1, "util/one.c"), (2, "util/two.c")]


def test_new_file_has_to_be_in_maintainers():
    (finding,) = findings(new_file("hw/new.txt", "x"), maintainers=MAINTAINERS)
    assert (finding.rule, finding.file, finding.patch) == ("file-maintainers", "hw/new.txt", 1)
    assert finding.message == "no section of MAINTAINERS covers the file"
    assert findings(new_file("util/new.txt", "x"), maintainers=MAINTAINERS) == []
    assert findings(new_file("hw/new.txt", "x")) == [], "a tree without MAINTAINERS"


def test_series_that_does_not_apply_is_not_compared_with_maintainers():
    series = judged(new_file("hw/new.txt", "x"), files={"c0:MAINTAINERS": MAINTAINERS}, tip="c0")
    assert list(check(series)) == []


def test_patterns_of_the_catch_all_section_are_left_out():
    assert read_patterns(MAINTAINERS) == ["util/", "tests/*.c"]
    assert read_patterns("F: a\n\nF: *\n\nF: b\nX: c\n") == ["a", "*", "b"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("util/deep/er.c", "util/"),
        ("util/a.c", "util/a.c"),
        ("util/a.c", "util/*.c"),
        ("util/a.c", "util/a.?"),
        ("docs/a/conf.py", "docs/*/conf.py"),
        ("hw/kvm/x/y.c", "*/kvm/"),
        ("Makefile", "Make*"),
        ("util/[a].c", "util/[a].c"),
    ],
)
def test_pattern_covers_path_as_in_get_maintainer(path, pattern):
    assert is_covered(path, ["none/", pattern])


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("utils/a.c", "util/"),
        ("util/deep/a.c", "util/*.c"),
        ("util/a.c", "*"),
        ("hw/x/kvm/y.c", "*/kvm/"),
        ("util/a.C", "util/*.c"),
        ("README", "util/"),
        ("util", "util/"),
    ],
)
def test_pattern_does_not_cover_other_paths(path, pattern):
    assert not is_covered(path, [pattern])
