"""Split a mailbox into its mails, in the order of the file.

``From `` lines separate the mails as in git-mailsplit(1): such a line ends in a time and a year. The quoting
of mboxo and mboxrd (``>From ``) is undone.
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
"""Maximum size of a mailbox in bytes, decompressed. A thread is a thousand times smaller."""

_FROM_LINE = re.compile(rb"^From .*\d{1,2}:\d{2}(?::\d{2})?.*\d{4}[^\n]*\n", re.MULTILINE)
_OF_GIT = re.compile(rb"From [0-9a-f]{40}(?:[0-9a-f]{24})? Mon Sep 17 00:00:00 2001")
"""The first line that git-format-patch(1) writes, always with this date. It separates mails even without a
blank line before it, as in ``cat *.patch`` of patches without a signature."""
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_bytes(path: Path) -> bytes:
    """Read a mailbox or patch, and decompress gzip. Raises OptionError."""
    try:
        with path.open("rb") as stream:
            return unpack(stream.read(LIMIT + 1), str(path))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}", "make it readable") from error


def unpack(data: bytes, origin: str) -> bytes:
    """Decompress ``data`` if it begins as gzip (RFC 1952). Raises OptionError if damaged or too large."""
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = stream.read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise OptionError(
                f"{origin} is a damaged or truncated gzip file: {error}", "download it again"
            ) from error
    if len(data) > LIMIT:
        raise OptionError(
            f"{origin} is larger than {LIMIT // 1024**2} MiB", "reduce it to the mails of the series"
        )
    return data


def split_mbox(data: bytes) -> tuple[bytes, ...]:
    """Return each mail of ``data`` without its ``From `` line; ``data`` itself if it has no such line."""
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
    """Read the mails of a mailbox, or a single patch."""
    parts = split_mbox(data)
    if len(parts) == 1:
        return (read_mail(data, origin),)  # with its From line: the digest is that of the whole file
    return tuple(read_mail(part, f"mail {number} of {origin}") for number, part in enumerate(parts, start=1))


def _unquote(mail: bytes) -> bytes:
    # The blank line before the next From line belongs to the format, not to the mail.
    body = mail[:-1] if mail.endswith(b"\n\n") else mail
    return _QUOTED.sub(rb"\1", body)
