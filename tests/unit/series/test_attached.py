"""Patches in attachments, in forwarded mails and in the text of one mail."""

import base64
import gzip
import quopri

import pytest

from harness.series.attached import read_mbox
from tests.unit.series.mails import DIFF, mbox, patch

FROM = b"From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n"
OTHER = DIFF.replace("zwei", "drei")


def file_of(subject="[PATCH] util: inner", *, diff=DIFF, sender="I <i@e.org>", ident=""):
    """Return a file of git format-patch."""
    data = patch(subject, sender=sender, diff=diff, message="Inner.", ident=ident or "x@y")
    return FROM + (data if ident else data.replace(b"Message-Id: <x@y>\n", b""))


def part(data, kind="text/x-patch", *, coding="base64", more=""):
    coded = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(coding, bytes)(data)
    head = f"Content-Type: {kind}\nContent-Transfer-Encoding: {coding}\n{more}\n"
    return head.encode() + coded


def multipart(*parts, subject="[PATCH] outer", text=b"Have a look.\n", above="", kind="mixed"):
    """Return a mail of ``text`` and ``parts`` by another person."""
    body = b"".join(b"--b\n" + one + b"\n" for one in (b"Content-Type: text/plain\n\n" + text, *parts))
    head = f"From: O <o@e.org>\nSubject: {subject}\nMessage-Id: <o@e.org>\n"
    if above:
        head += f"In-Reply-To: <{above}>\n"
    return head.encode() + f"Content-Type: multipart/{kind}; boundary=b\n\n".encode() + body + b"--b--\n"


def facts(mail):
    return mail.subject.title, str(mail.author), mail.message


INNER = ("util: inner", "I <i@e.org>", "Inner.")


@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize(
    "kind",
    [
        "text/x-patch",
        "text/x-diff",
        "text/x-csrc",
        "text/plain; name=x.patch",
        "application/octet-stream",
        "application/x-patch",
        "application/mbox",
    ],
)
def test_attached_file_of_git_is_the_patch(kind, coding):
    (mail,) = read_mbox(mbox(multipart(part(file_of(), kind, coding=coding))), "x")
    assert facts(mail) == INNER
    assert mail.diff.startswith(DIFF)
    assert (mail.message_id, mail.references, mail.origin) == ("o@e.org", (), "x")
    (fault,) = [one for one in mail.faults if one.kind == "multipart"]
    assert f"text/plain, {kind.partition(';')[0]}" in fault.detail
    assert mail.is_sound


@pytest.mark.parametrize(
    "data",
    [
        file_of()[len(FROM) :],
        b"\n" + file_of(),
        file_of().replace(b"\n", b"\r\n"),
        gzip.compress(file_of()),
        file_of().replace(b"From: I", b"X: 1\n folded\nFrom: I"),
    ],
    ids=["no From line", "empty line", "CR LF", "gzip", "folded"],
)
def test_attached_file_may_have_another_form(data):
    (mail,) = read_mbox(multipart(part(data, "application/octet-stream")), "x")
    assert facts(mail) == INNER
    assert mail.is_sound


def test_name_of_an_attachment_makes_a_text_a_file():
    disposition = 'Content-Disposition: attachment; filename="1.patch"\n'
    whole = file_of()[len(FROM) :]
    (mail,) = read_mbox(multipart(part(whole, "text/plain", more=disposition)), "x")
    assert facts(mail) == INNER
    (text,) = read_mbox(multipart(part(whole, "text/plain")), "x")
    assert text.author.name == "O", "headers in a text are not those of a file"


def test_attached_diff_has_the_author_and_message_of_its_mail():
    for kind in ("text/x-csrc", "application/octet-stream", "text/plain"):
        (mail,) = read_mbox(multipart(part(DIFF.encode(), kind), text=b"Why.\n"), "x")
        assert facts(mail) == ("outer", "O <o@e.org>", "Why.")
        assert mail.diff == DIFF
    for kind in ("text/html", "image/png"):
        (mail,) = read_mbox(multipart(part(DIFF.encode(), kind)), "x")
        assert mail.diff == ""
        (mail,) = read_mbox(multipart(part(file_of(), kind)), "x")
        assert facts(mail) == ("outer", "O <o@e.org>", "Have a look.")


def test_attached_text_without_a_diff_is_not_part_of_the_message():
    (mail,) = read_mbox(multipart(part(b"log\n", "text/x-log"), part(DIFF.encode())), "x")
    assert mail.message == "Have a look."
    (mail,) = read_mbox(multipart(part(file_of(diff=""))), "x")
    assert facts(mail)[0] == "outer"


def test_several_files_are_several_patches_in_order():
    files = [
        part(file_of(f"[PATCH {number}/3] util: {number}", sender=f"A{number} <{number}@e.org>"))
        for number in (1, 2, 3)
    ]
    mails = read_mbox(multipart(*files, above="0@e.org"), "x")
    assert [mail.subject.number for mail in mails] == [1, 2, 3]
    assert [mail.author.name for mail in mails] == ["A1", "A2", "A3"]
    assert [mail.origin for mail in mails] == ["patch 1 of x", "patch 2 of x", "patch 3 of x"]
    assert [mail.message_id for mail in mails] == ["o@e.org", "", ""]
    assert [mail.references for mail in mails] == [("0@e.org",), *[("0@e.org", "o@e.org")] * 2]
    one = part(file_of("[PATCH 1/2] a: b") + b"\n" + file_of("[PATCH 2/2] a: c", diff=OTHER))
    assert [mail.subject.title for mail in read_mbox(multipart(one), "x")] == ["a: b", "a: c"]


def test_diff_in_the_text_and_attached_counts_once():
    text = b"Why.\n---\n" + DIFF.encode()
    (mail,) = read_mbox(multipart(part(file_of()), text=text), "x")
    assert facts(mail) == ("outer", "O <o@e.org>", "Why.")
    (mail,) = read_mbox(multipart(part(DIFF.encode()), text=text), "x")
    assert mail.diff.count("diff --git") == 1
    one, two = read_mbox(multipart(part(file_of(diff=OTHER)), text=text), "x")
    assert [one.subject.title, two.subject.title] == ["outer", "util: inner"]
    assert ("zwei" in one.diff, "drei" in two.diff) == (True, True)


def test_number_and_version_of_the_mail_are_those_of_a_file_without():
    (mail,) = read_mbox(multipart(part(file_of()), subject="[PATCH v2 2/3] outer"), "x")
    assert (mail.subject.version, mail.subject.number, mail.subject.total) == (2, 2, 3)
    assert (mail.subject.title, mail.subject.text) == ("util: inner", "[PATCH v2 2/3] util: inner")
    (mail,) = read_mbox(multipart(part(file_of()), subject="[PATCH v2] outer"), "x")
    assert (mail.subject.version, mail.subject.title) == (2, "util: inner")
    for inner in ("[PATCH 1/2] a: b", "[PATCH v3] a: b"):
        (mail,) = read_mbox(multipart(part(file_of(inner)), subject="[PATCH v2 2/3] outer"), "x")
        assert mail.subject.text == inner
    for outer in ("[PATCH] outer", "Fwd: [PATCH v2 2/3] outer", "outer"):
        (mail,) = read_mbox(multipart(part(file_of()), subject=outer), "x")
        assert mail.subject.text == "[PATCH] util: inner"


def rfc822(data, more=""):
    return f"Content-Type: message/rfc822\n{more}\n".encode() + data


def test_forwarded_mail_is_the_patch_with_its_own_thread():
    inner = patch("[PATCH 2/3] util: inner", sender="J\u00f6rg <j@e.org>", above="0@e.org", ident="i@e.org")
    for mail in (
        multipart(rfc822(inner), subject="Fwd: [PATCH 2/3] util: inner"),
        multipart(rfc822(inner), subject="please"),
        multipart(rfc822(base64.encodebytes(inner), "Content-Transfer-Encoding: base64\n")),
        multipart(rfc822(inner.replace(b"\n", b"\r\n"))),
        b"From: O <o@e.org>\nSubject: Fwd: x\nContent-Type: message/rfc822\n\n" + inner,
    ):
        (found,) = read_mbox(mail, "x")
        assert (found.subject.title, found.subject.number) == ("util: inner", 2)
        assert (str(found.author), found.message_id) == ("J\u00f6rg <j@e.org>", "i@e.org")
        assert found.references == ("0@e.org",)
        assert "rfc822" in found.faults[-1].detail
        assert found.is_sound
        assert "\n int three;\n" in found.diff


def test_forwarded_mail_keeps_its_text():
    title = "util: " + "long " * 40 + "title"
    inner = patch(
        f"[PATCH] {title}", message=f"Why.\n\nFrom here on.\n{'x' * 200}\n\nEnd.", sender="I <i@e.org>"
    )
    quoted = patch("[PATCH] a: b", message="Ja =3D " + "x" * 80, diff=DIFF.replace("*/", "=3D */"))
    more = "Content-Transfer-Encoding: quoted-printable\n"
    (found,) = read_mbox(multipart(rfc822(quoted, more)), "x")
    assert found.message == "Ja = " + "x" * 80
    assert "h\u00fcbsch = */" in found.diff
    for part_of in (
        rfc822(inner),
        rfc822(b"\n" + base64.encodebytes(inner), "content-transfer-encoding: BASE64\n"),
    ):
        (found,) = read_mbox(multipart(part_of), "x")
        assert found.subject.title == title
        assert found.message == f"Why.\n\nFrom here on.\n{'x' * 200}\n\nEnd."


def test_forwarded_mail_that_cannot_be_written_is_left_out(monkeypatch):
    def fail(*words, **more):
        raise KeyError("malformed")

    monkeypatch.setattr("email.message.Message.as_bytes", fail)
    (found,) = read_mbox(multipart(rfc822(patch())), "x")
    assert (found.subject.title, found.diff) == ("outer", "")
    (found,) = read_mbox(multipart(rfc822(b"A", "Content-Transfer-Encoding: base64\n")), "x")
    assert found.subject.title == "outer"


def test_digest_is_its_mails():
    mails = [patch(f"[PATCH {at}/2] a: {at}", ident=f"{at}@e.org") for at in (1, 2)]
    body = b"".join(b"--b\n\n" + mail + b"\n" for mail in mails)
    head = b"From: O <o@e.org>\nSubject: Digest\nContent-Type: multipart/digest; boundary=b\n\n"
    found = read_mbox(head + body + b"--b--\n", "x")
    assert [mail.message_id for mail in found] == ["1@e.org", "2@e.org"]


@pytest.mark.parametrize(
    "mark",
    [
        "---------- Forwarded message ---------",
        "-------- Forwarded Message --------",
        "--- begin forwarded message ---",
        "----- Forwarded message from I <i@e.org> -----\n",
        "----------  Forwarded Message  ----------\n",
        "-------------------- Start of forwarded message --------------------",
        "Begin forwarded message:\n",
    ],
)
@pytest.mark.parametrize("coding", ["8bit", "base64"])
def test_text_that_is_forwarded_has_its_author(mark, coding):
    headers = "Subject: [PATCH] util: inner\nFrom: I <i@e.org>\nTo: x@y\n"
    mail = patch(
        "Fwd: [PATCH] outer", message=f"Hello.\n\n{mark}\n{headers}\n\nInner.", coding=coding, ident="o@e.org"
    )
    (found,) = read_mbox(mail, "x")
    assert facts(found) == INNER
    assert (found.message_id, found.is_sound) == ("o@e.org", True)


@pytest.mark.parametrize("coding", ["8bit", "base64", "quoted-printable"])
def test_several_patches_in_one_text_are_read(coding):
    body = b"Both.\n\n" + file_of("[PATCH 1/2] a: b") + b"\n" + file_of("[PATCH 2/2] a: c", diff=OTHER)
    encode = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(coding, bytes)
    head = f"From: O <o@e.org>\nSubject: two\nContent-Transfer-Encoding: {coding}\n\n"
    found = read_mbox(head.encode() + encode(body), "x")
    assert [mail.subject.title for mail in found] == ["a: b", "a: c"]
    assert [mail.message for mail in found] == ["Inner.", "Inner."]
    assert all(mail.is_sound for mail in found)


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        (b"Hello,\n\n" + file_of("[PATCH] outer"), [("outer", "I")]),
        (b"Hello,\n\n" + file_of(), [("outer", "O")]),
        (file_of().replace(b"Inner.", b"Inner\nFrom here."), [("util: inner", "I")]),
        (b"Both.\n\n" + file_of() + file_of(diff=OTHER), [("util: inner", "I")] * 2),
        (b"Begin forwarded message:\n\n" + file_of()[len(FROM) :], [("util: inner", "I")]),
    ],
    ids=["same title", "quoted", "nothing above", "two", "forwarded"],
)
def test_file_in_the_text_of_a_patch_is_quoted_if_it_is_another_one_below_text(text, titles):
    found = read_mbox(b"From: O <o@e.org>\nSubject: [PATCH] outer\n\n" + text, "x")
    assert [(mail.subject.title, mail.author.name) for mail in found] == titles


def test_patches_below_a_text_without_headers_are_read():
    found = read_mbox(b"Both are below.\n\n" + file_of("[PATCH 1/2] a: b") + file_of("[PATCH 2/2] a: c"), "x")
    assert [mail.subject.title for mail in found] == ["a: b", "a: c"]


def test_patch_in_a_reply_is_read_only_if_the_reply_is_alone():
    reply = multipart(part(file_of()), subject="Re: [PATCH] outer")
    (alone,) = read_mbox(reply, "x")
    assert facts(alone) == INNER
    first, other = read_mbox(mbox(patch(), reply), "x")
    assert (first.subject.reply, other.subject.reply, other.message_id) == (False, True, "o@e.org")
    forwarded = multipart(part(file_of()), subject="Fwd: [PATCH] outer")
    assert facts(read_mbox(mbox(patch(), forwarded), "x")[1]) == INNER


def test_mails_in_mails_are_read_to_a_depth():
    data = patch("[PATCH] util: inner", sender="I <i@e.org>", message="Inner.")
    for depth in range(6):
        (found,) = read_mbox(data, "x")
        assert (facts(found) == INNER) is (depth <= 3), depth
        data = b"From: O <o@e.org>\nSubject: Fwd: x\n" + rfc822(data)


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=b{0}\n\n--b{0}", "message/rfc822\n"])
def test_deep_nesting_is_a_fault(kind):
    data = "".join(f"Content-Type: {kind.format(at)}\n" for at in range(2000)) + "\nx\n"
    for mail in read_mbox(f"From: a@b\nSubject: [PATCH] x\n{data}".encode(), "x"):
        assert "multipart" in [fault.kind for fault in mail.faults]
        assert (mail.subject.title, mail.diff) == ("x", "")


def test_numbers_of_mails_in_a_mailbox_are_kept():
    mails = read_mbox(mbox(patch(), multipart(part(file_of()), part(file_of(diff=OTHER)))), "t.mbox")
    assert [mail.origin for mail in mails] == [
        "mail 1 of t.mbox",
        "patch 1 of mail 2 of t.mbox",
        "patch 2 of mail 2 of t.mbox",
    ]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_before_a_mailbox_is_ignored(bom):
    assert len(read_mbox(bom + mbox(patch(), patch()), "x")) == 2
    assert read_mbox(bom + patch(), "x")[0].subject.title == "util: count"
