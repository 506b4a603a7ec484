"""Folders: files of any name and count, versions, quilt's series file, maildirs."""

import os

import pytest

from harness.series import read_input
from harness.series.folder import is_maildir, read_folder
from tests.unit.series.mails import DIFF, mbox, patch


def write(folder, files):
    """Write ``files``; a text is the subject of a patch, a name that ends in a slash is a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(patch(data, ident=f"{name}@e.org") if isinstance(data, str) else data)


def titles(folder):
    version = read_folder(folder).thread.newest
    return [mail.subject.title for mail in version.patches] if version else []


@pytest.mark.parametrize(
    "subjects",
    [
        ["[PATCH 1/1] a", "[PATCH 1/1] b", "[PATCH 1/1] c"],
        ["[PATCH 04/19] a", "[PATCH v3 1/2] b", "[PATCH 01/12] c"],
        ["[PATCH 2/2] a", "[PATCH] b", "[PATCH 1/2] c"],
        ["[PATCH 2/3] a", "[PATCH 1/3] b", "[PATCH 1/3] c"],
        ["[PATCH 1/3] a", "[PATCH 2/3] b", "[PATCH 5/3] c"],
        ["[PULL 3/3] a", "[v2,2/3] b", "c"],
        ["a", "b", "c"],
    ],
)
@pytest.mark.parametrize(
    "names", [("0001-x.patch", "0002-y.patch", "0003-z.patch"), ("a.diff", "b.patch", "q.patch")]
)
def test_every_file_counts_in_the_order_of_the_names(tmp_path, subjects, names):
    write(tmp_path, dict(zip(names, subjects, strict=True)))
    assert titles(tmp_path) == ["a", "b", "c"]
    version = read_folder(tmp_path).thread.newest
    assert (version.total, version.missing, version.duplicates, version.out_of_order) == (3, (), (), False)
    assert version.recounted is any("/" in subject for subject in subjects)


def test_consistent_numbers_give_the_order_and_the_gaps(tmp_path):
    write(
        tmp_path, {"a.patch": "[PATCH v2 4/4] a", "b.patch": "[RFC PATCH 2/4] b", "c.patch": "[PATCH 1/4] c"}
    )
    version = read_folder(tmp_path).thread.newest
    assert titles(tmp_path) == ["c", "b", "a"]
    assert (version.number, version.total, version.missing) == (2, 4, (3,))
    assert (version.out_of_order, version.recounted) == (True, False)


def test_file_with_the_number_zero_and_a_diff_is_a_patch(tmp_path):
    write(tmp_path, {"0000-fix.patch": "[PATCH] a", "0001-x.patch": "[PATCH] b"})
    assert titles(tmp_path) == ["a", "b"]
    write(tmp_path, {"0000-fix.patch": "[PATCH 0/2] a", "0001-x.patch": "[PATCH 1/2] b"})
    version = read_folder(tmp_path).thread.newest
    assert titles(tmp_path) == ["a", "b"]
    assert (version.missing, version.cover, version.total, version.recounted) == ((), None, 2, False)


@pytest.mark.parametrize("between", ["", "Interdiff against v1:\n", "Interdiff:\n"])
def test_cover_letter_with_a_diff_is_no_patch_if_all_numbers_are_taken(tmp_path, between):
    cover = patch("[PATCH v2 0/2] cover", message=f"Cover.\n\n{between}{DIFF}", diff="")
    write(
        tmp_path,
        {"0000-x.patch": cover, "0001-x.patch": "[PATCH v2 1/2] a", "0002-y.patch": "[PATCH v2 2/2] b"},
    )
    version = read_folder(tmp_path).thread.newest
    assert titles(tmp_path) == ["a", "b"]
    assert (version.cover.subject.title, bool(version.cover.diff)) == ("cover", not between)
    assert version.notes == (
        () if between else ("the diff in the cover letter, 0000-x.patch, is not applied",)
    )


def test_series_file_gives_the_order_of_all_its_files(tmp_path):
    files = {
        "series": b"# queue\nx/lamp.patch -p1\n\nv2-0001-bell.patch#\n0001-bell.patch\ncount.diff\nall.mbox",
        "x/lamp.patch": "[PATCH 3/7] lamp",
        "v2-0001-bell.patch": "[PATCH 1/1] bell",
        "0001-bell.patch": "[PATCH] other",
        "count.diff": DIFF.encode(),
        "all.mbox": mbox(patch("[PATCH 2/2] two"), patch("[PATCH 1/2] one")),
        "unused.patch": "[PATCH] unused",
    }
    write(tmp_path, files)
    assert titles(tmp_path) == ["lamp", "bell", "other", "", "two", "one"]
    version = read_folder(tmp_path).thread.newest
    assert (version.total, version.missing, version.recounted) == (6, (), True)


def test_series_file_may_leave_out_patches(tmp_path):
    files = {f"{name}.patch": f"[PATCH {at}/3] {name}" for at, name in enumerate("abc", 1)}
    write(tmp_path, {**files, "series": b"a.patch\nc.patch\n"})
    version = read_folder(tmp_path).thread.newest
    assert (titles(tmp_path), version.missing, version.total) == (["a", "c"], (), 2)
    write(tmp_path, {"series": b"c.patch\nb.patch\na.patch\n"})
    assert titles(tmp_path) == ["c", "b", "a"]
    write(tmp_path, {"series": b"a.patch\nb.patch\nc.patch\n"})
    version = read_folder(tmp_path).thread.newest
    assert not version.recounted
    write(tmp_path, {"series": b"# nothing\n"})
    assert titles(tmp_path) == []


def test_new_version_replaces_the_files_with_its_numbers(tmp_path):
    write(tmp_path, {f"000{at}-{name}.patch": f"[PATCH {at}/3] {name}" for at, name in enumerate("abc", 1)})
    write(tmp_path, {"v2-0002-x.patch": "[PATCH v2 2/3] new", "v3-0003-y.patch": "[PATCH v3 3/3] newer"})
    found = read_folder(tmp_path)
    assert titles(tmp_path) == ["a", "new", "newer"]
    assert found.notes == (
        "skipped 2 files of versions before v3",
        "v3 does not contain the numbers 2: v2 is used",
        "v3 does not contain the numbers 1: v1 is used",
    )
    assert [mail.origin for mail in found.mails] == ["0001-a.patch", "v2-0002-x.patch", "v3-0003-y.patch"]


def test_complete_new_version_replaces_the_old_one_with_its_cover_letter(tmp_path):
    for tag, prefix, count in (("PATCH", "", 3), ("PATCH v2", "v2-", 2)):
        cover = patch(f"[{tag} 0/{count}] {tag}", diff="", message="Cover.")
        write(tmp_path, {f"{prefix}0000-cover-letter.patch": cover})
        write(
            tmp_path,
            {f"{prefix}000{at}-x.patch": f"[{tag} {at}/{count}] {tag} {at}" for at in range(1, count + 1)},
        )
    found = read_folder(tmp_path)
    assert titles(tmp_path) == ["PATCH v2 1", "PATCH v2 2"]
    assert found.notes == ("skipped 4 files of versions before v2",)
    version = found.thread.newest
    assert (version.cover and version.cover.subject.title, version.missing) == ("PATCH v2", ())


@pytest.mark.parametrize("new", ["v3-0003-c.patch", "v3-0001-c.patch"])
def test_files_of_a_queue_are_no_versions_unless_their_numbers_collide(tmp_path, new):
    first = 1 if "0003" in new else 2
    old = {f"000{at}-x.patch": f"[PATCH] {at}" for at in range(first, first + 2)}
    write(tmp_path, {**old, new: "[PATCH v3] c"})
    expected = ["1", "2", "c"] if first == 1 else ["c", "2", "3"]
    assert titles(tmp_path) == expected
    assert not any("skipped" in note for note in read_folder(tmp_path).notes)


def test_two_files_with_the_number_of_one_version_both_count(tmp_path):
    write(
        tmp_path,
        {"0001-a.patch": "[PATCH 1/2] a", "0001-b.patch": "[PATCH 1/2] b", "0002-c.patch": "[PATCH 2/2] c"},
    )
    assert titles(tmp_path) == ["a", "b", "c"]


MAILS = {
    at: patch(f"[PATCH {at}/2] {at}", ident=f"{at}@e.org", date=f"Tue, {at + 1} Feb 2022 10:00:00 +0100")
    for at in (1, 2)
}


@pytest.mark.parametrize("places", [("cur", "cur"), ("new", "new"), ("new", "cur"), ("cur", "new")])
@pytest.mark.parametrize("other", ["new", "tmp"])
def test_maildir_is_read_in_the_order_of_the_dates(tmp_path, places, other):
    write(tmp_path, {"cur/": b"", f"{other}/": b"", "tmp/junk": patch("[PATCH] junk"), "cur/.index": b"x"})
    names = ("1672740001.M1P1.host:2,S", "1672740000.M2P1.host:2,")
    write(
        tmp_path,
        {f"{place}/{name}": MAILS[at] for at, (place, name) in enumerate(zip(places, names, strict=True), 1)},
    )
    assert is_maildir(tmp_path)
    version = read_folder(tmp_path).thread.newest
    assert (titles(tmp_path), version.out_of_order, version.missing) == (["1", "2"], False, ())


def test_maildir_has_the_replies_to_its_patches(layout, tmp_path):
    answer = patch("Re: x", diff="", ident="r@e.org", above="2@e.org", message="Acked-by: R <r@e.org>")
    write(tmp_path, {"cur/a": MAILS[1], "cur/b": MAILS[2], "new/c": answer, "cur/d": MAILS[2]})
    found = read_input(layout, str(tmp_path))
    assert (found.kind, len(found.patches)) == ("folder", 2)
    assert [str(trailer) for trailer in found.version.given(2)] == ["Acked-by: R <r@e.org>"]


@pytest.mark.parametrize("folders", [["cur/"], ["new/", "tmp/"], []])
def test_other_folders_are_no_maildirs(tmp_path, folders):
    write(tmp_path, {**dict.fromkeys(folders, b""), "0001-a.patch": "[PATCH] a"})
    assert not is_maildir(tmp_path)
    assert titles(tmp_path) == ["a"]


def test_file_name_that_is_not_utf_8_is_shown_as_text(layout, tmp_path):
    for name in (b"0001-\xff.patch", b"0002-\xfe.patch"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:  # noqa: PTH118, PTH123
            stream.write(mbox(patch(), patch("[PATCH] b: c", ident="2@e.org")))
    found = read_input(layout, str(tmp_path))
    assert [mail.origin for mail in found.mails][:2] == [
        "mail 1 of 0001-\N{REPLACEMENT CHARACTER}.patch",
        "mail 2 of 0001-\N{REPLACEMENT CHARACTER}.patch",
    ]
    assert found.notes[0] == "0001-\N{REPLACEMENT CHARACTER}.patch contains 2 mails"


def test_hidden_files_and_folders_are_skipped(tmp_path):
    write(
        tmp_path, {".a.patch": "[PATCH] a", "b.patch/": b"", "c.patch": "[PATCH] c", "d.patch~": "[PATCH] d"}
    )
    assert titles(tmp_path) == ["c"]


def notes(folder):
    return read_folder(folder).notes


@pytest.mark.parametrize(
    "names", [("0001-a.txt", "v2-0002-b.TXT"), ("0001-a", "0002-b"), ("0001-A.PATCH", "0002-b.Diff")]
)
def test_suffixes_of_git_format_patch_are_known(tmp_path, names):
    write(tmp_path, dict(zip(names, ["[PATCH 1/2] a", "[PATCH 2/2] b"], strict=True)))
    write(tmp_path, {"0003-notes.txt": b"no patch", "0004-empty": b""})
    assert (titles(tmp_path), notes(tmp_path)) == (["a", "b"], ())


def test_skipped_file_with_a_diff_is_noted(tmp_path):
    write(tmp_path, {"a.patch": "[PATCH] a", "b.txt": "[PATCH] b", "c.log": DIFF.encode(), "README": b"x"})
    write(tmp_path, {f"a.patch{suffix}": "[PATCH] a" for suffix in ("~", ".orig", ".rej", ".bak", ".swp")})
    assert titles(tmp_path) == ["a"]
    assert notes(tmp_path) == tuple(
        f"skipped {name}, which contains a diff, because of its name" for name in ("b.txt", "c.log")
    )


def test_numbers_without_leading_zeros_give_the_order(tmp_path):
    write(tmp_path, {"10-c.patch": "c", "2-b.patch": "b", "01-a.patch": "a", "x.patch": "d", "-.patch": "e"})
    assert titles(tmp_path) == ["a", "b", "c", "e", "d"]


def test_file_without_a_diff_is_an_empty_patch(tmp_path):
    write(tmp_path, {"a.patch": "[PATCH] a", "b.patch": b"", "c.patch": patch("c", diff="")})
    version = read_folder(tmp_path).thread.newest
    assert [[fault.kind for fault in one.faults][-1:] for one in version.patches] == [
        [],
        ["empty"],
        ["empty"],
    ]


def test_ignored_parts_of_a_series_file_are_noted(tmp_path):
    files = {f"{name}.patch": name for name in "abcdefgh"}
    write(tmp_path, {**files, "series": b"a.patch -p0 -R\n./b.patch -p1\nb.patch # again\n", "README": b"x"})
    assert titles(tmp_path) == ["a", "b"]
    assert notes(tmp_path) == (
        "the options of a.patch in the file series, -p0 -R, are ignored",
        "the file series names b.patch more than once; it is applied once",
        "the file series does not name c.patch, d.patch, e.patch, f.patch, g.patch and 1 more",
    )
    write(tmp_path, {"series": "\n".join(files).encode("utf-8-sig")})
    assert notes(tmp_path) == ()


def test_new_version_takes_missing_numbers_of_files_but_no_cover_letter(tmp_path):
    cover = patch("[PATCH 0/3] old", diff="", message="Cover.")
    write(tmp_path, {"0000-cover-letter.patch": cover})
    write(tmp_path, {f"000{at}-{name}.patch": f"[PATCH {at}/3] {name}" for at, name in enumerate("abc", 1)})
    write(tmp_path, {"v2-0001-x.patch": "[PATCH v2 1/3] x"})
    found = read_folder(tmp_path)
    version = found.thread.newest
    assert (titles(tmp_path), version.cover) == (["x", "b", "c"], None)
    assert found.notes == (
        "skipped 2 files of versions before v2",
        "v2 does not contain the numbers 2, 3: v1 is used",
    )


def test_mails_of_maildirs_and_series_files_are_kept(tmp_path):
    write(tmp_path / "m", {"cur/a": MAILS[2], "new/b": MAILS[1]})
    assert [mail.data for mail in read_folder(tmp_path / "m").mails] == [MAILS[1], MAILS[2]]
    write(tmp_path / "q", {"series": b"b.patch\na.patch\n", "a.patch": MAILS[1], "b.patch": MAILS[2]})
    assert [mail.data for mail in read_folder(tmp_path / "q").mails] == [MAILS[2], MAILS[1]]
