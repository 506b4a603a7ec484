"""Read one mail or patch file as a frozen Mail.

A mail is divided as git-mailinfo(1) does. No irregularity is corrected silently: each is recorded as a Fault,
which the checks of a series report.
"""

import email
import email.message
import email.parser
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from harness.series.address import Address, parse_address
from harness.series.decode import (
    CODINGS,
    CRLF,
    PLAIN_CHARSETS,
    Fault,
    charset_of,
    coding_of,
    decode,
    decoded_words,
    header_text,
    part_text,
    without_raw_bytes,
)
from harness.series.patch import FileChange, PatchFormatError, scan_changes
from harness.series.plain import git_diff, outside_of_hunks, text_after_hunks
from harness.series.subject import Subject, parse_subject

BOM = b"\xef\xbb\xbf"
DIFF_START = re.compile(r"^(?:diff --git |diff -[A-Za-z]|Index: |--- \S.*\n\+\+\+ \S.*\n@@ -)", re.MULTILINE)
_IN_BODY = re.compile(r"^(From|Subject|Date):\s*(.*(?:\n[ \t]+\S.*)*)\n?", re.IGNORECASE)
_BY_GIT = re.compile(r"\A\n*>From [0-9a-f]{40} Mon Sep 17 00:00:00 2001\n")
"""A line above the headers in a body that git-mailinfo(1) leaves out."""
_LONG = re.compile(
    rb"^(Content-[a-z-]+:(?:[^\n]|\n[ \t]){3000})(?:[^\n]|\n[ \t])*", re.MULTILINE | re.IGNORECASE
)
"""A header with parameters that the email package would need hours to read: its time is quadratic."""
_UTF_8 = ("utf-8", "utf8")
PARTS = 500
"""Parts of a mail that are read."""
_HEADER = re.compile(rb"^(?:From |[A-Za-z][A-Za-z0-9-]*:)")
_FORMATTED = re.compile(r"\.\d+\.git\.\S+$")
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
_INTERDIFF = re.compile(r"^Interdiff\b.*:$", re.MULTILINE)


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
    answer: str = ""
    """Its text as a reply: the body without hunks and signature, up to a scissors line."""
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

    @cached_property
    def is_cover(self) -> bool:
        """Whether it is a cover letter. A mail with the number 0 and a diff is a patch."""
        return self.subject.is_cover and not self.diff

    @cached_property
    def source(self) -> str:
        """A text that mails of one sender have in common.

        git format-patch --thread writes the author to ``From:``; its ids contain the time and the committer.
        """
        found = _FORMATTED.search(self.message_id)
        return found[0] if found else self.sender.email.lower()

    @property
    def text(self) -> str:
        """Message, notes and diff, decoded."""
        return f"{self.message}\n{self.notes}\n{self.diff}"

    @property
    def is_sound(self) -> bool:
        """Whether it contains a complete diff that git can read."""
        return bool(self.changes) and not any(fault.kind == "damaged" for fault in self.faults)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A mail as the email package splits it. ``text`` are its bytes with LF at the ends of the lines."""

    data: bytes
    text: bytes
    message: email.message.Message
    parts: tuple[email.message.Message, ...]
    """The parts that have no parts. A forwarded mail is one part."""
    has_headers: bool
    faults: tuple[Fault, ...]


def parse_mail(data: bytes) -> Parsed:
    """Split ``data`` into headers and parts. Never raises."""
    data = text = data.removeprefix(BOM)
    faults: list[Fault] = []
    if b"\r\n" in re.split(rb"\n\r?\n", data, maxsplit=1)[0]:
        faults.append(Fault(kind="crlf", detail=CRLF))
        text = data.replace(b"\r\n", b"\n")
    text = text if text.endswith(b"\n") else text + b"\n"  # git am reads an incomplete last line as damage
    headers = bool(_HEADER.match(text)) and not text.startswith((b"Index:", b"Description:"))
    whole = text if headers else b"\n" + text
    try:
        message = email.message_from_bytes(_LONG.sub(rb"\1", whole))
        parts = tuple(islice(_leaves(message), PARTS + 1))
    except RecursionError:
        message = email.parser.BytesParser().parsebytes(whole, headersonly=True)
        parts = ()
        faults.append(Fault(kind="multipart", detail="its parts are nested too deeply to be read"))
    if len(parts) > PARTS:
        parts = parts[:PARTS]
        faults.append(Fault(kind="multipart", detail=f"it has more than {PARTS} parts; the rest is not read"))
    if not headers or (message["From"] is None and message["Subject"] is None):
        faults.append(Fault(kind="no-headers", detail="it has neither a From: nor a Subject: header"))
    elif message["Subject"] is None:
        faults.append(Fault(kind="no-headers", detail="it has no Subject: header"))
    return Parsed(
        data=data, text=text, message=message, parts=parts, has_headers=headers, faults=tuple(faults)
    )


def read_mail(data: bytes, origin: str) -> Mail:
    """Read the mail in ``data``. Never raises: ``faults`` lists the parts that cannot be read."""
    parsed = parse_mail(data)
    return mail_of(parsed, origin, parsed.parts)


def mail_of(parsed: Parsed, origin: str, parts: Sequence[email.message.Message]) -> Mail:
    """Read the mail ``parsed``, with the text of ``parts``."""
    mail, faults = parsed.message, list(parsed.faults)
    if parsed.has_headers:
        body = _body(mail, parts, faults)
    else:
        body = decode(parsed.text, "", faults) if parts else ""
    subject = header_text(mail, "Subject", faults)
    sender = parse_address(header_text(mail, "From", faults))
    outer = parse_subject(subject)
    prose, notes, diff = _split(body, faults, outer)
    charsets = {charset_of(part).lower() for part in parts} - {*PLAIN_CHARSETS, *_UTF_8}
    if charsets and not diff.isascii():
        detail = (
            f"its diff was converted from {', '.join(sorted(charsets))} to UTF-8, which git am does not do"
        )
        faults.append(Fault(kind="charset", detail=detail))
    prose, inner = _in_body(prose, faults)
    author = parse_address(inner.get("from", "")) if "from" in inner else sender
    if not author.email:
        faults.append(Fault(kind="no-author", detail="it names no author"))
    parsed_subject = parse_subject(inner.get("subject") or subject)
    if outer.reply and any(fault.kind == "scissors" for fault in faults):
        # The patch below the scissors line of a reply is no part of the series that the reply is about.
        parsed_subject = replace(parsed_subject, reply=True, forwarded=outer.forwarded)
    expected = parsed_subject.is_patch and not parsed_subject.is_cover
    if not diff and expected and not any(fault.kind == "html" for fault in faults):
        faults.append(Fault(kind="empty", detail="it changes no file"))
    above = " ".join(header_text(mail, name, faults) for name in ("References", "In-Reply-To"))
    return Mail(
        data=parsed.data,
        origin=origin,
        message_id=next(iter(_ids(header_text(mail, "Message-Id", faults))), ""),
        references=tuple(dict.fromkeys(_ids(above))),
        sender=sender,
        author=author,
        date=inner.get("date") or header_text(mail, "Date", faults),
        subject=parsed_subject,
        message=without_raw_bytes(prose).strip(),
        notes=notes.strip("\n"),
        diff=diff,
        answer=_answer(body),
        coded=coding_of(mail) in CODINGS or charset_of(mail).lower() not in (*PLAIN_CHARSETS, *_UTF_8),
        faults=tuple(dict.fromkeys(faults)),
    )


def _leaves(message: email.message.Message) -> Iterator[email.message.Message]:
    if not message.is_multipart() or message.get_content_maintype() == "message":
        yield message
        return
    for part in message.get_payload():
        assert isinstance(part, email.message.Message)
        yield from _leaves(part)


def _body(mail: email.message.Message, parts: Sequence[email.message.Message], faults: list[Fault]) -> str:
    """Return the text of the mail: of a multipart mail, its plain text and all parts with a diff."""
    if not mail.is_multipart():
        return part_text(mail, faults) if parts else ""
    kinds = [part.get_content_type() for part in parts]
    faults.append(Fault(kind="multipart", detail=f"it is a multipart mail: {', '.join(kinds)}"))
    texts: list[str] = []
    for part, kind in zip(parts, kinds, strict=True):
        if kind != "text/html" and part.get_content_maintype() in ("text", "application"):
            found: list[Fault] = []
            text = part_text(part, found).rstrip("\n") + "\n"
            start = DIFF_START.search(text)
            # The same diff may be in the text and attached.
            if (kind == "text/plain" or start) and not (start and text[start.start() :] in "".join(texts)):
                texts.append(text)
                faults += found
    if not texts and "text/html" in kinds:
        part_text(parts[kinds.index("text/html")], faults)
    return "\n".join(texts)


def _split(body: str, faults: list[Fault], subject: Subject) -> tuple[str, str, str]:
    """Split ``body`` into message, notes and diff."""
    start = DIFF_START.search(body)
    if start and subject.is_cover and _INTERDIFF.search(body, 0, start.start()):
        start = None  # git format-patch --interdiff; git mailinfo would apply it
    prose, diff = (body[: start.start()], body[start.start() :]) if start else (body, "")
    message, notes = _cut(prose)
    if diff:
        diff = _checked(diff, faults)
    message = _below_scissors(message, faults) if diff else message
    if not diff:  # a cover letter's signature
        found_signature = _SIGNATURE.search(message)
        message = message[: found_signature.start()] if found_signature else message
    return message, notes, diff


def _checked(diff: str, faults: list[Fault]) -> str:
    """Return ``diff`` in git's format and record its faults; empty if it changes nothing."""
    diff, changed = git_diff(diff)
    if changed:
        faults.append(Fault(kind="not-git", detail="its diff is not in git's format; it was rewritten"))
    try:
        found = scan_changes(diff)
    except PatchFormatError as error:
        faults.append(Fault(kind="damaged", detail=str(error)))
        return diff
    if not any(map(_does_something, found)):
        return ""
    stray, trailing = text_after_hunks(diff)
    if stray:
        detail = f"{stray[:60]!r} is outside of a hunk: a line was wrapped or cut"
        faults.append(Fault(kind="damaged", detail=detail))
    elif trailing:
        faults.append(Fault(kind="trailing", detail=f"{trailing[:60]!r} after the last hunk is ignored"))
    return diff


def _below_scissors(message: str, faults: list[Fault]) -> str:
    """Return the text below the last scissors line of ``message``, as git mailinfo --scissors does.

    Without that option git keeps the text above such a line in the commit.
    """
    places = _scissors(message)
    if places:
        detail = "the text above its scissors line is not part of the message"
        faults.append(Fault(kind="scissors", detail=detail))
    return message[places[-1].end() :] if places else message


def _answer(body: str) -> str:
    text = outside_of_hunks(body)
    ends = [found.start() for found in (*_scissors(text)[:1], _SIGNATURE.search(text)) if found]
    return text[: min(ends, default=len(text))].strip()


def _scissors(text: str) -> list[re.Match[str]]:
    return [found for found in re.finditer(r"^.*(?:[8%]<|>[8%]).*\n?", text, re.M) if is_scissors(found[0])]


def is_scissors(line: str) -> bool:
    """Return whether ``line`` divides a mail, such as ``-- >8 --`` (is_scissors_line in git's mailinfo.c)."""
    perforation = gap = 0
    scissors = inside = False
    for piece in re.findall(r">8|8<|>%|%<|\S|\s", line):
        if piece.isspace():
            gap += inside
            perforation += inside
            continue
        scissors = scissors or len(piece) == 2
        inside = piece == "-" or len(piece) == 2
        perforation += len(piece) if inside else 0
    visible = len(line.strip())
    return scissors and 8 <= visible < perforation * 3 and gap * 2 < perforation


def _cut(prose: str) -> tuple[str, str]:
    found = re.search(r"^---\s*$", prose, re.MULTILINE)
    return (prose[: found.start()], prose[found.end() :]) if found else (prose, "")


def _does_something(change: FileChange) -> bool:
    return (
        bool(change.hunks) or change.binary or change.old != change.new or change.old_mode != change.new_mode
    )


def _in_body(text: str, faults: list[Fault]) -> tuple[str, dict[str, str]]:
    """Remove ``From:``, ``Subject:`` and ``Date:`` lines from the top of a body (git-am(1), "DISCUSSION")."""
    found: dict[str, str] = {}
    text = _BY_GIT.sub("", text, count=1)
    rest = text.lstrip("\n")
    while line := _IN_BODY.match(rest):
        key = line[1].lower()
        if key in found or (key == "from" and "@" not in line[2]):
            break
        found[key] = decoded_words(line[2], line[1], faults)
        rest = rest[line.end() :]
    return (rest, found) if found else (text, {})


def _ids(text: str) -> list[str]:
    return re.findall(r"<([^<>\s]+)>", text)
