from __future__ import annotations

import pytest

from harness.series.form import (
    diff_start,
    remarks_of,
    split_headers,
    tag_for,
    tag_of,
    with_remarks,
    with_tag,
)

HEAD = b"From 1 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: [PATCH v2 1/2] util: a\n long one\n\n"
MESSAGE = b"Why.\n\nReviewed-by: R <r@b>\nSigned-off-by: A <a@b>\n"
STAT = b" a.c | 2 +-\n 1 file changed, 1 insertion(+)\n\n"
DIFF = b"diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"
PATCH = HEAD + MESSAGE + b"---\n" + STAT + DIFF


def test_patch_is_split_into_headers_tag_and_diff() -> None:
    headers, body = split_headers(PATCH)
    assert headers + b"\n" + body == PATCH
    assert PATCH[diff_start(PATCH) :] == DIFF
    assert tag_of(PATCH) == "PATCH v2 1/2"
    assert split_headers(PATCH.replace(b"\n", b"\r\n"))[1].startswith(b"Why.")


@pytest.mark.parametrize("stat", [STAT, b"", b" a => b | Bin 0 -> 3 bytes\n\n"])
def test_replacing_remarks_keeps_all_other_bytes(stat: bytes) -> None:
    plain = HEAD + MESSAGE + b"---\n" + stat + DIFF
    assert remarks_of(plain) == b""
    noted = with_remarks(plain, b"v2: renamed | better\n  more\n")
    assert remarks_of(noted) == b"v2: renamed | better\n  more"
    assert noted.count(b"diff --git") == 1
    assert with_remarks(noted, b"other").replace(b"other\n\n", b"") == plain
    assert with_remarks(noted, b"") == plain


def test_remarks_add_a_missing_separator() -> None:
    bare = HEAD + MESSAGE + DIFF
    assert remarks_of(bare) == b""
    assert with_remarks(bare, b"") == bare
    assert remarks_of(with_remarks(bare, b"new")) == b"new"


def test_replacing_the_tag_keeps_all_other_bytes() -> None:
    changed = with_tag(PATCH, "PATCH v3 2/9")
    assert changed == PATCH.replace(b"[PATCH v2 1/2]", b"[PATCH v3 2/9]")
    assert with_tag(HEAD.replace(b"[PATCH v2 1/2] ", b""), "PATCH").count(b"Subject: [PATCH] util: a\n") == 1
    folded = HEAD.replace(b"[PATCH v2 1/2] util", b"[PATCH v2\n 1/2] util")
    assert tag_of(folded) == "PATCH v2 1/2"
    assert tag_of(with_tag(folded, "X")) == "X"


def test_tags_have_the_format_of_git() -> None:
    assert tag_for("PATCH", 1, 1, 1) == "PATCH"
    assert tag_for("RFC PATCH", 2, 3, 12) == "RFC PATCH v2 03/12"
    assert tag_for("PATCH", 1, 0, 1, numbered=True) == "PATCH 0/1"
