"""Write a mail in the format of ``git format-patch``, so that git reads it as the harness did."""

import email.header
import email.utils
import re

from harness.series.mail import Mail

_TAGS = re.compile(r"(?:\[[^\]]*PATCH[^\]]*\]\s*)*")
"""The tags that ``git am --keep-non-patch`` removes from a subject (git-mailinfo(1), ``-b``)."""


def mailbox_bytes(mail: Mail) -> bytes:
    """Return ``mail`` in the format of ``git format-patch``: UTF-8, 8bit, LF, its author in ``From:``.

    A mail in that format is returned unchanged, so that the checks see the bytes that were sent. What is
    formatted here has no ``From `` line, so that git-mailsplit(1) divides no message that quotes such a line.
    """
    text, title = mail.subject.text, mail.subject.title
    same = bool(title) and _TAGS.sub("", text, count=1) == title
    if same and not mail.coded and not mail.faults:
        return mail.data if mail.data.endswith(b"\n") else mail.data + b"\n"
    from_line = _from_line(mail.author.name, mail.author.email or "unknown@localhost")
    subject = text if same and mail.subject.kind else f"[PATCH] {title or 'no subject'}"
    if not subject.isascii():
        subject = email.header.Header(subject, header_name="Subject").encode()
    parts = [
        f"From: {from_line}",
        f"Date: {mail.date or 'Sat, 1 Jan 2000 00:00:00 +0000'}",
        f"Subject: {subject}",
        *([f"Message-Id: <{mail.message_id}>"] if mail.message_id else []),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        mail.message,
        "---",
        *([mail.notes] if mail.notes else []),
        "",
        mail.diff.rstrip("\n"),
        "-- ",
        "harness",
        "",
    ]
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def _from_line(name: str, address: str) -> str:
    """Format the value of ``From:``. A non-ASCII address stays in UTF-8 (RFC 6532), which git reads."""
    if address.isascii():
        return email.utils.formataddr((name, address))
    return f"{email.utils.formataddr((name, 'a@b')).removesuffix('<a@b>').removesuffix('a@b')}<{address}>"
