"""Read the patches that a mail contains: attached files, forwarded mails, several patches in one text.

git-mailinfo(1) joins the text of all parts. With a file of git format-patch attached, the headers of that
file would become part of the commit message, and two of them one commit.
"""

import base64
import contextlib
import email.message
import email.policy
import quopri
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.errors import OptionError
from harness.series.compressed import unpack
from harness.series.decode import CODINGS, Fault, coding_of
from harness.series.mail import BOM, Mail, Parsed, mail_of, parse_mail
from harness.series.mbox import from_lines, split_mbox, unquoted

_EXACT = email.policy.compat32.clone(max_line_length=0, mangle_from_=False)
_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64decode,
    "quoted-printable": quopri.decodestring,
}
_DEEPEST = 3
"""Mails in mails in mails are read, no deeper."""
_HEADERS = re.compile(rb"\s*(?:From .*\n)?((?:[A-Za-z][A-Za-z0-9-]*:.*\n(?:[ \t].*\n)*)+)\r?\n")
_BY_GIT = re.compile(rb"From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001\r?\n")
_SUBJECT = re.compile(rb"^(?:From|Subject):", re.MULTILINE | re.IGNORECASE)
_FORWARDED = re.compile(
    rb"^(?:-{2,}[ \t]*(?:(?:Begin|Start of) )?Forwarded message(?: from .{0,300}?)?[ \t]*-{2,}|"
    rb"Begin forwarded message:)\s*\n",
    re.MULTILINE | re.IGNORECASE,
)


def read_mails(data: bytes, origin: str, *, alone: bool = False, depth: int = 0) -> tuple[Mail, ...]:
    """Read the mail in ``data``: itself, or the patches that it contains.

    A patch attached to a reply is not part of the series, unless the mail is ``alone``.
    """
    parsed = parse_mail(data)
    held = {} if depth == _DEEPEST else {id(part): _held(part) for part in parsed.parts}
    inner = [
        mail
        for part in parsed.parts
        for each in held.get(id(part), ())
        for mail in read_mails(each, origin, alone=True, depth=depth + 1)
        if mail.diff
    ]
    outer = mail_of(parsed, origin, parsed.parts)
    is_reply = outer.subject.reply and not outer.subject.forwarded and not alone
    if not inner or is_reply or _quotes(parsed, outer, inner):
        return (outer,)
    own = mail_of(parsed, origin, [part for part in parsed.parts if not held[id(part)]])
    inner = [_within(outer, mail, at, parsed) for at, mail in enumerate(inner) if mail.changes != own.changes]
    found = [own, *inner] if own.diff else inner
    if len(found) == 1:
        return (_with_tag_of(outer, found[0]),)
    return tuple(replace(mail, origin=f"patch {at} of {origin}") for at, mail in enumerate(found, start=1))


def read_mbox(data: bytes, origin: str) -> tuple[Mail, ...]:
    """Read the mails of a mailbox, or a single patch."""
    parts = split_mbox(data.removeprefix(BOM))
    if len(parts) == 1:
        # With its From line: the digest is that of the whole file. git format-patch quotes nothing.
        whole = data if parts[0] in data or _BY_GIT.match(data) else parts[0]
        return read_mails(whole, origin, alone=True)
    return tuple(
        mail
        for number, part in enumerate(parts, start=1)
        for mail in read_mails(part, f"mail {number} of {origin}")
    )


def _held(part: email.message.Message) -> tuple[bytes, ...]:
    """Return the mails that ``part`` contains."""
    if part.is_multipart():  # message/rfc822
        inner = part.get_payload(0)
        assert isinstance(inner, email.message.Message)
        return (_bytes_of(part, inner),)
    kind = part.get_content_type()
    if kind == "text/html" or part.get_content_maintype() not in ("text", "application"):
        return ()
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    with contextlib.suppress(OptionError):  # damaged
        raw = unpack(raw, "")
    if coding_of(part) in CODINGS:
        raw = raw.replace(b"\r\n", b"\n")
    if raw.startswith(b">From "):
        raw = unquoted(raw)  # by a mailbox
    if marked := _FORWARDED.search(raw):
        return (raw[marked.end() :].lstrip(),)
    if starts := from_lines(b"\n\n" + raw):  # also a line at its beginning needs headers below it
        return split_mbox(raw[starts[0] - 2 :])
    attached = kind != "text/plain" or part.get_filename() is not None
    headers = _HEADERS.match(raw) if attached else None
    return (raw,) if headers and _SUBJECT.search(headers[1]) else ()


def _quotes(parsed: Parsed, outer: Mail, inner: Sequence[Mail]) -> bool:
    """Return whether the message of the patch ``outer`` quotes the headers of another mail, ``inner``."""
    return (
        not parsed.message.is_multipart()
        and outer.subject.is_patch
        and "\nFrom " in outer.message
        and not outer.message.startswith("From ")
        and len(inner) == 1
        and inner[0].subject.title != outer.subject.title
    )


def _bytes_of(part: email.message.Message, inner: email.message.Message) -> bytes:
    """Return the forwarded mail ``inner`` of ``part``. RFC 2046 forbids to encode it, mail programs do it."""
    decode = _DECODERS.get(coding_of(part), bytes)
    try:
        return decode(inner.as_bytes(policy=_EXACT))
    except Exception:  # noqa: BLE001 - the generator raises many types for malformed headers
        return b""


def _within(outer: Mail, mail: Mail, at: int, parsed: Parsed) -> Mail:
    """Return ``mail`` with the place in the thread of ``outer``, which contains it, unless it has its own."""
    detail = f"it is in another mail: {', '.join(part.get_content_type() for part in parsed.parts)}"
    placed = replace(mail, faults=(*mail.faults, Fault(kind="multipart", detail=detail)))
    if mail.message_id:
        return placed
    above = outer.references if not at else tuple(filter(None, (*outer.references, outer.message_id)))
    return replace(placed, message_id="" if at else outer.message_id, references=above)


def _with_tag_of(outer: Mail, mail: Mail) -> Mail:
    """Give ``mail`` the number and version in the subject of ``outer``, if its own subject has none."""
    subject, own = outer.subject, mail.subject
    if not subject.is_patch or own.counted or own.version > 1 or not (subject.counted or subject.version > 1):
        return mail
    tag = subject.text.removesuffix(subject.title)
    return replace(mail, subject=replace(subject, text=tag + own.title, title=own.title))
