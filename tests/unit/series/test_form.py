import pytest

from harness.series.form import diff_start, remarks_of, split_headers, tag_for, tag_of, with_remarks, with_tag

HEAD = b"From 1 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: [PATCH v2 1/2] util: a\n long one\n\n"
MESSAGE = b"Why.\n\nReviewed-by: R <r@b>\nSigned-off-by: A <a@b>\n"
STAT = b" a.c | 2 +-\n 1 file changed, 1 insertion(+)\n\n"
DIFF = b"diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"
PATCH = HEAD + MESSAGE + b"---\n" + STAT + DIFF


def test_patch_is_split_into_headers_tag_and_diff():
    headers, body = split_headers(PATCH)
    assert headers + b"\n" + body == PATCH
    assert PATCH[diff_start(PATCH) :] == DIFF
    assert tag_of(PATCH) == "PATCH v2 1/2"
    assert split_headers(PATCH.replace(b"\n", b"\r\n"))[1].startswith(b"Why.")
    assert split_headers(b"Subject: x\n") == (b"Subject: x\n", b"")
    assert diff_start(HEAD + MESSAGE) == len(HEAD + MESSAGE)


@pytest.mark.parametrize("stat", [STAT, b"", b" a => b | Bin 0 -> 3 bytes\n\n"])
def test_replacing_remarks_keeps_all_other_bytes(stat):
    plain = HEAD + MESSAGE + b"---\n" + stat + DIFF
    assert remarks_of(plain) == b""
    noted = with_remarks(plain, b"v2: renamed | better\n  more\n")
    assert remarks_of(noted) == b"v2: renamed | better\n  more"
    assert noted.count(b"diff --git") == 1
    assert with_remarks(noted, b"other").replace(b"other\n\n", b"") == plain
    assert with_remarks(noted, b"") == plain


def test_remarks_are_stripped_of_empty_lines_only():
    noted = with_remarks(PATCH, b"\n\n  indented\nends in X\n\n")
    assert noted == HEAD + MESSAGE + b"---\n  indented\nends in X\n\n" + STAT + DIFF
    assert remarks_of(noted.replace(b"---\n", b"---\n\n")) == b"  indented\nends in X"


def test_diffstat_with_crlf_is_no_remark():
    assert remarks_of(PATCH.replace(b"\n", b"\r\n")) == b""
    assert remarks_of((HEAD + b"---\nnote\n" + STAT + DIFF).replace(b"\n", b"\r\n")) == b"note"


@pytest.mark.parametrize("diff", [DIFF, DIFF.replace(b"-a\n", b"---\n"), b""])
def test_remarks_add_a_missing_separator(diff):
    """A removed line ``--`` looks like the separator, but is part of the diff."""
    bare = HEAD + MESSAGE + diff
    assert remarks_of(bare) == b""
    assert with_remarks(bare, b"") == bare
    noted = with_remarks(bare, b"new")
    assert noted == HEAD + MESSAGE + b"---\nnew\n\n" + diff
    assert remarks_of(noted) == b"new"


@pytest.mark.parametrize(("text", "start"), [(b"", b""), (b"no line end", b"no line end\n")])
def test_separator_begins_a_line(text, start):
    assert with_remarks(text, b"new") == start + b"---\nnew\n\n"


def test_separator_of_an_empty_message_is_found():
    assert with_remarks(b"---\nold\n\n" + DIFF, b"new") == b"---\nnew\n\n" + DIFF


def test_replacing_the_tag_keeps_all_other_bytes():
    changed = with_tag(PATCH, "PATCH v3 2/9")
    assert changed == PATCH.replace(b"[PATCH v2 1/2]", b"[PATCH v3 2/9]")
    assert with_tag(HEAD.replace(b"[PATCH v2 1/2] ", b""), "PATCH").count(b"Subject: [PATCH] util: a\n") == 1
    folded = HEAD.replace(b"[PATCH v2 1/2] util", b"[PATCH v2\n 1/2] util")
    assert tag_of(folded) == "PATCH v2 1/2"
    assert tag_of(with_tag(folded, "X")) == "X"
    assert with_tag(b"Subject: Subject: and Subject:\n", "X") == b"Subject: [X] Subject: and Subject:\n"
    assert with_tag(MESSAGE, "X") == MESSAGE


def test_tag_may_be_missing_or_not_utf_8():
    assert tag_of(MESSAGE) == tag_of(b"Subject: none\n") == ""
    assert tag_of(b"Subject: [PATCH \xff] x\n") == "PATCH \N{REPLACEMENT CHARACTER}"


def test_tags_have_the_format_of_git():
    assert tag_for("PATCH", 1, 1, 1) == "PATCH"
    assert tag_for("PATCH", 1, 1, 2) == "PATCH 1/2"
    assert tag_for("RFC PATCH", 2, 3, 12) == "RFC PATCH v2 03/12"
    assert tag_for("PATCH", 1, 0, 1, numbered=True) == "PATCH 0/1"
