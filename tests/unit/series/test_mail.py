"""For each irregularity of a mail, either the diff is unchanged or a fault records the loss."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.series import mailbox_bytes, read_mail
from harness.series.mail import unflow
from harness.series.subject import parse_subject
from tests.unit.series.mails import DIFF, patch


def kinds(data: bytes) -> list[str]:
    return [fault.kind for fault in read_mail(data, "x").faults]


@pytest.mark.parametrize("coding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_transfer_encodings_give_the_same_diff(coding: str, newline: bytes) -> None:
    mail = read_mail(patch(coding=coding, newline=newline), "x")
    assert mail.diff.startswith(DIFF)
    assert mail.message == "Because it counts.\n\nSigned-off-by: A U Thor <a@example.org>"
    assert "1 file changed" in mail.notes
    assert [fault.kind for fault in mail.faults] == (["crlf"] if newline == b"\r\n" else [])
    assert mail.is_sound


def test_latin_1_is_decoded_and_a_wrong_charset_is_a_fault() -> None:
    good = patch(charset="iso-8859-1")
    assert "hübsch" in read_mail(good, "x").diff
    assert kinds(good) == []
    assert kinds(good.replace(b"iso-8859-1", b"UTF-8")) == ["charset"]
    assert kinds(good.replace(b"iso-8859-1", b"x-nonesuch")) == ["charset"]


def test_flowed_mail_is_unflowed_and_has_a_fault() -> None:
    flowed = "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8; format=flowed\n"
    stuffed = DIFF.replace("\n ", "\n  ")
    mail = read_mail(patch(diff=stuffed, headers=flowed), "x")
    assert mail.diff.startswith(DIFF)
    assert [fault.kind for fault in mail.faults] == ["flowed"]
    broken = stuffed.replace("+int zwei; /* h\u00fcbsch */", "+int zwei; /* \nh\u00fcbsch */")
    assert read_mail(patch(diff=broken, headers=flowed), "x").diff.startswith(DIFF)
    assert kinds(patch(diff=DIFF)) == []


def test_fault_of_a_wrapped_line_names_the_hunk() -> None:
    mail = read_mail(patch(diff=DIFF.replace("zwei; /*", "zwei;\n/*")), "x")
    (fault,) = mail.faults
    assert fault.kind == "damaged"
    assert "@@ -1,3 +1,3 @@" in fault.detail
    assert not mail.is_sound


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"just words\n", "no-headers"),
        (patch(diff="diff --git a/x b/x\n"), "empty"),
        (patch(message="Words.\n---\n note", diff=""), "empty"),
        (patch(sender="nobody"), "no-author"),
        (patch(headers="Content-Type: text/html\n"), "html"),
    ],
)
def test_mail_without_a_patch_has_a_fault_with_the_reason(data: bytes, kind: str) -> None:
    assert kind in kinds(data)
    if kind != "no-author":
        assert not read_mail(data, "x").is_sound


def test_text_and_patch_are_read_from_a_multipart_mail() -> None:
    body = (
        "--b\nContent-Type: text/plain\n\nWords.\n--b\nContent-Type: text/x-patch; charset=UTF-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{DIFF}\n--b\nContent-Type: text/html\n\n<p>\n--b--\n"
    )
    headers = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
    mail = read_mail(patch(message=body, diff="", headers=headers), "x")
    assert mail.diff.startswith(DIFF)
    assert mail.message == "Words."
    assert [fault.kind for fault in mail.faults] == ["multipart"]


def test_headers_in_the_body_override_those_of_the_mail() -> None:
    mail = read_mail(
        patch(message="From: B <b@example.org>\nSubject: util: folded\n over lines\n\nText."), "x"
    )
    assert (mail.author.email, mail.sender.email) == ("b@example.org", "a@example.org")
    assert mail.subject.title == "util: folded over lines"
    assert mail.message == "Text."
    kept = read_mail(patch(message="From: here on it counts.\n\nText."), "x")
    assert kept.message.startswith("From: here on")


def test_plain_diff_is_converted_to_git_format() -> None:
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


def test_git_reads_the_normalised_mail(tmp_path: Path) -> None:
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
def test_subject_is_parsed(text: str, facts: tuple[object, ...]) -> None:
    found = parse_subject(text)
    assert (found.kind, found.version, found.number, found.total, found.rfc, found.title) == facts
    assert not found.reply
    assert parse_subject(f"Re: {text}").reply


def test_unflow_keeps_the_signature_separator() -> None:
    assert unflow(" a \nb\n-- \nc") == "a b\n-- \nc"
    assert unflow("a \nb", delsp=True) == "ab"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_no_exception(data: bytes) -> None:
    read_mail(data, "x")
    read_mail(b"Subject: [PATCH] x\nFrom: a\n\n" + data, "x")
    mailbox_bytes(read_mail(b"From: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" + data, "x"))
