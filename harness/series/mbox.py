"""Split a mailbox into its mails, in the order of the file.

``From `` lines separate the mails as in git-mailsplit(1): such a line ends in a time and a year. The quoting
of mboxo and mboxrd (``>From ``) is undone.
"""

import re

_HEADER = rb"(?=[A-Za-z][A-Za-z0-9-]*:|>From )"
_FROM_LINE = re.compile(rb"^From .*\d{1,2}:\d{2}(?::\d{2})?.*\d{4}[^\n]*\n", re.MULTILINE)
_STRICT = re.compile(rb"From .*\d:\d\d:\d\d [^:\n]*\d{4}[^:\n]*\n" + _HEADER)
_LENIENT = re.compile(rb"From .*\n" + _HEADER)
"""A line that separates mails, without and with a blank line before it.

git-mailsplit(1) requires neither a blank line nor headers below it, and so divides a message that quotes
such a line.
"""
_HEAD = re.compile(rb"(?:[^\r\n]+\r?\n)+")
_FIELD = re.compile(rb"^(?:From|Date|Subject|Message-Id):", re.IGNORECASE | re.MULTILINE)
_DIFF = re.compile(rb"^(?:diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_BOUNDARY = re.compile(
    rb"^Content-Type:\s*multipart/.*?\bboundary=(?:\"([^\"\n]+)\"|([^\s;\"]+))",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)


def quote(mail: bytes) -> bytes:
    """Return ``mail`` with the quoting of mboxrd, which split_mbox undoes."""
    return _TO_QUOTE.sub(rb">\1", mail)


def from_lines(data: bytes) -> list[int]:
    """Return the offsets of the lines in ``data`` that begin a mail.

    Such a line in an attached file is none. git-mailsplit(1) divides the mail there.
    """
    starts: list[int] = []
    end = 0
    for found in _FROM_LINE.finditer(data):
        at = found.start()
        gap = data[max(0, at - 3) : at].endswith((b"\n\n", b"\n\r\n"))
        if at < end or (at and not (_LENIENT if gap else _STRICT).match(data, at)):
            continue
        head = _HEAD.match(data, found.end())
        if at and not (head and _FIELD.search(head[0])):
            continue
        starts.append(at)
        boundary = _BOUNDARY.search(head[0]) if head else None
        end = data.find(b"\n--" + (boundary[1] or boundary[2]) + b"--", at) if boundary else 0
    return starts


def split_mbox(data: bytes) -> tuple[bytes, ...]:
    """Return each mail of ``data`` without its ``From `` line; ``data`` itself if it has no such line.

    The first mail may lack that line, if it has headers and a diff.
    """
    starts = from_lines(data)
    if not starts:
        return (data,)
    first, head = data[: starts[0]], _HEAD.match(data)
    if first.strip():
        if not (head and _FIELD.search(head[0]) and _DIFF.search(first)):
            return (data,)
        starts.insert(0, 0)
    bodies = [data.find(b"\n", start) + 1 if data.startswith(b"From ", start) else start for start in starts]
    ends = [*starts[1:], len(data)]
    return tuple(_unquote(data[body:end]) for body, end in zip(bodies, ends, strict=True) if end > body)


def bare(mail: bytes) -> bytes:
    """Return ``mail`` without its ``From `` line: git-mailsplit(1) then divides it nowhere."""
    text = mail.lstrip()
    return text.partition(b"\n")[2] if text.startswith(b"From ") else mail


def _unquote(mail: bytes) -> bytes:
    # The blank line before the next From line belongs to the format, not to the mail.
    return unquoted(mail[:-1] if mail.endswith(b"\n\n") else mail)


def unquoted(mail: bytes) -> bytes:
    """Undo one level of the quoting of ``From `` in ``mail``."""
    return _QUOTED.sub(rb"\1", mail)
