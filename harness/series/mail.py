"""Decode one mail or patch file into a frozen Mail.

Decoding follows git-mailinfo(1), RFC 2045 (transfer encodings), RFC 2047 (headers) and RFC 3676
(``format=flowed``). No irregularity is corrected silently: each is recorded as a Fault, which the checks of a
series report.
"""

from __future__ import annotations

import email
import email.errors
import email.header
import email.message
import email.policy
import email.utils
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from harness.series.patch import FileChange, PatchFormatError, scan_changes
from harness.series.plain import git_diff, stray_line
from harness.series.subject import Subject, parse_subject

FaultKind = Literal[
    "no-headers", "no-author", "charset", "crlf", "flowed", "html", "multipart", "not-git", "damaged", "empty"
]
DIFF_START = re.compile(r"^(?:diff --git |diff -[A-Za-z]|Index: |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_IN_BODY = re.compile(r"^(From|Subject|Date):\s*(.*(?:\n[ \t]+\S.*)*)\n?", re.IGNORECASE)
_HEADER = re.compile(rb"^(?:From |[A-Za-z][A-Za-z0-9-]*:)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An irregularity of a mail. ``detail`` is one line for people."""

    kind: FaultKind
    detail: str


@dataclass(frozen=True, kw_only=True)
class Address:
    """A decoded display name and a mail address; either may be empty."""

    name: str = ""
    email: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else f"<{self.email}>"

    def is_same(self, other: Address) -> bool:
        """Return whether both have the same mail address, ignoring case."""
        return bool(self.email) and self.email.lower() == other.email.lower()


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail. ``data`` is its exact bytes, without the ``From `` line of an mbox."""

    data: bytes
    origin: str
    """The name of its file, or ``mail 3 of x.mbox``."""
    message_id: str
    references: tuple[str, ...]
    """Message ids of the mails that it follows, oldest first."""
    sender: Address
    author: Address
    """The address of the ``From:`` line in the body, or else the sender."""
    date: str
    subject: Subject
    message: str
    """The commit message: the body up to ``---`` or the diff, without in-body headers."""
    notes: str
    """The text between ``---`` and the diff: change log, diffstat."""
    diff: str
    """In git's format; empty without one."""
    coded: bool = False
    """Whether its bytes differ from its text in UTF-8: base64, quoted-printable or another charset."""
    faults: tuple[Fault, ...] = ()

    @property
    def sha256(self) -> str:
        """Digest of ``data``."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def changes(self) -> tuple[FileChange, ...]:
        """The changes of the diff; empty if it is damaged (which a Fault records)."""
        try:
            return scan_changes(self.diff)
        except PatchFormatError:
            return ()

    @property
    def is_sound(self) -> bool:
        """Whether it contains a complete diff that git can read."""
        return bool(self.changes) and not any(fault.kind == "damaged" for fault in self.faults)


def read_mail(data: bytes, origin: str) -> Mail:
    """Read the mail in ``data``. Never raises: ``faults`` lists the parts that cannot be read."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    faults: list[Fault] = []
    whole = data
    if b"\r\n" in re.split(rb"\n\r?\n", data, maxsplit=1)[0]:
        faults.append(Fault(kind="crlf", detail="its lines end in CR LF; the CRs were removed"))
        data = data.replace(b"\r\n", b"\n")
    headers = bool(_HEADER.match(data)) and not data.startswith((b"Index:", b"Description:"))
    mail = email.message_from_bytes(data if headers else b"\n" + data, policy=email.policy.compat32)
    if not headers or (mail["From"] is None and mail["Subject"] is None):
        faults.append(Fault(kind="no-headers", detail="it has neither a From: nor a Subject: header"))
    body = _body(mail, faults) if headers else _decode(data, "", faults)
    subject, sender = _header(mail, "Subject", faults), parse_address(_header(mail, "From", faults))
    prose, notes, diff = _split(body, faults)
    prose, inner = _in_body(prose)
    author = parse_address(inner.get("from", "")) if "from" in inner else sender
    if not author.email:
        faults.append(Fault(kind="no-author", detail="it names no author"))
    parsed = parse_subject(inner.get("subject") or subject)
    if not diff and parsed.is_patch and not parsed.is_cover and not any(f.kind == "html" for f in faults):
        faults.append(Fault(kind="empty", detail="it changes no file"))
    above = " ".join(_header(mail, name, faults) for name in ("References", "In-Reply-To"))
    return Mail(
        data=whole,
        origin=origin,
        message_id=next(iter(_ids(_header(mail, "Message-Id", faults))), ""),
        references=tuple(dict.fromkeys(_ids(above))),
        sender=sender,
        author=author,
        date=inner.get("date") or _header(mail, "Date", faults),
        subject=parsed,
        message=prose.strip(),
        notes=notes.strip("\n"),
        diff=diff,
        coded=_is_coded(mail),
        faults=tuple(dict.fromkeys(faults)),
    )


def split_address(text: str) -> tuple[str, str]:
    """Call email.utils.parseaddr. Return empty strings for comments nested so deeply that it overflows."""
    try:
        return email.utils.parseaddr(text)
    except RecursionError:
        return "", ""


def parse_address(text: str) -> Address:
    """Split ``Name <mail@example.org>`` as git does for an author."""
    name, address = split_address(text)
    if "@" not in address:
        name, address = text, ""
    if not address and (found := re.match(r"\s*(.*?)\s*<([^<>\s]+)>", text)):
        name, address = found[1].strip('" '), found[2]
    return Address(name=" ".join(name.split()), email=address.strip())


def mailbox_bytes(mail: Mail) -> bytes:
    """Return ``mail`` in the format of ``git format-patch``: UTF-8, 8bit, LF, its author in ``From:``.

    A mail in that format is returned unchanged, so that the checks see the bytes that were sent.
    """
    if not mail.coded and not mail.faults:
        return mail.data
    from_line = _from_line(mail.author.name, mail.author.email or "unknown@localhost")
    subject = mail.subject.text if mail.subject.kind else f"[PATCH] {mail.subject.text or 'no subject'}"
    if not subject.isascii():
        subject = email.header.Header(subject, "utf-8", maxlinelen=70, header_name="Subject").encode()
    parts = [
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001",
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
        return email.utils.formataddr((name, address), "utf-8")
    return (
        email.utils.formataddr((name, "a@b"), "utf-8").removesuffix("<a@b>").removesuffix("a@b")
        + f"<{address}>"
    )


def _split(body: str, faults: list[Fault]) -> tuple[str, str, str]:
    """Split ``body`` into message, notes and diff."""
    start = DIFF_START.search(body)
    prose, diff = (body[: start.start()], body[start.start() :]) if start else (body, "")
    message, notes = _cut(prose)
    if diff:
        diff, changed = git_diff(diff)
        if changed:
            faults.append(Fault(kind="not-git", detail="its diff is not in git's format; it was rewritten"))
        try:
            found = scan_changes(diff)
        except PatchFormatError as error:
            faults.append(Fault(kind="damaged", detail=str(error)))
        else:
            if not any(map(_does_something, found)):
                diff = ""
            if stray := stray_line(diff):
                faults.append(
                    Fault(
                        kind="damaged",
                        detail=f"{stray[:60]!r} is outside of a hunk: a line was wrapped or cut",
                    )
                )
    if not diff:  # a cover letter's or a reply's signature
        found_signature = _SIGNATURE.search(message)
        message = message[: found_signature.start()] if found_signature else message
    return message, notes, diff


def _cut(prose: str) -> tuple[str, str]:
    found = re.search(r"^---\s*$", prose, re.MULTILINE)
    return (prose[: found.start()], prose[found.end() :]) if found else (prose, "")


def _does_something(change: FileChange) -> bool:
    return (
        bool(change.hunks) or change.binary or change.old != change.new or change.old_mode != change.new_mode
    )


def _in_body(text: str) -> tuple[str, dict[str, str]]:
    """Remove ``From:``, ``Subject:`` and ``Date:`` lines from the top of a body (git-am(1), "DISCUSSION")."""
    found: dict[str, str] = {}
    rest = text.lstrip("\n")
    while line := _IN_BODY.match(rest):
        key = line[1].lower()
        if key in found or (key == "from" and "@" not in line[2]):
            break
        found[key] = _in_a_header(line[2])
        rest = rest[line.end() :]
    return (rest, found) if found else (text, {})


def _body(mail: email.message.Message, faults: list[Fault]) -> str:
    if not mail.is_multipart():
        return _part(mail, faults)
    texts, kinds = [], []
    for part in _leaves(mail):
        kinds.append(part.get_content_type())
        if part.get_content_type() in ("text/plain", "text/x-patch", "text/x-diff"):
            texts.append(_part(part, faults))
    faults.append(Fault(kind="multipart", detail=f"it is a multipart mail: {', '.join(kinds)}"))
    return "\n".join(text.rstrip("\n") + "\n" for text in texts)


def _is_coded(mail: email.message.Message) -> bool:
    coding = str(mail.get("Content-Transfer-Encoding", "")).strip().lower()
    charset = str(mail.get_param("charset") or "utf-8").lower()
    return coding in ("base64", "quoted-printable") or charset not in ("utf-8", "utf8", "us-ascii", "ascii")


def _leaves(mail: email.message.Message) -> Iterator[email.message.Message]:
    for part in mail.walk():
        if not part.is_multipart():
            yield part


def _part(part: email.message.Message, faults: list[Fault]) -> str:
    kind = part.get_content_type()
    if kind == "text/html":
        faults.append(Fault(kind="html", detail="it is HTML, which cannot contain a patch"))
        return ""
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    text = _decode(raw, str(part.get_param("charset") or ""), faults)
    coded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable")
    lines = text.split("\n")
    if coded and "\r" in text and all(line.endswith("\r") for line in lines[:-1]):
        text = text.replace("\r\n", "\n")
        faults.append(Fault(kind="crlf", detail="its lines end in CR LF; the CRs were removed"))
    if str(part.get_param("format") or "").lower() == "flowed":
        faults.append(Fault(kind="flowed", detail="it is format=flowed, which wraps and joins lines"))
        text = unflow(text, delsp=str(part.get_param("delsp") or "").lower() == "yes")
    return text


def unflow(text: str, *, delsp: bool = False) -> str:
    """Undo ``format=flowed``: soft line breaks (RFC 3676, section 4.2) and space-stuffing (4.4)."""
    lines: list[str] = []
    open_ = False
    for line in text.split("\n"):
        unstuffed = line.removeprefix(" ")
        soft = unstuffed.endswith(" ") and unstuffed != "-- "
        piece = unstuffed[:-1] if soft and delsp else unstuffed
        if open_:
            lines[-1] += piece
        else:
            lines.append(piece)
        open_ = soft
    return "\n".join(lines)


def _decode(raw: bytes, charset: str, faults: list[Fault]) -> str:
    if charset and charset.lower() not in ("us-ascii", "ascii", "unknown-8bit"):
        try:
            return _decode_whole(raw, charset)
        except LookupError:
            faults.append(Fault(kind="charset", detail=f"its character set {charset!r} is unknown"))
        except ValueError:  # UnicodeDecodeError, or the errors of codecs such as "undefined"
            faults.append(Fault(kind="charset", detail=f"it is not in {charset}, its declared character set"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if not charset:
            faults.append(Fault(kind="charset", detail="it is not UTF-8 and names no character set"))
        # Other bytes are kept: a changed file need not be UTF-8.
        return raw.decode("utf-8", "surrogateescape")


def _decode_whole(raw: bytes, charset: str) -> str:
    """Decode ``raw``. Raises UnicodeError also for lone surrogates, which cannot be encoded again."""
    text = raw.decode(charset)
    text.encode("utf-8")
    return text


def _header(mail: email.message.Message, name: str, faults: list[Fault]) -> str:
    value = mail.get(name)
    if value is None:
        return ""
    text = ""
    try:
        # Not str(value): a header with raw bytes is a Header, whose text has lost them.
        for chunk, charset in email.header.decode_header(value):
            if isinstance(chunk, str):
                text += chunk
            else:
                text += _decode(chunk, "" if charset in (None, "unknown-8bit") else str(charset), faults)
    except email.errors.HeaderParseError:
        faults.append(Fault(kind="charset", detail=f"its header {name}: is malformed"))
        text = str(value)
    return _in_a_header(text)


def _in_a_header(text: str) -> str:
    """Put ``text`` on one line and replace bytes that are not UTF-8, which RFC 2047 does not allow."""
    return " ".join(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).split())


def _ids(text: str) -> list[str]:
    return re.findall(r"<([^<>\s]+)>", text)
