from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import ApplyError, OptionError
from harness.layout import Layout, find_layout
from harness.series import PatchFormatError, load_series, scan_changes

HEAD = """\
From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001
From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>
Date: Tue, 1 Feb 2022 10:00:00 +0100
Subject: [PATCH v2 1/2] util: do
 a thing

Why it is done.

Signed-off-by: J
---
 a.c | 2 +-
 1 file changed

"""
DIFF = """\
diff --git a/a.c b/a.c
index 123..456 100644
--- a/a.c
+++ b/a.c
@@ -1,3 +1,3 @@ int f(void)
 one
--- /etc/passwd
+++ ../up
 three
-- \n2.39.5
"""


def write(layout: Layout, name: str = "mine", **files: str) -> Path:
    folder = layout.patches / name
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        suffix = ".toml" if stem == "series" else ".patch"
        (
            folder / f"{stem.lstrip('p').replace('_', '-')}{suffix}"
            if suffix == ".patch"
            else folder / "series.toml"
        ).write_text(text)
    return folder


def test_shipped_series_is_valid_for_its_pin() -> None:
    series = load_series(find_layout(Path(__file__).parents[3]), "async-teardown")
    assert series.fits("7.2")
    assert not series.fits("10.0")
    assert [patch.number for patch in series.patches] == list(range(1, len(series.patches) + 1))


def test_patches_are_read_in_order_with_headers(layout: Layout) -> None:
    write(
        layout,
        p0001_a=HEAD + DIFF,
        p0002_b=HEAD.replace("1/2", "2/2") + DIFF,
        p0000_cover_letter="Hello",
        series='title = "T"\npins = ["7.2"]',
    )
    series = load_series(layout, "mine")
    assert (series.title, series.pins, series.cover) == ("T", ("7.2",), "Hello")
    first = series.patches[0]
    assert (first.file, first.subject) == ("0001-a.patch", "util: do a thing")
    assert first.author == "Jürgen <j@example.org>"
    assert first.message == "Why it is done.\n\nSigned-off-by: J"
    assert first.paths == ("a.c",)
    assert first.changes[0].hunks[0].before == ("one", "-- /etc/passwd", "three")


def test_digest_depends_only_on_the_patches(layout: Layout) -> None:
    folder = write(layout, p0001_a=HEAD + DIFF)
    first = load_series(layout, "mine").digest
    (folder / "0000-cover-letter.patch").write_text("new")
    (folder / "notes.txt").write_text("new")
    assert load_series(layout, "mine").digest == first
    (folder / "0001-a.patch").write_text(HEAD + DIFF + "\n")
    assert load_series(layout, "mine").digest != first


def test_series_can_be_given_as_a_path(layout: Layout, tmp_path: Path) -> None:
    folder = write(layout, p0001_a=HEAD + DIFF)
    shutil.copytree(folder, tmp_path / "elsewhere")
    series = load_series(layout, str(tmp_path / "elsewhere"))
    assert (series.name, series.title) == ("elsewhere", "elsewhere")
    assert series.digest == load_series(layout, "mine").digest


def test_error_of_an_unknown_series_suggests_a_known_one(layout: Layout) -> None:
    write(layout, p0001_a=HEAD + DIFF, series='title = "T"')
    with pytest.raises(OptionError) as error:
        load_series(layout, "mime")
    assert "did you mean mine?" in error.value.remedy


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({}, "no patches"),
        ({"p0001_a": HEAD + DIFF, "series": "title = 3"}, "series.toml"),
        ({"p0001_a": HEAD + DIFF, "series": 'title = "T"\npin = "7.2"'}, "pin"),
        ({"p0001_a": HEAD + DIFF, "p0001_b": HEAD + DIFF}, "same number"),
        ({"p0001_a": HEAD}, "changes no file"),
        ({"p0001_a": DIFF}, "no Subject: header"),
        ({"p0001_a": HEAD + DIFF[: DIFF.index("+++ ../up")]}, "truncated"),
    ],
)
def test_invalid_series_is_refused(layout: Layout, files: dict[str, str], cause: str) -> None:
    write(layout, **files)
    with pytest.raises((OptionError, ApplyError)) as error:
        load_series(layout, "mine")
    assert cause in error.value.cause


@pytest.mark.parametrize(
    "text",
    [
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        "@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/x\n--- a/y\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git x y\n",
        'diff --git "a/\\q" "b/\\q"\n',
    ],
)
def test_ambiguous_diff_is_refused(text: str) -> None:
    with pytest.raises(PatchFormatError):
        scan_changes(text)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("diff --git a/x y b/x y\nold mode 100644\nnew mode 100755\n", "x y", "x y"),
        (
            'diff --git "a/\\056\\056/t\\303\\274" "b/\\056\\056/t\\303\\274"\nnew file mode 100644\n',
            "",
            "../tü",
        ),
        ("diff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to n\n", "o", "n"),
        (
            "diff --git a/o b/o\ndeleted file mode 100644\n--- a/o\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
            "o",
            "",
        ),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+t\n", "", "l"),
    ],
)
def test_file_names_are_read_as_in_git(text: str, old: str, new: str) -> None:
    (change,) = scan_changes(text)
    assert (change.old, change.new) == (old, new)
