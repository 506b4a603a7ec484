import hashlib
import shutil
from pathlib import Path

import pytest

from harness.errors import ApplyError, OptionError
from harness.layout import find_layout
from harness.series import (
    PatchFormatError,
    find_folder,
    load_series,
    patch_files,
    scan_changes,
    series_of_files,
)
from harness.series import series as series_module
from harness.series.series import series_digest

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


def write(layout, name="mine", **files):
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


def test_shipped_series_is_valid_for_its_pin():
    series = load_series(find_layout(Path(__file__).parents[3]), "async-teardown")
    assert series.fits("7.2")
    assert not series.fits("10.0")
    assert [patch.number for patch in series.patches] == list(range(1, len(series.patches) + 1))


def test_patches_are_read_in_order_with_headers(layout):
    write(
        layout,
        p0001_a=HEAD + DIFF,
        p0002_b=HEAD.replace("1/2", "2/2") + DIFF,
        p0000_cover_letter="Hello",
        series='title = "T"\npins = ["7.2"]',
    )
    series = load_series(layout, "mine")
    assert (series.title, series.pins, series.cover) == ("T", ("7.2",), "Hello")
    assert series.folder == (layout.patches / "mine").resolve()
    assert (series.metadata.title, series.metadata.pins) == ("T", ("7.2",))
    first = series.patches[0]
    assert (first.file, first.subject) == ("0001-a.patch", "util: do a thing")
    assert first.author == "Jürgen <j@example.org>"
    assert first.message == "Why it is done.\n\nSigned-off-by: J"
    assert first.paths == ("a.c",)
    assert first.changes[0].hunks[0].before == ("one", "-- /etc/passwd", "three")


def test_digest_depends_only_on_the_patches(layout):
    folder = write(layout, p0001_a=HEAD + DIFF)
    first = load_series(layout, "mine").digest
    (folder / "0000-cover-letter.patch").write_text("new")
    (folder / "notes.txt").write_text("new")
    assert load_series(layout, "mine").digest == first
    (folder / "0001-a.patch").write_text(HEAD + DIFF + "\n")
    assert load_series(layout, "mine").digest != first


def test_digest_covers_names_lengths_and_bytes():
    """Results record it, so it must not change."""
    files = [("0001-\udcff.patch", b"one"), ("0002-b.patch", b"")]
    expected = hashlib.sha256(b"0001-\xff.patch\x003\x00one" + b"0002-b.patch\x000\x00").hexdigest()
    assert series_digest(files) == expected


def test_series_can_be_given_as_a_path(layout, tmp_path, monkeypatch):
    folder = write(layout, p0001_a=HEAD + DIFF)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    series = load_series(layout, str(elsewhere))
    assert (series.name, series.title, series.cover) == ("elsewhere", "elsewhere", "")
    assert series.digest == load_series(layout, "mine").digest
    (elsewhere / "below").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for place, name in ((elsewhere, "."), (elsewhere / "below", ".."), (tmp_path, "./elsewhere")):
        monkeypatch.chdir(place)
        assert find_folder(layout, name) == elsewhere
    assert find_folder(layout, "~/elsewhere") == elsewhere


def test_series_of_files_equals_that_of_a_folder(layout):
    folder = write(layout, p0001_a=HEAD + DIFF, p0002_b=HEAD + DIFF)
    files = [(path.name, path.read_bytes()) for path in patch_files(folder)]
    loaded, made = load_series(layout, "mine"), series_of_files("v2", folder, files)
    assert (made.patches, made.digest) == (loaded.patches, loaded.digest)
    assert (made.name, made.title, made.folder, made.pins, made.cover) == ("v2", "v2", folder, (), "")
    with pytest.raises(ApplyError, match=r"^v2: 0001-bad\.patch"):
        series_of_files("v2", folder, [("0001-bad.patch", b"")])


def test_behaviour_tests_of_a_series_are_the_programs_below_tests(layout):
    write(layout)
    assert series_module.test_files(layout, "mine") == []
    folder = layout.patches / "mine" / "tests"
    folder.mkdir()
    for name in ("b.py", "a.py", "data.txt"):
        (folder / name).touch()
    assert series_module.test_files(layout, "mine") == [folder / "a.py", folder / "b.py"]
    with pytest.raises(OptionError, match="other"):
        series_module.test_files(layout, "other")


def test_cover_letter_need_not_be_utf_8(layout):
    folder = write(layout, p0001_a=HEAD + DIFF)
    (folder / "0000-cover-letter.patch").write_bytes(b"Gr\xfc\xdfe")
    assert load_series(layout, "mine").cover == "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"


def test_error_names_the_file(layout):
    folder = write(layout, p0001_a=HEAD + DIFF, p0001_b=HEAD + DIFF)
    with pytest.raises(ApplyError, match=r"^mine: 0001-a\.patch .*0001-b\.patch"):
        load_series(layout, "mine")
    (folder / "0001-b.patch").write_text(HEAD)
    (folder / "0001-a.patch").unlink()
    with pytest.raises(ApplyError, match=r"^mine: 0001-b\.patch"):
        load_series(layout, "mine")
    (folder / "0001-b.patch").unlink()
    (folder / "0001-b.patch").mkdir()
    with pytest.raises(OptionError, match=r"0001-b\.patch"):
        load_series(layout, "mine")


def test_error_of_an_unknown_series_suggests_a_known_one(layout):
    write(layout, p0001_a=HEAD + DIFF, series='title = "T"')
    with pytest.raises(OptionError) as error:
        load_series(layout, "mime")
    assert "did you mean mine?" in error.value.remedy
    write(layout, "other", series='title = "T"')
    with pytest.raises(OptionError, match="nonesuch") as error:
        load_series(layout, "nonesuch")
    assert error.value.remedy.endswith(": mine other")
    assert "did you mean" not in error.value.remedy


def test_error_of_an_unknown_path_suggests_one_in_that_folder(layout, tmp_path):
    (tmp_path / "v1-series.mbox").touch()
    for name, remedy in (
        ("v1-serie.mbox", f"did you mean {tmp_path / 'v1-series.mbox'}?"),
        ("other", "check its spelling"),
        ("v1-series.mbox", "check its spelling"),  # a file, which is no folder of a series
    ):
        with pytest.raises(OptionError, match=r"^-Dseries: no such file or folder: ") as error:
            find_folder(layout, str(tmp_path / name))
        assert error.value.remedy == remedy


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
def test_invalid_series_is_refused(layout, files, cause):
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
def test_ambiguous_diff_is_refused(text):
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
def test_file_names_are_read_as_in_git(text, old, new):
    (change,) = scan_changes(text)
    assert (change.old, change.new) == (old, new)
