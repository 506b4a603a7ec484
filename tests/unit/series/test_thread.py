"""Versions, gaps and trailers of a thread; the kinds of input of a series."""

import gzip
import io
import re

import pytest

from harness.errors import OptionError
from harness.series import find_thread, load_series, parse_trailers, read_input, read_mail, series_of
from harness.series.attached import read_mbox
from harness.series.compressed import unpack
from harness.series.trailers import reply_trailers
from tests.unit.repositories import git
from tests.unit.series.mails import DIFF, mbox, patch

REPLY = "On Tuesday, A wrote:\n> Acked-by: Quoted <q@example.org>\nGood.\n\n{}\n"


def series(version=1, **more):
    tag = f"PATCH v{version}" if version > 1 else "PATCH"
    ids = f"v{version}@example.org"
    above = more.get("above", "")
    return [
        patch(f"[{tag} 0/2] count", ident=f"0{ids}", diff="", above=above, message="Cover."),
        patch(f"[{tag} 1/2] util: one", ident=f"1{ids}", above=f"0{ids}"),
        patch(f"[{tag} 2/2] util: two", ident=f"2{ids}", above=f"0{ids}"),
    ]


def reply(to, trailer, *, sender="R <r@example.org>", ident="r@example.org"):
    return patch(
        "Re: [PATCH 1/2] util: one",
        ident=ident,
        above=to,
        diff="",
        sender=sender,
        message=REPLY.format(trailer),
    )


def read(*mails):
    return find_thread(read_mbox(mbox(*mails), "t.mbox"))


def test_newest_version_has_the_trailers_of_its_replies():
    one, two = series(), series(2, above="0v1@example.org")
    thread = read(
        *one,
        reply("1v1@example.org", "Acked-by: Old <old@example.org>", ident="o@example.org"),
        two[2],
        two[0],
        reply("1v2@example.org", "Reviewed-by: R <r@example.org>"),
        reply("r@example.org", "Tested-by: T <t@example.org>", ident="t@example.org", sender="X <x@e.org>"),
        reply("0v2@example.org", "Acked-by: All <all@example.org>", ident="c@example.org"),
        two[1],
    )
    newest = thread.newest
    assert [version.number for version in thread.versions] == [1, 2]
    assert [mail.subject.title for mail in newest.patches] == ["util: one", "util: two"]
    assert newest.out_of_order
    assert newest.missing == ()
    assert {str(trailer) for trailer in newest.given(1)} == {
        "Reviewed-by: R <r@example.org>",
        "Tested-by: T <t@example.org>",
        "Acked-by: All <all@example.org>",
    }
    assert [str(trailer) for trailer in newest.given(2)] == ["Acked-by: All <all@example.org>"]
    own = {trailer.key: trailer.is_own for trailer in newest.given(1)}
    assert own == {"Reviewed-by": True, "Tested-by": False, "Acked-by": False}


def test_missing_and_duplicate_patches_are_recorded():
    cover, one, two = series()
    newest = read(cover, two, two.replace(b"2v1@", b"9v1@")).newest
    assert newest.missing == (1,)
    assert len(newest.duplicates) == 1
    assert len(newest.patches) == 1
    whole = read(cover, one, two).newest
    assert (whole.missing, whole.duplicates, whole.out_of_order) == ((), (), False)


def test_numbers_of_a_single_patch_and_of_replies_to_it():
    lone = patch("[PATCH v2] util: one", ident="1@example.org")
    answer = reply("1@example.org", "Reviewed-by: R <r@example.org>")
    (version,) = read(lone, answer).versions
    assert (version.number, version.total, version.missing, version.cover) == (2, 1, (), None)
    assert [mail.message_id for mail in version.replies] == ["r@example.org"]
    assert [str(trailer) for trailer in version.given(1)] == ["Reviewed-by: R <r@example.org>"]


def test_later_mail_with_the_same_number_wins():
    cover, one, two = series()
    other = one.replace(b"1v1@", b"9v1@")
    (version,) = read(cover, one, two, other).versions
    assert [mail.message_id for mail in version.patches] == ["9v1@example.org", "2v1@example.org"]
    assert [mail.message_id for mail in version.duplicates] == ["1v1@example.org"]
    assert version.out_of_order


def test_untagged_mails_with_a_diff_are_patches_and_others_are_not():
    thread = read(
        patch("util: a diff", ident="d@example.org"),
        patch("Re: util: a diff in a reply", ident="r@example.org"),
        patch("util: words", ident="w@example.org", diff=""),
    )
    assert [mail.message_id for version in thread.versions for mail in version.patches] == ["d@example.org"]
    assert [version.kind for version in thread.versions] == ["PATCH"]
    assert [mail.message_id for mail in thread.others] == ["r@example.org", "w@example.org"]


@pytest.mark.parametrize(
    "above", [("", "1@e.org", "1@e.org"), ("", "", ""), ("c@e.org", "c@e.org", "c@e.org")]
)
def test_series_without_its_cover_letter_is_one_version(above):
    """In the threads of git send-email the patches then answer the first one, or a mail that is not here."""
    mails = [
        patch(f"[PATCH {number}/3] a: b", ident=f"{number}@e.org", above=to)
        for number, to in enumerate(above, start=1)
    ]
    (version,) = read(*mails).versions
    assert (len(version.patches), version.missing) == (3, ())


def test_cover_letter_and_patches_sent_without_a_thread_are_one_version():
    (version,) = read(
        *(re.sub(rb"(?:In-Reply-To|References): .*\n", b"", mail) for mail in series())
    ).versions
    assert version.cover is not None
    assert len(version.patches) == 2


def test_threads_without_cover_letters_are_separate_versions():
    mails = [
        patch(f"[PATCH {number}/2] a: b", ident=f"{number}@{host}", above=f"1@{host}" if number > 1 else "")
        for host in ("one.org", "two.org")
        for number in (1, 2)
    ]
    assert [len(version.patches) for version in read(*mails).versions] == [2, 2]


def test_patches_without_a_count_are_one_series_with_and_without_ids():
    mails = [patch(f"[PATCH] {name}: b", ident=f"{name}@e.org") for name in "ab"]
    bare = [mail.replace(b"Message-Id:", b"X-Id:") for mail in mails]
    untagged = [mail.replace(b"[PATCH] ", b"") for mail in bare]
    for each in (mails, bare, untagged):
        (version,) = read(*each).versions
        assert [mail.subject.title for mail in version.patches] == ["a: b", "b: b"]
        assert (version.total, version.missing, version.recounted) == (2, (), False)


def test_patches_of_other_senders_without_a_count_are_other_series():
    mine = patch("[PATCH] a: b", ident="1@e.org", date="Wed, 2 Feb 2022 10:00:00 +0100")
    other = patch("[PATCH] c: d", ident="2@e.org", sender="B <b@example.org>")
    thread = read(mine, other)
    assert [version.patches[0].subject.title for version in thread.versions] == ["c: d", "a: b"]


def long_thread(mail, *above):
    """``mail`` with the References of a mail client that keeps the whole chain."""
    chain = " ".join(f"<{name}>" for name in above)
    return re.sub(rb"References: .*", f"References: {chain}".encode(), mail, count=1)


def test_new_version_in_a_long_thread_is_not_mixed_with_the_old_one():
    old = series()
    cover, one, two = series(2, above="0v1@example.org")
    patches = [long_thread(mail, "0v1@example.org", "0v2@example.org") for mail in (one, two)]
    to_new = reply("2v2@example.org", "Acked-by: N <n@example.org>", ident="n@example.org")
    to_old = reply("1v1@example.org", "Acked-by: O <o@example.org>", ident="o@example.org")
    deep = reply("n@example.org", "Tested-by: D <d@example.org>", ident="d@example.org")
    stray = patch("Lunch?", ident="lunch@example.org", diff="")
    thread = read(
        *old,
        cover,
        *patches,
        long_thread(to_new, "0v1@example.org", "0v2@example.org", "2v2@example.org"),
        to_old,
        long_thread(deep, "unknown@example.org", "n@example.org"),
        stray,
    )
    first, second = thread.versions
    assert [len(version.patches) for version in thread.versions] == [2, 2]
    assert second.cover is not None
    assert [mail.message_id for mail in first.replies] == ["o@example.org"]
    assert [mail.message_id for mail in second.replies] == ["n@example.org", "d@example.org"]
    assert [mail.message_id for mail in thread.others] == ["lunch@example.org"]
    assert [str(trailer) for trailer in second.given(2)] == [
        "Acked-by: N <n@example.org>",
        "Tested-by: D <d@example.org>",
    ]
    assert second.given(1) == ()


def test_replies_that_refer_to_each_other_end():
    one = reply("b@example.org", "Acked-by: A <a@example.org>", ident="a@example.org")
    two = reply("a@example.org", "Acked-by: B <b@example.org>", ident="b@example.org")
    thread = read(*series(), one, two)
    assert [mail.message_id for mail in thread.others] == ["a@example.org", "b@example.org"]


def test_reply_to_a_cover_letter_applies_to_a_patch_sent_without_a_date():
    mails = [mail.replace(b"Date: Tue", b"X-Date: Tue") for mail in series()]
    newest = read(*mails, reply("0v1@example.org", "Acked-by: A <a@example.org>")).newest
    assert [str(trailer) for trailer in newest.given(2)] == ["Acked-by: A <a@example.org>"]


def test_kind_of_pull_requests_and_rfc_patches_is_recorded():
    pull = read(patch("[PULL 1/1] util: one")).newest
    rfc = read(patch("[RFC PATCH] util: one")).newest
    assert (pull.kind, rfc.kind, rfc.rfc, rfc.total) == ("PULL", "PATCH", True, 1)


def test_two_series_in_one_mailbox_are_separate_versions():
    other = [mail.replace(b"@example.org", b"@example.net") for mail in series()]
    later = [mail.replace(b"1 Feb 2022", b"2 Feb 2022") for mail in other]
    thread = read(*later, *series())
    assert len(thread.versions) == 2
    assert all(mail.message_id.endswith("net") for mail in thread.newest.patches)


def test_from_line_in_a_body_does_not_split_a_mail():
    text = "From here it counts.\n\nFrom now on.\n>From quoted."
    mails = read_mbox(mbox(patch(message=text), patch("[PATCH 2/2] x: y", ident="2@example.org")), "x")
    assert [mail.subject.number for mail in mails] == [1, 2]
    assert "\n\nFrom now on.\n" in mails[0].message


def test_trailers_are_read_from_the_last_paragraph_only():
    assert [str(trailer) for trailer in parse_trailers("a\n\nFixes: 12 (x)\nSigned-off-by: A <a@b>\n")] == [
        "Fixes: 12 (x)",
        "Signed-off-by: A <a@b>",
    ]
    assert parse_trailers("Signed-off-by: A <a@b>\n\nmore text") == ()
    assert [str(trailer) for trailer in parse_trailers("a\n\nLink: no\n\n \nLink: x\n")] == ["Link: x"]
    assert parse_trailers("") == ()
    body = "".join(f"line {number}\n" for number in range(9))
    assert [str(trailer) for trailer in parse_trailers(f"{body} \nLink: x  \n\n")] == ["Link: x"]


@pytest.mark.parametrize(
    ("paragraph", "keys"),
    [("Cc: A <a@b>\n[x: mended]\n", ["Cc"]), ("Cc: A <a@b>\none\ntwo\n", []), ("one\n Cc: A <a@b>\n", [])],
)
def test_half_of_the_last_paragraph_must_be_trailers(paragraph, keys):
    assert [trailer.key for trailer in parse_trailers(f"Text.\n\n{paragraph}")] == keys


def test_trailers_of_a_reply_are_at_the_left_margin():
    mail = read_mail(
        reply("x@y", "Reviewed-by: A <a@b> \n Acked-by: B <b@b>\n> Acked-by: C <c@b>\nFixes: 1"), "x"
    )
    assert [(trailer.key, trailer.value, trailer.source) for trailer in reply_trailers(mail)] == [
        ("Reviewed-by", "A <a@b>", "r@example.org")
    ]


def test_folder_mailbox_gzip_and_stdin_have_the_same_digest(layout, tmp_path, monkeypatch):
    mails = series()
    folder = layout.patches / "mine"
    folder.mkdir()
    for number, mail in enumerate(mails):
        (folder / f"{number:04}-x.patch").write_bytes(mail)
    packed = tmp_path / "t.mbox.gz"
    packed.write_bytes(gzip.compress(mbox(*mails)))
    (tmp_path / "t.mbox").write_bytes(mbox(*mails))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mbox(*mails))))
    found = [read_input(layout, name) for name in ("mine", str(packed), str(tmp_path / "t.mbox"), "-")]
    assert {one.sha256 for one in found} == {found[0].sha256}
    assert [one.is_ours for one in found] == [True, False, False, False]
    (folder / "0002-x.patch").write_bytes(mails[2] + b"\n")
    changed = read_input(layout, "mine")
    assert changed.sha256 != found[0].sha256
    made = series_of(found[1])
    assert [one.subject for one in made.patches] == ["util: one", "util: two"]


def test_concatenated_patches_without_a_signature_are_split():
    """``cat *.patch`` of ``git format-patch --no-signature``: no blank line separates them."""
    one, two = patch("[PATCH 1/2] x: y"), patch("[PATCH 2/2] x: z", ident="2@example.org")
    head = b"From %s Mon Sep 17 00:00:00 2001\n"
    bare = [head % (b"0" * 40) + data.partition(b"-- \n")[0] for data in (one, two)]
    assert not bare[0].endswith(b"\n\n")
    mails = read_mbox(b"".join(bare), "x")
    assert [mail.subject.title for mail in mails] == ["x: y", "x: z"]
    assert all(mail.changes for mail in mails)
    quoted = patch(message="He wrote:\nFrom here on it was 12:30 in 2001\nit fails")
    assert len(read_mbox(mbox(quoted, quoted), "x")) == 2


def test_judged_and_built_series_of_a_folder_are_equal(layout):
    folder = layout.patches / "mine"
    folder.mkdir()
    for number, mail in enumerate(series()):
        (folder / f"{number:04}-x.patch").write_bytes(mail)
    made, built = series_of(read_input(layout, "mine")), load_series(layout, "mine")
    assert (made.digest, [one.data for one in made.patches]) == (
        built.digest,
        [one.data for one in built.patches],
    )


def test_newest_version_and_quilt_series_file_select_the_patches(layout):
    folder = layout.patches / "mine"
    folder.mkdir()
    (folder / "0001-x.patch").write_bytes(patch())
    (folder / "v2-0001-x.patch").write_bytes(patch("[PATCH v2] util: count"))
    found = read_input(layout, "mine")
    assert [mail.origin for mail in found.patches] == ["v2-0001-x.patch"]
    assert found.notes
    (folder / "series").write_text("# comment\nb.diff -p1\na.diff\n")
    for name in ("a", "b"):
        (folder / f"{name}.diff").write_text(DIFF)
    assert [mail.origin for mail in read_input(layout, "mine").patches] == ["b.diff", "a.diff"]
    (folder / "a.diff").unlink()
    with pytest.raises(OptionError, match=r"names a\.diff"):
        read_input(layout, "mine")


def test_git_range_is_read_with_its_empty_commit(layout, tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    git(clone, "init", "-q", "-b", "main")
    git(clone, "config", "format.signOff", "true")
    git(clone, "commit", "-q", "--allow-empty", "-m", "zero")
    (clone / "bytes").write_bytes(b"\xff\r\n")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "util: bytes")
    git(clone, "commit", "-q", "--allow-empty", "-m", "util: nothing")
    found = read_input(layout, f"{clone}@main~2..main")
    assert [mail.subject.title for mail in found.patches] == ["util: bytes", "util: nothing"]
    assert "\udcff\r\n" in found.patches[0].diff
    assert [fault.kind for fault in found.patches[1].faults] == ["empty"]
    assert "Signed-off-by" not in found.patches[0].message
    with pytest.raises(OptionError, match="git cannot read"):
        read_input(layout, f"{clone}@none..main")


def test_input_without_a_series_is_refused(layout, tmp_path):
    (tmp_path / "text.mbox").write_bytes(reply("x@y", "Acked-by: A <a@b>"))
    with pytest.raises(OptionError, match="contains no patch"):
        read_input(layout, str(tmp_path / "text.mbox"))
    with pytest.raises(OptionError, match="there is no series"):
        read_input(layout, "nonesuch")
    with pytest.raises(OptionError, match="truncated gzip"):
        unpack(gzip.compress(b"x" * 100)[:-4], "x")


def test_mail_keeps_its_exact_bytes():
    data = patch()
    assert read_mail(data, "x").data == data
    (mail, _) = read_mbox(mbox(data, data), "x")
    assert mail.data == data
