"""Decompress mailboxes and patches: gzip, bzip2, xz, lzma and zstd, which their first bytes identify."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.errors import OptionError

LIMIT = 256 * 1024 * 1024
"""Maximum size of a mailbox in bytes, decompressed. A thread is a thousand times smaller."""
SUFFIXES = (".gz", ".bz2", ".xz", ".lzma", ".zst")
_MEMORY = 128 * 1024 * 1024
"""Maximum memory of a decompressor in bytes: xz -9 needs 65 MiB, zstd --ultra -22 needs 128 MiB."""
_PIECE = 4096
"""Bytes to decompress at once. The worst ratio is zstd's, 128 KiB for 4 bytes: 128 MiB."""
_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path) -> bytes:
    """Read a mailbox or patch, and decompress it. Raises OptionError."""
    try:
        with path.open("rb") as stream:
            return unpack(stream.read(LIMIT + 1), str(path))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}", "make it readable") from error


def unpack(data: bytes, origin: str) -> bytes:
    """Decompress ``data`` if it is compressed; convert UTF-16, which PowerShell's ``>`` writes, to UTF-8.

    Raises OptionError if it is damaged or too large.
    """
    magic, name, new = next(
        (one for one in _FORMATS if data.startswith(one[0])), (b"", "", zlib.decompressobj)
    )
    if name:
        try:
            data = _decompress(data, magic, new)
        except ImportError as error:
            raise OptionError(f"{origin} is a zstd file: {error}", "unpack it: zstd -d") from error
        except Exception as error:
            raise OptionError(
                f"{origin} is a damaged or truncated {name} file: {error}", "download it again"
            ) from error
    archive = "tar" if data[257:262] == b"ustar" else "zip" if data.startswith(b"PK\3\4") else ""
    if archive:
        raise OptionError(f"{origin} is a {archive} archive", "unpack it, and pass the folder to -Dseries=")
    if re.match(rb"# v\d git bundle\n", data):
        raise OptionError(
            f"{origin} is a git bundle", "fetch it in a clone (git fetch FILE REF), and pass the range"
        )
    if len(data) > LIMIT:
        raise OptionError(
            f"{origin} is larger than {LIMIT // 1024**2} MiB", "reduce it to the mails of the series"
        )
    return data.decode("utf-16", "replace").encode() if data.startswith(_BOMS) else data


class _Decompressor(Protocol):
    """The interface that all four libraries share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _zstd() -> _Decompressor:
    import zstandard  # noqa: PLC0415 - the only dependency for a rare format

    made: _Decompressor = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
    return made


_FORMATS: tuple[tuple[bytes, str, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", "gzip", lambda: zlib.decompressobj(wbits=31)),  # RFC 1952
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", "xz", lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
    # The format of lzma(1) before xz has no magic. These are its usual properties and the low bytes of the
    # dictionary's size, by which file(1) knows it too.
    (b"]\0\0", "lzma", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY)),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),  # RFC 8878
)


def _decompress(data: bytes, magic: bytes, new: Callable[[], _Decompressor]) -> bytes:
    """Decompress the streams in ``data``, up to a little more than LIMIT. Raises errors of the libraries."""
    out, at = bytearray(), 0
    while data.startswith(magic, at):
        stream = new()
        while not stream.eof:
            if at >= len(data):
                raise EOFError("it ends too early")
            if len(out) > LIMIT:
                return bytes(out)
            piece = data[at : at + _PIECE]
            out += stream.decompress(piece)
            at += len(piece)
        at -= len(stream.unused_data)
    return bytes(out)
