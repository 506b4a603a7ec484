"""A mailbox file → its mails, in the order of the file.

``From `` lines part the mails as git-mailsplit(1) has it: such a line ends in a time and a year. What the
formats mboxo and mboxrd quoted (``>From ``) is unquoted.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

from harness.errors import OptionError
from harness.series.mail import Mail, read_mail

LIMIT = 256 * 1024 * 1024
"""Bytes that a mailbox may have, unpacked: a thread is a thousand times smaller."""

_FROM_LINE = re.compile(rb"^From .*\d{1,2}:\d{2}(?::\d{2})?.*\d{4}[^\n]*\n", re.MULTILINE)
_OF_GIT = re.compile(rb"From [0-9a-f]{40}(?:[0-9a-f]{24})? Mon Sep 17 00:00:00 2001")
"""What git-format-patch(1) begins each patch with, always at that time: no line of a diff or message is like
it, so it parts mails without a blank line before it too, as ``cat *.patch`` of unsigned patches has it."""
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_bytes(path: Path) -> bytes:
    """The bytes of a mailbox or patch, unpacked when they are gzip's. Raises OptionError."""
    try:
        with path.open("rb") as stream:
            return unpack(stream.read(LIMIT + 1), str(path))
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}", "make it readable") from error


def unpack(data: bytes, origin: str) -> bytes:
    """``data``, unpacked when it begins as gzip does (RFC 1952). Raises OptionError: damaged, too large."""
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = stream.read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise OptionError(f"{origin} is no whole gzip file: {error}", "get it again") from error
    if len(data) > LIMIT:
        raise OptionError(
            f"{origin} holds more than {LIMIT // 1024**2} MiB", "cut it down to the mails of the series"
        )
    return data


def split_mbox(data: bytes) -> tuple[bytes, ...]:
    """Each mail of ``data``, without its ``From `` line; ``data`` itself when it has none."""
    starts = [
        found
        for found in _FROM_LINE.finditer(data)
        if found.start() == 0
        or _OF_GIT.match(data, found.start())
        or data[max(0, found.start() - 3) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    if not starts or data[: starts[0].start()].strip():
        return (data,)
    ends = [*(found.start() for found in starts[1:]), len(data)]
    return tuple(
        _unquote(data[found.end() : end])
        for found, end in zip(starts, ends, strict=True)
        if end > found.end()
    )


def read_mbox(data: bytes, origin: str) -> tuple[Mail, ...]:
    """The mails of a mailbox, or the one patch that ``data`` is."""
    parts = split_mbox(data)
    if len(parts) == 1:
        return (read_mail(data, origin),)  # with its From line: a file's digest is that of its bytes
    return tuple(read_mail(part, f"mail {number} of {origin}") for number, part in enumerate(parts, start=1))


def _unquote(mail: bytes) -> bytes:
    # The blank line before the next From line belongs to the format, not to the mail.
    body = mail[:-1] if mail.endswith(b"\n\n") else mail
    return _QUOTED.sub(rb"\1", body)
