"""Split a mailbox into its mails, in the order of the file.

``From `` lines separate the mails as in git-mailsplit(1): such a line ends in a time and a year. The quoting
of mboxo and mboxrd (``>From ``) is undone.
"""

from __future__ import annotations

import re

_FROM_LINE = re.compile(rb"^From .*\d{1,2}:\d{2}(?::\d{2})?.*\d{4}[^\n]*\n", re.MULTILINE)
_OF_GIT = re.compile(rb"From .*\d:\d\d:\d\d [^:\n]*\d{4}[^:\n]*\n(?=[A-Za-z][A-Za-z0-9-]*:|>From )")
"""A line that separates mails even without a blank line before it. git-mailsplit(1) accepts it before any
text, and so divides a message that quotes such a line; here, a header has to follow."""
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def from_lines(data: bytes) -> list[int]:
    """Return the offsets of the lines in ``data`` that begin a mail."""
    return [
        found.start()
        for found in _FROM_LINE.finditer(data)
        if found.start() == 0
        or _OF_GIT.match(data, found.start())
        or data[max(0, found.start() - 3) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]


def split_mbox(data: bytes) -> tuple[bytes, ...]:
    """Return each mail of ``data`` without its ``From `` line; ``data`` itself if it has no such line."""
    starts = from_lines(data)
    if not starts or data[: starts[0]].strip():
        return (data,)
    bodies = [data.find(b"\n", start) + 1 for start in starts]
    ends = [*starts[1:], len(data)]
    return tuple(_unquote(data[body:end]) for body, end in zip(bodies, ends, strict=True) if end > body)


def _unquote(mail: bytes) -> bytes:
    # The blank line before the next From line belongs to the format, not to the mail.
    body = mail[:-1] if mail.endswith(b"\n\n") else mail
    return _QUOTED.sub(rb"\1", body)
