"""Series from folders, mailboxes, git ranges and standard input: mails, their order, names."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import OptionError, TreeError
from harness.series import read_input, series_of, series_sha256
from harness.series.input import range_series, required_input
from harness.series.mail import read_mail
from harness.series.metadata import SeriesFile
from harness.series.ranges import read_range
from harness.series.series import series_digest
from tests.unit.repositories import git, make_repository, write_files
from tests.unit.series.mails import DIFF, mbox, patch

COVER = patch("[PATCH 0/2] count", ident="0@example.org", diff="", message="Cover.")
ONE = patch("[PATCH 1/2] util: one", ident="1@example.org")
TWO = patch("[PATCH 2/2] util: two", ident="2@example.org")


@pytest.fixture
def folder(layout):
    """The folder of the series ``mine``, empty."""
    folder = layout.patches / "mine"
    folder.mkdir()
    return folder


def write(folder, **mails):
    """Write ``p0001_a=…`` as ``0001-a.patch`` and ``a=…`` as ``a.patch``."""
    for name, data in mails.items():
        stem = name.removeprefix("p") if name[1:2].isdigit() else name
        (folder / f"{stem.replace('_', '-')}.patch").write_bytes(data)


def read_version(layout):
    return read_input(layout, "mine").version


def titles(found):
    return [mail.subject.title for mail in found.patches]


def test_digest_covers_numbers_and_bytes():
    cover, one, two = (read_mail(data, "x") for data in (COVER, ONE, TWO))
    assert series_sha256(cover, [one, two]) == series_digest([("0", COVER), ("1", ONE), ("2", TWO)])
    assert series_sha256(None, [one]) == series_digest([("1", ONE)])


def test_input_of_a_folder_has_its_metadata(layout, folder):
    write(folder, p0001_a=ONE, p0000_cover_letter=COVER, p0002_b=TWO)
    (folder / "series.toml").write_text('title = "Faster"\npins = ["7.2"]\n', encoding="utf-8")
    found = read_input(layout, "mine")
    assert (found.kind, found.source, found.name, found.is_ours) == ("folder", "mine", "mine", True)
    assert (found.metadata.title, found.metadata.pins, found.notes) == ("Faster", ("7.2",), ())
    assert found.cover.data == COVER
    assert [mail.data for mail in found.mails] == [COVER, ONE, TWO]


def test_input_of_a_mailbox_has_the_name_of_its_file(layout, tmp_path, monkeypatch):
    (tmp_path / "2022-02 list.mbox").write_bytes(mbox(ONE, TWO))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = read_input(layout, "~/2022-02 list.mbox")
    assert (found.kind, found.source, found.name) == ("mailbox", "~/2022-02 list.mbox", "2022-02-list")
    assert (found.is_ours, found.metadata.title) == (False, "")
    assert [mail.origin for mail in found.mails] == [f"mail {n} of 2022-02 list.mbox" for n in (1, 2)]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("t.mbox.gz", "t"),
        ("t.mbx", "t"),
        ("t.eml", "t"),
        ("t.patch", "t"),
        ("t.diff", "t"),
        ("v2 (new)_s390x+1.0", "v2-new-_s390x+1.0"),
        ("._+-x-.", "x"),
        ("X-QEMU-X.patch", "X-QEMU-X"),
        ("\u00fc\u00fc", "series"),
        ("x" * 59 + "yz", "x" * 59 + "y"),
    ],
)
def test_name_is_fit_for_a_folder(layout, tmp_path, name, safe):
    (tmp_path / name).write_bytes(ONE)
    assert read_input(layout, str(tmp_path / name)).name == safe


def test_standard_input_is_read(layout, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mbox(ONE, TWO))))
    found = read_input(layout, "-")
    assert (found.kind, found.name, len(found.patches)) == ("stdin", "stdin", 2)
    assert found.mails[0].origin == "mail 1 of standard input"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x1f\x8bbad")))
    with pytest.raises(OptionError, match="standard input"):
        read_input(layout, "-")


def test_closed_standard_input_and_a_terminal_are_refused(layout, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(ONE))
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stream in (None, terminal):
        monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(OptionError, match="standard input"):
            read_input(layout, "-")


def test_cover_letter_alone_is_a_series_without_patches(layout, folder):
    write(folder, p0000_cover_letter=COVER)
    found = read_input(layout, "mine")
    assert (found.cover is not None, found.patches, found.version.missing) == (True, (), (1, 2))
    assert series_of(found) is None


def test_folder_without_a_patch_is_refused_by_name(layout, folder):
    (folder / "notes.txt").write_bytes(ONE)
    (folder / "0001-x.patch").mkdir()
    with pytest.raises(OptionError, match=r"mine.* no patch"):
        read_input(layout, "mine")


def test_series_for_git_has_every_field_of_its_mails(layout, folder):
    damaged, last = TWO.replace(b"+int zwei", b"int zwei"), patch("[PATCH 3/3] util: three")
    write(folder, p0000_cover_letter=COVER + b"\xff", p0001_a=ONE, p0002_b=damaged, p0003_c=last)
    found = read_input(layout, "mine")
    made = series_of(found)
    first, third = made.patches
    assert (first.file, first.number, first.subject) == ("0001-a.patch", 1, "util: one")
    assert first.author == "A U Thor <a@example.org>"
    assert first.date == "Tue, 1 Feb 2022 10:00:00 +0100"
    assert first.message == "Because it counts.\n\nSigned-off-by: A U Thor <a@example.org>"
    assert (first.paths, first.data) == (("util/a.c",), ONE)
    assert (third.file, third.number, third.data) == ("0003-c.patch", 3, last)
    assert (made.name, made.folder, made.title, made.pins) == ("mine", Path("mine"), "mine", ())
    assert made.cover.endswith("\N{REPLACEMENT CHARACTER}")
    assert made.digest == series_digest([("0001-a.patch", ONE), ("0003-c.patch", last)])


def test_title_is_that_of_the_metadata_or_the_cover_letter_or_the_first_patch(layout, tmp_path, folder):
    write(folder, p0001_a=ONE)
    (folder / "series.toml").write_text('title = "Faster"\npins = ["7.2"]\n', encoding="utf-8")
    (tmp_path / "covered").write_bytes(mbox(COVER, ONE))
    (tmp_path / "bare").write_bytes(mbox(ONE, TWO))
    made = [
        series_of(read_input(layout, source))
        for source in ("mine", str(tmp_path / "covered"), str(tmp_path / "bare"))
    ]
    assert [one.title if one else "" for one in made] == ["Faster", "count", "util: one"]
    assert [one.pins if one else () for one in made] == [("7.2",), (), ()]
    assert made[2].cover == ""


@pytest.mark.parametrize(
    ("subject", "file"),
    [
        ("[PATCH] util/a: count (again)", "0001-util-a-count-again.patch"),
        ("[PATCH] ...", "0001-patch.patch"),
        ("[PATCH] A.c: " + "x" * 60, f"0001-A.c-{'x' * 48}.patch"),
        ("[PATCH] " + "y" * 51 + " z", f"0001-{'y' * 51}.patch"),
        ("[PATCH] (X11) fix X", "0001-X11-fix-X.patch"),
    ],
)
def test_patch_of_a_mailbox_is_named_after_its_title(layout, tmp_path, subject, file):
    (tmp_path / "x.mbox").write_bytes(patch(subject))
    made = series_of(read_input(layout, str(tmp_path / "x.mbox")))
    assert made.patches[0].file == file


def test_only_the_newest_version_of_a_folder_is_read(layout, folder):
    write(folder, p0001_a=ONE, p0002_b=TWO, notes=patch("[PATCH] extra", ident="9@example.org"))
    for version in (2, 10):
        (folder / f"v{version}-0001-c.patch").write_bytes(patch(f"[PATCH v{version}] util: one"))
    found = read_input(layout, "mine")
    assert [mail.origin for mail in found.mails] == ["v10-0001-c.patch", "notes.patch"]
    (note,) = found.notes
    assert "3 files" in note
    assert "v10" in note


def test_file_with_several_mails_is_noted(layout, folder):
    write(folder, p0001_a=mbox(ONE, TWO))
    found = read_input(layout, "mine")
    assert [mail.data for mail in found.patches] == [ONE, TWO]
    (note,) = found.notes
    assert "0001-a.patch" in note
    assert "2 mails" in note
    (folder / "0001-a.patch").rename(folder / "all.mbox")
    assert read_input(layout, "mine").notes == ()


def test_quilt_series_file_gives_the_order(layout, folder):
    write(folder, a=DIFF.encode(), b=DIFF.encode(), unused=DIFF.encode())
    (folder / "series").write_bytes(b"\n# caf\xe9\n  b.patch -p1 # why\n\t\na.patch# now\n")
    assert [mail.origin for mail in read_input(layout, "mine").patches] == ["b.patch", "a.patch"]


@pytest.mark.parametrize("name", ["../other.patch", "/etc/hostname", "link.patch"])
def test_quilt_series_file_may_not_name_files_outside(layout, folder, name):
    (layout.patches / "other.patch").write_bytes(ONE)
    (folder / "link.patch").symlink_to("../other.patch")
    (folder / "series").write_text(f"{name}\n", encoding="utf-8")
    with pytest.raises(OptionError, match=f"mine/series.*{name}.*outside"):
        read_input(layout, "mine")


@pytest.mark.parametrize("name", ["none.patch", "below", "x" * 300, "nul\0.patch", "loop.patch"])
def test_quilt_series_file_may_not_name_what_is_no_file(layout, folder, name):
    (folder / "below").mkdir()
    (folder / "loop.patch").symlink_to("loop.patch")
    (folder / "series").write_text(f"{name}\n", encoding="utf-8")
    with pytest.raises(OptionError, match=f"mine/series.*{name[:100]}") as error:
        read_input(layout, "mine")
    assert "outside" not in error.value.cause
    assert name[:101] not in error.value.cause or len(name) < 101


def test_folder_is_one_version_whatever_its_tags(layout, folder):
    """git am *.patch applies them all."""
    write(folder, p0001_a=patch("[PATCH v2 1/3] a: b"), p0002_b=patch("[RFC PATCH 2/2] a: c"))
    version = read_version(layout)
    assert (version.number, version.kind, version.rfc, version.total) == (2, "PATCH", False, 2)
    assert [mail.origin for mail in version.patches] == ["0001-a.patch", "0002-b.patch"]
    assert (version.missing, version.recounted) == ((), True)


def test_kind_of_a_folder_is_that_of_its_first_patch(layout, folder):
    write(folder, p0000_cover_letter=COVER, p0001_a=patch("[RFC PATCH v3 1/1] a: b"))
    version = read_version(layout)
    assert (version.number, version.kind, version.rfc, version.total) == (3, "PATCH", True, 1)
    write(folder, p0001_a=patch("[PULL 1/1] a: b"))
    assert read_version(layout).kind == "PULL"
    write(folder, p0001_a=patch("a: b"))
    assert read_version(layout).kind == "PATCH"


def test_counted_patches_of_a_folder_have_the_numbers_of_their_subjects(layout, folder):
    three, one = (patch(f"[PATCH {number}/4] a: {number}") for number in (3, 1))
    write(folder, p0001_a=three, p0002_b=one)
    version = read_version(layout)
    assert [mail.origin for mail in version.patches] == ["0002-b.patch", "0001-a.patch"]
    assert (version.total, version.missing, version.out_of_order) == (4, (2, 4), True)
    assert (version.recounted, version.duplicates) == (False, ())


def test_files_with_the_same_number_in_their_subjects_all_count(layout, folder):
    mails = [patch(f"[PATCH {number}/4] a: {number}") for number in (3, 1, 1)]
    write(folder, p0001_a=mails[0], p0002_b=mails[1], p0003_c=mails[2])
    version = read_version(layout)
    assert [mail.origin for mail in version.patches] == ["0001-a.patch", "0002-b.patch", "0003-c.patch"]
    assert (version.total, version.missing, version.out_of_order) == (3, (), False)
    assert (version.recounted, version.duplicates) == (True, ())


def test_patches_of_a_folder_are_counted_if_one_has_no_number(layout, folder):
    write(folder, p0001_a=patch("[PATCH] a: b"), p0002_b=patch("[PATCH 1/7] a: c"))
    version = read_version(layout)
    assert [mail.origin for mail in version.patches] == ["0001-a.patch", "0002-b.patch"]
    assert (version.total, version.missing, version.duplicates) == (2, (), ())
    assert not version.out_of_order


def test_cover_letter_of_a_folder_is_known_by_its_subject_or_its_name(layout, folder):
    words = patch("About it", diff="", ident="0@example.org")
    write(folder, v2_0000_words=words, v2_0001_a=patch("[PATCH v2] a: b"))
    version = read_version(layout)
    assert (version.cover and version.cover.data, len(version.patches), version.total) == (words, 1, 1)
    write(folder, v2_0000_words=words, v2_0002_cover=COVER)
    assert read_version(layout).cover == read_mail(COVER, "v2-0002-cover.patch")


PACKED = ("", ".gz", ".bz2", ".xz", ".zst")


@pytest.mark.parametrize(
    ("suffix", "versions"),
    [
        *((f".{kind}{packed}", 2) for kind in ("eml", "mbox", "mbx") for packed in PACKED),
        *((f".{kind}{packed}", 1) for kind in ("patch", "diff") for packed in PACKED),
        (".txt", 0),
        (".patch.zip", 0),
        (".orig", 0),
    ],
)
def test_folder_of_mails_is_sorted_into_versions(layout, folder, suffix, versions):
    for number in (1, 2):
        mail = patch(f"[PATCH v{number}] a: c", ident=f"{number}@example.org")
        (folder / f"{number}{suffix}").write_bytes(mail)
    if not versions:
        with pytest.raises(OptionError, match="no patch"):
            read_input(layout, "mine")
        return
    found = read_input(layout, "mine").thread.versions
    assert [len(version.patches) for version in found] == ([1, 1] if versions == 2 else [2])


def test_mailbox_of_patches_without_a_count_is_one_series(layout, tmp_path):
    (tmp_path / "x.mbox").write_bytes(mbox(*(patch(f"[PATCH] {n}: c", ident=f"{n}@e.org") for n in "ab")))
    (version,) = read_input(layout, str(tmp_path / "x.mbox")).thread.versions
    assert [mail.subject.title for mail in version.patches] == ["a: c", "b: c"]
    assert (version.total, version.missing, version.recounted) == (2, (), False)


def test_folder_with_replies_is_sorted_into_versions(layout, folder):
    answer = patch("Re: [PATCH 1/2] util: one", ident="r@example.org", above="1@example.org", diff="")
    write(folder, p0001_a=ONE, p0002_b=TWO, p0003_c=answer)
    assert len(read_version(layout).replies) == 1
    write(folder, p0003_c=patch("[PATCH v2 1/2] a: b", ident="n@example.org"))
    assert len(read_version(layout).patches) == 3, "files are one version"
    (folder / "0003-c.patch").rename(folder / "new.patch")
    assert titles(read_input(layout, "mine")) == ["util: one", "util: two", "a: b"]


HOSTILE = """\
[format]
    signOff = true
    subjectPrefix = HOSTILE
    outputDirectory = /nonexistent
    coverLetter = true
    notes = true
    useAutoBase = true
    numbered = false
    attach = true
    thread = deep
[diff]
    noprefix = true
    mnemonicPrefix = true
    renames = false
    external = false
    context = 0
[color]
    ui = always
    diff = always
[core]
    abbrev = 5
"""


@pytest.fixture
def clone(tmp_path):
    """A clone with the branches ``topic`` and ``merged``, which has a merge; ``main`` is before both."""
    clone = tmp_path / "clone"
    clone.mkdir()

    def commit(message, **files):
        for name, data in files.items():
            (clone / name).write_bytes(data)
        git(clone, "add", "--all")
        git(clone, "commit", "-q", "-m", message)

    git(clone, "init", "-q", "-b", "main")
    lines = b"".join(b"line %d\n" % number for number in range(20))
    commit("zero", a=lines, gone=lines.replace(b"line", b"row"))
    git(clone, "checkout", "-q", "-b", "side")
    commit("side: one", side=b"\0binary\xff")
    git(clone, "checkout", "-q", "-b", "topic", "main")
    (clone / "gone").rename(clone / "moved")
    commit("topic: one", a=lines.replace(b"line 10", b"row 10"))
    git(clone, "notes", "add", "-m", "a note")
    git(clone, "checkout", "-q", "-b", "merged")
    git(clone, "merge", "-q", "--no-ff", "-m", "merge", "side")
    git(clone, "checkout", "-q", "topic")
    commit("topic: two", side=b"\0binary\xff")
    return clone


def test_range_is_formatted_without_the_users_and_the_clones_configuration(
    layout, clone, tmp_path, monkeypatch
):
    plain = read_input(layout, f"{clone}@main..topic")
    assert (plain.kind, plain.name, plain.is_ours) == ("range", "clone", False)
    assert [mail.subject.text for mail in plain.patches] == [
        "[PATCH 1/2] topic: one",
        "[PATCH 2/2] topic: two",
    ]
    assert plain.notes == ()
    first, second = plain.patches
    assert second.changes[0].binary
    assert not second.changes[0].lacks_content
    assert [(change.old, change.new) for change in first.changes] == [("a", "a"), ("gone", "moved")]
    assert len(first.changes[0].hunks[0].before) == 7
    assert len(first.changes[0].old_blob) == 40

    (tmp_path / "malformed").write_text("[format", encoding="utf-8")
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        with monkeypatch.context() as patched:
            patched.delenv("GIT_CONFIG_NOSYSTEM", raising=False)
            patched.setenv(variable, str(tmp_path / "malformed"))
            assert read_input(layout, f"{clone}@main..topic").mails == plain.mails
    with (clone / ".git" / "config").open("a", encoding="utf-8") as stream:
        stream.write(HOSTILE)
    monkeypatch.chdir(tmp_path)
    assert read_input(layout, "clone@main..topic").mails == plain.mails


@pytest.mark.parametrize(
    "setting",
    [
        "core.attributesFile=attributes",
        "diff.algorithm=patience",
        "diff.interHunkContext=20",
        "diff.orderFile=order",
        "diff.suppressBlankEmpty=true",
        "format.cc=a@example.org",
        "format.encodeEmailHeaders=false",
        "format.from=Me <me@example.org>",
        "format.headers=X-Mine: 1",
        "format.signature=mine",
        "format.signatureFile=order",
        "format.to=a@example.org",
        "i18n.logOutputEncoding=latin1",
    ],
)
def test_format_of_a_range_does_not_depend_on_a_setting_of_the_clone(tmp_path, monkeypatch, setting):
    lines = "one\n\n three\n" * 9
    clone = make_repository(
        tmp_path, {"a/f": lines, "b": "1\n\n\n2\n", "attributes": "* binary\n", "order": "b\n"}
    )
    changed = lines.replace("three", "3", 1)
    write_files(clone, {"a/f": f"3{changed[:-7]}3\n", "b": "2\n\n\n1\n"})
    git(clone, "commit", "-aqm", "a: \u00e4ndere", "--author=J\u00fcrgen <j@example.org>")
    monkeypatch.chdir(clone)
    plain = read_range(clone, "HEAD~1..HEAD")
    git(clone, "config", *setting.split("=", 1))
    assert read_range(clone, "HEAD~1..HEAD") == plain


@pytest.mark.parametrize(
    "message",
    [
        "Text.\n---\nMore.",
        "Text.\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b",
        "Text.\ndiff -u shows it.\nIndex: a number",
        "From: Rita <rita@example.org>\n\nText.",
        "Subject: of this\n\nText.",
        "Text.\n\n-- >8 --\nMore.",
        "",
    ],
)
def test_message_of_a_commit_is_read_whole(layout, clone, message):
    before = read_input(layout, f"{clone}@main..topic").patches
    tail = f"{message}\n\nSigned-off-by: A <a@example.org>" if message else ""
    git(clone, "commit", "-q", "--amend", "--cleanup=verbatim", "-m", f"topic: two\n\n{tail}")
    first, second = read_input(layout, f"{clone}@main..topic").patches
    assert (second.message, first.message) == (tail, "")
    assert (second.author, second.subject.title) == (before[1].author, "topic: two")
    assert (second.changes, second.faults) == (before[1].changes, ())
    written = second.data.partition(b"topic: two")[2].partition(b"GIT binary")[0]
    assert tail.encode() in written, "checks see what git has written"


def test_format_of_a_range_does_not_depend_on_the_users_configuration(tmp_path, monkeypatch):
    lines = "".join(f"{number}\n" for number in range(9))
    clone = make_repository(tmp_path / "clone", {"a": f"int f\n{lines}"})
    write_files(clone, {"a": f"int f\n{lines}9\n"})
    git(clone, "commit", "-aqm", "a: b")
    plain = read_range(clone, "HEAD~1..HEAD")
    assert b"@@ int f\n" in plain[0].data
    (tmp_path / ".gitconfig").write_text('[diff "default"]\n\txfuncname = "^none"\n', encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_range(clone, "HEAD~1..HEAD") == plain


def test_series_of_a_range_is_what_its_commits_change(layout, clone):
    made = range_series(layout, "main..topic", str(clone))
    found = read_input(layout, "main..topic", clone=str(clone))
    assert (made, made.commits) == (series_of(found), found.commits)
    git(clone, "commit", "-q", "--allow-empty", "-m", "nothing")
    with pytest.raises(OptionError, match=r"-Dseries: topic~1\.\.topic changes no file") as error:
        range_series(layout, "topic~1..topic", str(clone))
    assert error.value.remedy == "name commits that do"


def test_what_is_no_range_has_no_series_of_one(layout, folder, clone):
    assert range_series(layout, str(folder), "") is None
    assert range_series(layout, str(folder), str(clone)) is None


def test_required_series_of_the_same_mails_is_found_by_the_id_of_one(layout, tmp_path):
    first = [patch(f"[PATCH {n}/2] util: {n}", ident=f"v1-{n}@example.org") for n in (1, 2)]
    second = [patch(f"[PATCH v2 {n}/2] util: {n}", ident=f"v2-{n}@example.org") for n in (1, 2)]
    (tmp_path / "both.mbox").write_bytes(mbox(*first, *second))
    read = read_input(layout, str(tmp_path / "both.mbox"))
    found = replace(read, metadata=SeriesFile(title="v2"), range_base="v9", commits=("1" * 40,))
    assert [mail.message_id for mail in found.patches] == ["v2-1@example.org", "v2-2@example.org"]
    required = required_input(found, "v1-2@example.org")
    assert [mail.message_id for mail in required.patches] == ["v1-1@example.org", "v1-2@example.org"]
    assert (required.source, required.mails) == (found.source, found.mails)
    assert (required.metadata, required.range_base, required.commits) == (read.metadata, "", ())
    assert required_input(found, "v2-1@example.org") is None, "that is the series itself"
    assert required_input(found, "absent@example.org") is None


def test_end_of_a_range_that_is_left_out_is_the_current_commit(layout, clone, tmp_path):
    whole = read_input(layout, f"{clone}@main..topic")
    assert read_input(layout, f"{clone}@main..").mails == whole.mails
    assert read_input(layout, "main..", clone=str(clone)).mails == whole.mails
    assert titles(read_input(layout, "..side", clone=str(clone))) == ["side: one"]
    for text in ("../absent", "absent/..", "absent/../other"):
        with pytest.raises(OptionError, match="no such file"):
            read_input(layout, text, clone=str(clone))


def test_range_with_a_merge_is_refused(layout, clone):
    base = git(clone, "rev-parse", "main")
    for text, source, onto in ((f"{clone}@main..merged", "", "main"), ("merged", str(clone), base)):
        with pytest.raises(OptionError, match="of clone has 1 merge commits") as error:
            read_input(layout, text, clone=source)
        assert f"(git rebase {onto})" in error.value.remedy


def test_commits_of_a_range_are_known(layout, clone):
    found = read_input(layout, f"{clone}@main..topic")
    assert found.commits == (git(clone, "rev-parse", "topic~1"), git(clone, "rev-parse", "topic"))
    assert found.range_base == git(clone, "rev-parse", "main")
    root = read_input(layout, f"{clone}@main~0..side")
    assert (root.commits, titles(root)) == ((git(clone, "rev-parse", "side"),), ["side: one"])


def test_commit_of_a_range_is_one_mail_for_git(layout, clone):
    made = series_of(read_input(layout, f"{clone}@main..topic"))
    assert [one.data.partition(b" ")[0] for one in made.patches] == [b"From:", b"From:"]


def test_range_of_a_clone_of_another_user_needs_the_users_configuration(layout, clone, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "harness.source.clone._READ_ONLY", {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(tmp_path)}
    )
    with pytest.raises(TreeError, match="belongs to another user") as error:
        read_input(layout, f"{clone}@main..topic")
    assert error.value.remedy.endswith(f"--add safe.directory {clone}")
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {clone}\n", encoding="utf-8")
    assert titles(read_input(layout, f"{clone}@main..topic")) == ["topic: one", "topic: two"]


@pytest.mark.parametrize("settings", [{"GIT_NO_LAZY_FETCH": "1"}, {}])
def test_range_of_a_partial_clone_downloads_nothing(layout, clone, tmp_path, monkeypatch, settings):
    """The objects could be had from the other clone. git before 2.44 does not know the variable."""
    monkeypatch.setattr("harness.source.clone._READ_ONLY", settings)
    git(clone, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", clone.as_uri(), "a partial")
    partial = tmp_path / "a partial"
    before = sorted(str(path) for path in partial.rglob("*"))
    with pytest.raises(OptionError, match="objects of the range are missing") as error:
        read_input(layout, f"{partial}@origin/main..origin/topic")
    assert f"git -C '{partial}' fetch --refetch --no-filter" in error.value.remedy
    assert sorted(str(path) for path in partial.rglob("*")) == before


@pytest.mark.parametrize("revisions", ["--output=x..topic", "none..topic"])
def test_bad_range_is_refused_with_its_revisions(layout, clone, revisions):
    with pytest.raises(OptionError, match=revisions) as error:
        read_input(layout, f"{clone}@{revisions}")
    assert ("CLONE@master..topic" in error.value.remedy) is revisions.startswith("-")


def test_error_of_git_is_reported(layout, clone):
    with pytest.raises(OptionError, match=f"{clone}.*unknown revision"):
        read_input(layout, f"{clone}@none..topic")


@pytest.mark.parametrize("source", ["{}", "{}@side"])
@pytest.mark.parametrize("series", ["main..topic", "topic"])
def test_range_and_branch_of_the_source_clone_start_at_the_upstream_branch(layout, clone, source, series):
    found = read_input(layout, series, clone=source.format(clone))
    assert (found.kind, found.source, found.name) == ("range", series, "clone")
    assert titles(found) == ["topic: one", "topic: two"]
    assert found.range_base == found.base_commit == git(clone, "rev-parse", "main")
    made = series_of(found)
    assert (made.range_base, made.commits) == (found.range_base, found.commits)
    assert len(made.commits) == 2


def test_range_of_what_is_no_clone_is_refused(layout, tmp_path):
    for source in (str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(OptionError, match=r"master\.\.topic is a range, but -Dsource=.* is no git clone"):
            read_input(layout, "master..topic", clone=source)
    with pytest.raises(OptionError, match="no such file or folder"):
        read_input(layout, "../nothing", clone=str(tmp_path))


def test_branch_without_commits_of_its_own_is_refused(layout, clone):
    with pytest.raises(OptionError, match=f"main has no commits of its own in {clone}") as error:
        read_input(layout, "main", clone=str(clone))
    assert error.value.remedy == "write a range: -Dseries=BASE..main"


@pytest.mark.parametrize("source", ["missing", "missing@main"])
def test_clone_in_the_current_folder_does_not_stand_for_a_missing_source(layout, clone, monkeypatch, source):
    monkeypatch.chdir(clone)
    with pytest.raises(OptionError, match="no series"):
        read_input(layout, "topic", clone=source)


def test_folder_has_precedence_over_a_branch_of_the_source_clone(layout, clone):
    for folder in (layout.patches / "topic", clone.parent / "side"):
        folder.mkdir(parents=True)
        (folder / "0001-mine.patch").write_bytes(patch("[PATCH] mine: one"))
        found = read_input(layout, folder.name if folder.name == "topic" else str(folder), clone=str(clone))
        assert (found.kind, titles(found), found.range_base) == ("folder", ["mine: one"], "")


def test_name_that_the_source_clone_lacks_is_a_series(layout, clone, tmp_path):
    for source in (clone, tmp_path):
        with pytest.raises(OptionError, match="no series"):
            read_input(layout, "nonesuch", clone=str(source))


@pytest.mark.parametrize("where", [0, 1])
def test_base_commit_line_of_cover_letter_or_first_patch_is_read(layout, tmp_path, where):
    ident = "0123456789" * 4
    mails = [patch("[PATCH 0/1] cover", diff=""), patch("[PATCH 1/1] mine: one")]
    mails[where] += f"\nbase-commit: {ident}\n".encode()
    (tmp_path / "box").write_bytes(mbox(*mails))
    assert read_input(layout, str(tmp_path / "box")).base_commit == ident
    (tmp_path / "box").write_bytes(mbox(*(mail.replace(ident.encode(), b"main") for mail in mails)))
    assert read_input(layout, str(tmp_path / "box")).base_commit == ""
