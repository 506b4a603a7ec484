"""For each irregularity of a mail, either the diff is unchanged or a fault records the loss."""

import base64
import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.series import mailbox_bytes, read_mail
from harness.series.address import Address, parse_address
from harness.series.decode import unflow
from harness.series.mail import is_scissors
from harness.series.subject import parse_subject
from tests.unit.series.mails import DIFF, patch


def kinds(data):
    faults = read_mail(data, "x").faults
    assert all(fault.detail for fault in faults)
    return [fault.kind for fault in faults]


@pytest.mark.parametrize("coding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_transfer_encodings_give_the_same_diff(coding, newline):
    mail = read_mail(patch(coding=coding, newline=newline), "x")
    assert mail.diff.startswith(DIFF)
    assert mail.message == "Because it counts.\n\nSigned-off-by: A U Thor <a@example.org>"
    assert "1 file changed" in mail.notes
    assert kinds(mail.data) == (["crlf"] if newline == b"\r\n" else [])
    assert mail.is_sound


def test_latin_1_is_decoded_and_a_wrong_charset_is_a_fault():
    good = patch(charset="iso-8859-1", message="hübsch", diff=DIFF.replace("hübsch", "pretty"))
    assert read_mail(good, "x").message == "hübsch"
    assert kinds(good) == []
    assert kinds(good.replace(b"iso-8859-1", b"UTF-8")) == ["charset"]
    mail = read_mail(patch(charset="iso-8859-1"), "x")
    assert "hübsch" in mail.diff
    assert [fault.detail.partition(",")[0] for fault in mail.faults] == [
        "its diff was converted from iso-8859-1 to UTF-8"
    ]
    assert kinds(patch(charset="UTF8")) == []
    assert kinds(good.replace(b"iso-8859-1", b"x-nonesuch")) == ["charset"]


def test_flowed_mail_is_unflowed_and_has_a_fault():
    flowed = "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8; format=flowed\n"
    stuffed = DIFF.replace("\n ", "\n  ")
    mail = read_mail(patch(diff=stuffed, headers=flowed), "x")
    assert mail.diff.startswith(DIFF)
    assert kinds(patch(diff=stuffed, headers=flowed)) == ["flowed"]
    broken = stuffed.replace("+int zwei; /* h\u00fcbsch */", "+int zwei; /* \nh\u00fcbsch */")
    assert read_mail(patch(diff=broken, headers=flowed), "x").diff.startswith(DIFF)
    assert kinds(patch(diff=DIFF)) == []


def test_fault_of_a_wrapped_line_names_the_hunk():
    mail = read_mail(patch(diff=DIFF.replace("zwei; /*", "zwei;\n/*")), "x")
    (fault,) = mail.faults
    assert fault.kind == "damaged"
    assert "@@ -1,3 +1,3 @@" in fault.detail
    assert not mail.is_sound


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"just words\n", "no-headers"),
        (b"From: a <a@example.org>\n\nwords\n", "no-headers"),
        (patch(diff="diff --git a/x b/x\n"), "empty"),
        (patch(message="Words.\n---\n note", diff=""), "empty"),
        (patch(sender="nobody"), "no-author"),
        (patch(headers="Content-Type: text/html\n"), "html"),
    ],
)
def test_mail_without_a_patch_has_a_fault_with_the_reason(data, kind):
    assert kind in kinds(data)
    if kind != "no-author":
        assert not read_mail(data, "x").is_sound


def test_text_and_patch_are_read_from_a_multipart_mail():
    body = (
        "--b\nContent-Type: text/plain\n\nWords.\n--b\nContent-Type: text/x-patch; charset=UTF-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{DIFF}\n--b\nContent-Type: text/html\n\n<p>\n--b--\n"
    )
    headers = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
    mail = read_mail(patch(message=body, diff="", headers=headers), "x")
    assert mail.diff.startswith(DIFF)
    assert mail.message == "Words."
    assert [fault.kind for fault in mail.faults] == ["multipart"]


def test_headers_in_the_body_override_those_of_the_mail():
    mail = read_mail(
        patch(message="From: B <b@example.org>\nSubject: util: folded\n over lines\n\nText."), "x"
    )
    assert (mail.author.email, mail.sender.email) == ("b@example.org", "a@example.org")
    assert mail.subject.title == "util: folded over lines"
    assert mail.message == "Text."
    words = "From: =?utf-8?q?J=C3=B6rg?= <b@example.org>\nSubject: =?utf-8?b?dXRpbDogw7w=?=\n\nText."
    coded = read_mail(patch(message=words), "x")
    assert (coded.author.name, coded.subject.title) == ("J\u00f6rg", "util: \u00fc")
    kept = read_mail(patch(message="From: here on it counts.\n\nText."), "x")
    assert kept.message.startswith("From: here on")


def test_plain_diff_is_converted_to_git_format():
    quilt = (
        "Description: mend\n more\nAuthor: Q <q@example.org>\n\n"
        "--- qemu.orig/a.c\t2020-01-01\n+++ qemu/a.c\t2020-01-02\n@@ -1 +1 @@\n-x\n+y\n"
        "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+--- a/not-a-file\n"
        "--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    )
    mail = read_mail(quilt.encode(), "x")
    assert [(change.old, change.new) for change in mail.changes] == [
        ("a.c", "a.c"),
        ("", "new.c"),
        ("gone.c", ""),
    ]
    assert {"not-git", "no-headers", "no-author"} <= {fault.kind for fault in mail.faults}


def test_git_reads_the_normalised_mail(tmp_path):
    odd = read_mail(patch("=?utf-8?q?=5BPATCH=5D_h=C3=BCbsch?=", coding="base64", newline=b"\r\n"), "x")
    written = mailbox_bytes(odd)
    ended = subprocess.run(
        ["git", "mailinfo", "-b", tmp_path / "m", tmp_path / "d"],
        input=written,
        capture_output=True,
        check=True,
    )
    assert "Subject: hübsch" in ended.stdout.decode()
    assert (tmp_path / "d").read_text().startswith(f"---\n util/a.c | 2 +-\n 1 file changed\n\n{DIFF}")
    assert (tmp_path / "m").read_text().strip() == odd.message
    untouched = patch()
    assert mailbox_bytes(read_mail(untouched, "x")) == untouched


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("[PATCH] a: b", ("PATCH", 1, 0, 0, False, "a: b")),
        ("[PATCH v3 02/10] a: b", ("PATCH", 3, 2, 10, False, "a: b")),
        ("[RFC PATCH v2 0/2] a", ("PATCH", 2, 0, 2, True, "a")),
        ("[PATCH RFC] a", ("PATCH", 1, 0, 0, True, "a")),
        ("[RFC v2 1/3] a", ("PATCH", 2, 1, 3, True, "a")),
        ("[PATCH-for-8.0 v2 01/12] a", ("PATCH", 2, 1, 12, False, "a")),
        ("[PATCHv2 3/4] a", ("PATCH", 2, 3, 4, False, "a")),
        ("[Qemu-devel] [PULL 5/9] [tiny] a", ("PULL", 1, 5, 9, False, "[tiny] a")),
        ("[GIT PULL] a", ("PULL", 1, 0, 0, False, "a")),
        ("[tiny] a: b", ("", 1, 0, 0, False, "[tiny] a: b")),
        ("dispatch [PATCH] handlers", ("", 1, 0, 0, False, "dispatch [PATCH] handlers")),
    ],
)
def test_subject_is_parsed(text, facts):
    found = parse_subject(text)
    assert (found.kind, found.version, found.number, found.total, found.rfc, found.title) == facts
    assert not found.reply
    assert parse_subject(f"Re: {text}").reply


@pytest.mark.parametrize(
    ("text", "resend", "words"),
    [
        ("[PATCH v2 1/3] a", False, ()),
        ("[Resend PATCH] a", True, ("Resend",)),
        ("[RESEND RFC PATCH V3 for-8.0 02/10 s390x] a", True, ("for-8.0", "s390x")),
        ("[GIT PULL] a", False, ()),
    ],
)
def test_tag_has_further_words(text, resend, words):
    found = parse_subject(text)
    assert (found.text, found.resend, found.words) == (text, resend, words)


def test_subject_is_unfolded_and_without_marks_of_replies():
    found = parse_subject(" AW: Re[2]: [PATCH  v2\n 1/2]  Re: a:\n b ")
    assert (found.text, found.title, found.reply) == ("AW: Re[2]: [PATCH v2 1/2] Re: a: b", "a: b", True)
    assert parse_subject("[PATCH] Re: a").reply
    plain = parse_subject("FWD: a [tiny]\n b")
    assert (plain.text, plain.title, plain.reply) == ("FWD: a [tiny] b", "a [tiny] b", True)


def test_unflow_keeps_the_signature_separator():
    assert unflow(" a \nb\n-- \nc") == "a b\n-- \nc"
    assert unflow("a \nb", delsp=True) == "ab"


def test_mail_has_its_headers_decoded():
    data = patch(
        "=?iso-8859-1?q?h=FCbsch?= =?utf-8?q?=2C_=C3=BC?=",
        sender="=?utf-8?q?J=C3=BCrgen?=  B <J@example.org>",
        above="0@example.org",
    ).replace(b"References: ", b"References: <old@example.org> text\n ")
    mail = read_mail(b"\xef\xbb\xbf" + data, "0001-a.patch")
    assert (mail.data, mail.origin) == (data, "0001-a.patch")
    assert mail.sha256 == hashlib.sha256(data).hexdigest()
    assert mail.message_id == "1@example.org"
    assert mail.references == ("old@example.org", "0@example.org")
    assert mail.sender == mail.author == Address(name="J\u00fcrgen B", email="J@example.org")
    assert mail.date == "Tue, 1 Feb 2022 10:00:00 +0100"
    assert mail.subject.text == "h\u00fcbsch, \u00fc"
    assert (mail.notes, mail.coded, mail.faults) == (
        "\n util/a.c | 2 +-\n 1 file changed\n".strip("\n"),
        False,
        (),
    )


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("A  \t B <a@b>", Address(name="A B", email="a@b"), "A B <a@b>"),
        ('"B, A" <a@b>', Address(name="B, A", email="a@b"), "B, A <a@b>"),
        ("a@b (A B)", Address(name="A B", email="a@b"), "A B <a@b>"),
        ("a@b", Address(email="a@b"), "<a@b>"),
        ("nobody", Address(name="nobody"), "nobody <>"),
        (' "A"  <uid42> ', Address(name="A", email="uid42"), "A <uid42>"),
        ("", Address(), "<>"),
    ],
)
def test_address_is_split(text, address, written):
    assert parse_address(text) == address
    assert str(address) == written


def test_comments_of_an_address_may_be_nested_deeply():
    assert parse_address("(" * 3000 + "a@b").email == ""


def test_addresses_are_compared_without_case_and_name():
    one = Address(name="A", email="a@example.org")
    assert one.is_same(Address(name="B", email="A@EXAMPLE.org"))
    assert not one.is_same(Address(name="A", email="b@example.org"))
    assert not Address(name="A").is_same(Address(name="A"))


@pytest.mark.parametrize(
    ("data", "details"),
    [
        (b"From: a@b\nSubject: =?utf-8?b?a?=\n\nx\n", ["Subject"]),
        (b"From: a@b\nSubject: =?x-none?q?a?=\n\nx\n", ["x-none"]),
        (b"From: a@b\nSubject: =?utf-8?q?a=ff?=\n\nx\n", ["utf-8"]),
        (b"From: a@b\nSubject: x\nContent-Type: text/plain; charset=utf-7\n\n+2AA-\n", ["utf-7"]),
        (b"From: a@b\nSubject: x\nContent-Type: text/plain; charset=us-ascii\n\n\xff\n", []),
        (b"From: a@b\nSubject: x\nContent-Type: text/plain; charset=ascii\n\n\xff\n", []),
        (b"From: a@b\nSubject: x\nContent-Type: text/plain; charset=unknown-8bit\n\n\xff\n", []),
        (b"From: a@b\nSubject: x\n\n\xff\n", ["no character set"]),
        (b"words\xff\n", ["From:", "no author", "no character set"]),
        (b"Index: a\nFrom: a@b\n\nwords\n", ["From:", "no author", "git's format"]),
        (b"Description: a\nFrom: a@b\n\nwords\n", ["From:", "no author"]),
        (b"X-Other: a\n\nwords\n", ["From:", "no author"]),
        (b"From x Thu Jan 1 10:20:30 1970\nFrom: a@b\n\nwords\n", ["no Subject:"]),
        (b"Subject: x\n\nwords\n", ["no author"]),
        (b"Subject: [PATCH 0/1] x\nFrom: a@b\n\nwords\n", []),
        (b"Subject: [PATCH] x\nFrom: a@b\n\nwords\n", ["no file"]),
    ],
)
def test_faults_name_the_place(data, details):
    mail = read_mail(data, "x")
    assert len(mail.faults) == len(details), mail.faults
    for detail in details:
        assert any(detail in fault.detail for fault in mail.faults), mail.faults
    assert mail.subject.text.isprintable()


def test_raw_bytes_in_a_header_are_read_as_utf_8():
    mail = read_mail("From: J\u00fcrgen <j\u00fc@b>\nSubject: h\u00fcbsch\n\nx\n".encode(), "x")
    assert (mail.author, mail.subject.text) == (Address(name="J\u00fcrgen", email="j\u00fc@b"), "h\u00fcbsch")
    assert mail.faults == ()
    latin = read_mail("From: a@b\nSubject: h\u00fcbsch\n\nx\n".encode("latin-1"), "x")
    assert latin.subject.text == "h\u00fcbsch"
    assert [fault.kind for fault in latin.faults] == ["charset"]
    assert "Subject" in latin.faults[0].detail
    declared = "From: J\u0142 <a@b>\nSubject: \u0142\nContent-Type: text/plain; charset={}\n\nx\n"
    for charset in ("iso-8859-2", "ISO-8859-2"):
        mail = read_mail(declared.format(charset).encode("iso-8859-2"), "x")
        assert (mail.author.name, mail.subject.text, mail.faults) == ("J\u0142", "\u0142", ())
    unknown = read_mail(declared.format("x-none").encode("iso-8859-2"), "x")
    assert unknown.subject.text == "\u00b3"


def test_malformed_headers_are_kept_readable():
    assert (
        read_mail(b"From: a@b\nSubject: =?utf-8?q?a=ff?= b\n\nx\n", "x").subject.text
        == "a\N{REPLACEMENT CHARACTER} b"
    )
    assert read_mail(b"From: a@b\nSubject: =?utf-8?b?a?=\n\nx\n", "x").subject.text == "=?utf-8?b?a?="


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ("diff --git a/x b/y\nrename from x\nrename to y\n", True),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", True),
        ("diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n\n", True),
        ("diff --git a/x b/x\nindex 1..2 100644\n", False),
    ],
)
def test_patch_without_hunks_may_change_something(change, sound):
    mail = read_mail(patch(diff=change), "x")
    assert mail.is_sound is sound
    assert [fault.kind for fault in mail.faults] == ([] if sound else ["empty"])


def test_text_above_the_separator_is_the_message_and_below_it_are_notes():
    mail = read_mail(patch(message="Why.\n\n-- \nno signature", notes="v2: new\n a | 2 +-\n"), "x")
    assert (mail.message, mail.notes) == ("Why.\n\n-- \nno signature", "v2: new\n a | 2 +-")
    cover = read_mail(patch("[PATCH 0/2] x", message="Cover.\n--- \nnotes\n--\n2.39", diff=""), "x")
    assert (cover.message, cover.notes) == ("Cover.", "notes\n--\n2.39")
    signed = read_mail(patch("[PATCH 0/2] x", message="Cover.\n--\n2.39\n", diff=""), "x")
    assert signed.message == "Cover."


@pytest.mark.parametrize("start", ["diff --git ", "diff -u a b\n", "Index: a\n", "--- a/util/a.c\n+++ b"])
def test_diff_begins_at_the_first_line_of_one(start):
    plain = DIFF[DIFF.index("--- a") :]
    diff = DIFF if start == "diff --git " else plain if start.startswith("---") else start + plain
    mail = read_mail(patch(message="--- no diff\nWords.", diff=diff), "x")
    assert mail.message == "--- no diff\nWords."
    assert [change.path for change in mail.changes] == ["util/a.c"]


def test_names_of_files_in_the_notes_are_no_diff():
    mail = read_mail(patch(notes="v2:\n--- this goes\n+++ that comes\n"), "x")
    assert (mail.notes, mail.faults) == ("v2:\n--- this goes\n+++ that comes", ())
    assert [change.path for change in mail.changes] == ["util/a.c"]


def test_patch_below_scissors_in_a_reply_has_its_own_headers():
    text = "Or so?\n\n-- >8 --\nFrom: B <b@e.org>\nSubject: [PATCH] b: c\n\nWhy."
    mail = read_mail(patch("Re: [PATCH] util: count", message=text), "x")
    assert (mail.subject.title, mail.author.name, mail.message) == ("b: c", "B", "Why.")
    assert (mail.subject.reply, mail.answer) == (True, "Or so?")
    assert [fault.kind for fault in mail.faults] == ["scissors"]
    assert not read_mail(patch("[PATCH] util: count", message=text), "x").subject.reply


def test_last_line_without_a_newline_gets_one():
    data = patch().partition(b"-- \n")[0].rstrip(b"\n")
    mail = read_mail(data, "x")
    assert (mail.data, mail.diff, mail.faults) == (data, DIFF, ())
    assert mailbox_bytes(mail) == data + b"\n"


def test_headers_of_a_body_end_at_a_repeated_one():
    text = "\nFrom: B <b@example.org>\ndate: Wed, 2 Feb 2022 10:00:00 +0100\nDate: again\n"
    mail = read_mail(patch(message=text), "x")
    assert (mail.author.name, mail.date) == ("B", "Wed, 2 Feb 2022 10:00:00 +0100")
    assert mail.message == "Date: again"
    assert mail.subject.title == "util: count"
    nobody = read_mail(patch(message="Subject: b: c\nFrom: nobody\nText"), "x")
    assert (nobody.subject.title, nobody.message) == ("b: c", "From: nobody\nText")
    assert nobody.author.email == "a@example.org"


@pytest.mark.parametrize("kind", ["text/plain", "text/x-patch", "text/x-diff"])
def test_diff_in_a_part_of_a_mail_is_read(kind):
    part = f"Content-Type: {kind}; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n{DIFF}"
    inner = (
        f"Content-Type: multipart/mixed; boundary=c\n\n--c\n{part}--c\nContent-Type: image/png\n\nx\n--c--\n"
    )
    body = f"--b\nContent-Type: text/plain\n\nWords.\n---\n--b\n{inner}--b--\n"
    mail = read_mail(patch(message=body, diff="", headers="Content-Type: multipart/mixed; boundary=b\n"), "x")
    assert (mail.message, mail.diff) == ("Words.", DIFF)
    (fault,) = mail.faults
    assert f"text/plain, {kind}, image/png" in fault.detail


@pytest.mark.parametrize(
    ("coding", "charset", "coded"),
    [
        ("8bit", "UTF-8", False),
        ("8bit", "us-ascii", False),
        ("7BIT", "ASCII", False),
        ("8bit", "utf8", False),
        ("8bit", "iso-8859-1", True),
        ("base64", "UTF-8", True),
        ("Quoted-Printable ", "UTF-8", True),
    ],
)
def test_coding_of_a_mail_is_known(coding, charset, coded):
    head = f"From: a@b\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {coding}\n"
    assert read_mail(f"{head}\neA==\n".encode(), "x").coded is coded
    assert not read_mail(b"From: a@b\nSubject: x\n\nx\n", "x").coded


def quoted_printable(data):
    """RFC 2045, section 6.7, as far as the carriage returns need it: quopri makes all line ends alike."""
    return data.replace(b"=", b"=3D").replace(b"\r", b"=0D")


@pytest.mark.parametrize(
    ("coding", "encode"), [(b"Base64", base64.encodebytes), (b"quoted-printable", quoted_printable)]
)
def test_carriage_returns_of_an_encoded_body_are_removed_if_all_lines_have_them(coding, encode):
    crlf = patch(newline=b"\r\n").partition(b"\r\n\r\n")[2]
    mixed = crlf.replace(b" int one;\r\n", b" int one;\n")
    head = b"From: a@b\nSubject: [PATCH] x\nContent-Transfer-Encoding: " + coding + b"\n\n"
    whole, kept = head + encode(crlf), head + encode(mixed)
    assert ("\r" in read_mail(whole, "x").diff, kinds(whole)) == (False, ["crlf"])
    assert ("-int two;\r\n" in read_mail(kept, "x").diff, kinds(kept)) == (True, [])


def test_flowed_mail_may_delete_its_trailing_spaces():
    flowed = "Content-Type: text/plain; charset=UTF-8; format=Flowed; DelSp={}\n"
    texts = [
        read_mail(patch(message="one \ntwo", diff="", headers=flowed.format(value)), "x").message
        for value in ("Yes", "no")
    ]
    assert texts == ["onetwo", "one two"]
    assert unflow("  stuffed\n >From\nend ") == " stuffed\n>From\nend "


def test_mail_is_written_in_the_format_of_git():
    odd = read_mail(
        patch(
            "=?utf-8?q?=5BPATCH=5D_h=C3=BCbsch?=",
            sender="=?utf-8?q?J=C3=BCrgen?= <j@example.org>",
            coding="base64",
            message="Why.",
        ),
        "x",
    )
    assert mailbox_bytes(odd).decode() == (
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nDate: Tue, 1 Feb 2022 10:00:00 +0100\n"
        "Subject: =?utf-8?b?W1BBVENIXSBow7xic2No?=\nMessage-Id: <1@example.org>\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n"
        f"Why.\n---\n util/a.c | 2 +-\n 1 file changed\n\n{DIFF}-- \n2.39.5\n-- \nharness\n"
    )
    assert mailbox_bytes(read_mail(b"words\xff\n", "x")) == (
        b"From: unknown@localhost\nDate: Sat, 1 Jan 2000 00:00:00 +0000\n"
        b"Subject: [PATCH] no subject\nMIME-Version: 1.0\n"
        b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n"
        b"words\xc3\xbf\n---\n\n\n-- \nharness\n"
    )


def test_long_subject_is_folded_for_git():
    title = " ".join(["h\u00fcbsch"] * 20)
    written = mailbox_bytes(read_mail(patch(f"[PATCH] {title}", coding="base64"), "x"))
    assert read_mail(written, "x").subject.title == title
    assert max(map(len, written.partition(b"MIME-Version")[0].splitlines())) <= 78


def test_bytes_of_a_diff_in_no_character_set_are_written_as_they_are():
    data = patch("Re: [PATCH] util: a").replace(b"+int zwei;", b"+int zw\xe9i;")
    written = mailbox_bytes(read_mail(data, "x"))
    assert written != data, "the subject was normalised"
    assert b"\n+int zw\xe9i;" in written


def test_last_line_of_a_diff_is_written_whole():
    diff = DIFF[: DIFF.index(" int three")].replace("+int zwei; /* h\u00fcbsch */", "+X \n+X")
    data = patch(diff=diff.replace("1,3 +1,3", "1,2 +1,3"), newline=b"\r\n").partition(b"-- \r\n")[0]
    assert b"\n+X \n+X\n-- \n" in mailbox_bytes(read_mail(data, "x"))
    assert b"\n+X \n-- \n" in mailbox_bytes(read_mail(data.replace(b"+X \r\n+X", b"+X\r\n+X "), "x"))


@pytest.mark.parametrize(
    ("sender", "written"),
    [
        ("A <j\u00fc@example.org>", "A <j\u00fc@example.org>"),
        ("j\u00fc@example.org", "<j\u00fc@example.org>"),
        ("\u00c4 <j\u00fc@example.org>", "=?utf-8?b?w4Q=?= <j\u00fc@example.org>"),
        ("a@example.org", "a@example.org"),
    ],
)
def test_author_with_a_non_ascii_address_is_written_for_git(sender, written):
    mail = read_mail(patch(sender=sender, coding="base64"), "x")
    assert mailbox_bytes(mail).decode().startswith(f"From: {written}\n")


def test_subject_without_a_tag_gets_one_for_git():
    mail = read_mail(patch("util: count", coding="base64", diff="", message="x"), "x")
    assert b"\nSubject: [PATCH] util: count\n" in mailbox_bytes(mail)
    assert b"\nSubject: [PATCH 1/2] util: count\n" in mailbox_bytes(read_mail(patch(coding="base64"), "x"))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_no_exception(data):
    read_mail(data, "x")
    read_mail(b"Subject: [PATCH] x\nFrom: a\n\n" + data, "x")
    mailbox_bytes(read_mail(b"From: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" + data, "x"))


@pytest.mark.parametrize(
    ("line", "scissors"),
    [
        ("-- >8 --", True),
        ("-- 8< --", True),
        ("-- >% --", True),
        ("-- %< --", True),
        ("--->8---", True),
        ("  -- >8 --  \n", True),
        ("---------------8<---------------", True),
        ("- - - - >8 - - - - cut here - - - - 8< - - - -", True),
        ("-- >8 -- cut", True),
        ("-- >8 -- cut here please, this text is longer", False),
        (">8", False),
        ("- >8 -", False),
        ("----------", False),
        ("-- 8 < --", False),
        ("-  -  - >8 -  -  -", False),
        ("a >8 b 8< c and more", False),
        ("", False),
    ],
)
def test_scissors_are_those_of_git(line, scissors, tmp_path):
    assert is_scissors(line) is scissors
    mail = f"From: a@b\nSubject: x\n\nabove\n{line.strip()}\nbelow\n".encode()
    words = ["git", "mailinfo", "--scissors", tmp_path / "m", tmp_path / "d"]
    subprocess.run(words, input=mail, capture_output=True, check=True)
    assert ("above" not in (tmp_path / "m").read_text()) is scissors


def test_text_above_scissors_is_not_part_of_the_message():
    above = "Hello,\n\nTested-by: B <b@e.org>\n\n"
    mail = read_mail(patch(message=f"{above}-- >8 --\nFrom: C <c@e.org>\nSubject: util: other\n\nWhy."), "x")
    assert (mail.message, str(mail.author), mail.subject.title) == ("Why.", "C <c@e.org>", "util: other")
    assert [fault.kind for fault in mail.faults] == ["scissors"]
    assert b"Hello" not in mailbox_bytes(mail)
    twice = read_mail(patch(message=f"{above}-- >8 --\nmore\n-- >8 --\nWhy."), "x")
    assert twice.message == "Why."
    cover = read_mail(patch("[PATCH 0/2] x", message=f"{above}-- >8 --\nWhy.", diff=""), "x")
    assert (cover.message, cover.faults) == (f"{above}-- >8 --\nWhy.", ())
    reply = read_mail(patch("Re: x", message=f"{above}-- >8 --\nmore\n-- >8 --\nWhy."), "x")
    assert reply.answer == above.strip()


@pytest.mark.parametrize(
    ("subject", "title", "same"),
    [
        ("[PATCH v2 1/2] a: b", "a: b", True),
        ("a: b", "a: b", True),
        ("[tiny] a: b", "[tiny] a: b", True),
        ("[PATCH] [tiny] a: b", "[tiny] a: b", True),
        ("[RFC PATCH] [PATCH] a: b", "a: b", True),
        ("[Foo-devel] [PATCH 1/2] a: b", "a: b", False),
        ("[PATCH v2][1/2] a: b", "a: b", False),
        ("[hw,v2,1/2] a: b", "a: b", False),
        ("[RFC v2 1/2] a: b", "a: b", False),
        ("[PULL 1/2] a: b", "a: b", False),
        ("Re: [PATCH 1/2] a: b", "a: b", False),
        ("[PATCH]", "", False),
    ],
)
def test_git_reads_the_title_of_each_subject(subject, title, same, tmp_path):
    mail = read_mail(patch(subject), "x")
    written = mailbox_bytes(mail)
    assert (written == mail.data) is same
    words = ["git", "mailinfo", "-b", tmp_path / "m", tmp_path / "d"]
    ended = subprocess.run(words, input=written, capture_output=True, check=True)
    assert f"Subject: {title or 'no subject'}\n" in ended.stdout.decode()


def test_raw_bytes_and_encoded_words_may_be_mixed():
    sender = "From: =?utf-8?q?J=C3=B6rg?= M\u00fcller <j@e.org>\n"
    subject = "Subject: \u00fc =?utf-8?q?=C3=BC?=\n =?utf-8?q?_x?= =?y?=\n"
    mail = read_mail(f"{sender}{subject}\nx\n".encode(), "x")
    assert (mail.author.name, mail.subject.text) == ("J\u00f6rg M\u00fcller", "\u00fc \u00fc x =?y?=")
    assert mail.faults == ()


def test_message_is_utf_8_and_the_diff_keeps_its_bytes():
    mail = read_mail(patch(message="h\u00fcbsch", charset="latin-1").replace(b"charset=latin-1", b"x=y"), "x")
    assert (mail.message, "h\udcfcbsch" in mail.diff) == ("h\u00fcbsch", True)
    assert [fault.kind for fault in mail.faults] == ["charset"]


def test_html_without_a_text_is_a_fault():
    headers = "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n"
    part = "--b\nContent-Type: text/{}\n\nx\n"
    only = read_mail(patch(headers=headers, message=part.format("html") + "--b--\n", diff=""), "x")
    assert [fault.kind for fault in only.faults] == ["multipart", "html"]
    both = part.format("plain") + part.format("html") + "--b--\n"
    assert "html" not in [
        f.kind for f in read_mail(patch(headers=headers, message=both, diff=""), "x").faults
    ]


def test_text_after_the_last_hunk_is_noted_and_a_cut_line_is_damage():
    footer = patch().replace(b"-- \n2.39.5\n", b"This mail is confidential.\n")
    mail = read_mail(footer, "x")
    assert [(fault.kind, "confidential" in fault.detail) for fault in mail.faults] == [("trailing", True)]
    assert mail.is_sound
    cut = read_mail(patch(diff=f"{DIFF}rest of a line\n"), "x")
    assert [(fault.kind, "rest of a line" in fault.detail) for fault in cut.faults] == [("damaged", True)]


def test_text_of_a_mail_is_decoded():
    mail = read_mail(patch(coding="base64", message="base-commit: x"), "x")
    assert mail.text == f"{mail.message}\n{mail.notes}\n{mail.diff}"
    assert mail.text.startswith("base-commit: x\n")
