"""Write an initramfs: a reproducible cpio archive of format "newc", without a cpio program.

The kernel's Documentation/driver-api/early-userspace/buffer-format.rst describes the format. The bytes do not
depend on the machine: names are sorted, inode numbers are counted, the owner is root, times are 0.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import GuestError, StorageError
from harness.jsonfile import storing

CHUNK = 1 << 20
LARGEST = 0xFFFFFFFF
TRAILER = "TRAILER!!!"


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One file of an initramfs.

    ``name`` is its path without a leading slash; ``mode`` is st_mode with the type (inode(7)). ``data`` is
    the content of a file (bytes, or the path of a file on disk) or the target of a symbolic link; ``device``
    is major and minor of a device node.
    """

    name: str
    mode: int
    data: bytes | Path = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str, mode: int = 0o755) -> ArchiveEntry:
    """Return an entry for a folder. Parent folders of entries are added automatically."""
    return ArchiveEntry(name=name, mode=stat.S_IFDIR | mode)


def file(name: str, data: bytes | Path, mode: int = 0o644) -> ArchiveEntry:
    """Return an entry for a regular file; if ``data`` is a path, it is read when the archive is written."""
    return ArchiveEntry(name=name, mode=stat.S_IFREG | mode, data=data)


def symlink(name: str, target: str) -> ArchiveEntry:
    """Return an entry for a symbolic link to ``target``, a path inside the guest."""
    return ArchiveEntry(name=name, mode=stat.S_IFLNK | 0o777, data=target.encode())


CONSOLE = ArchiveEntry(name="dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1))
"""The kernel opens it as init's standard streams (admin-guide/devices.txt); init needs it for its reports."""


def write_initramfs(path: Path, entries: Iterable[ArchiveEntry]) -> Path:
    """Write ``entries`` and their parent folders to ``path`` atomically.

    It is not compressed, because an emulated guest takes seconds to unpack that. Raises GuestError (an
    invalid or duplicated name), StorageError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with storing(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.writelines(archive(entries))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def archive(entries: Iterable[ArchiveEntry]) -> Iterator[bytes]:
    """Yield the bytes of the archive. Raises the errors of ``write_initramfs``."""
    # Sorted by path components, so that a folder precedes its files.
    ordered = sorted(_with_parents(entries).values(), key=lambda entry: entry.name.split("/"))
    for number, entry in enumerate(ordered, start=1):
        yield from _member(entry, number)
    yield from _member(ArchiveEntry(name=TRAILER, mode=0), 0)


def _with_parents(entries: Iterable[ArchiveEntry]) -> dict[str, ArchiveEntry]:
    found: dict[str, ArchiveEntry] = {}
    for entry in entries:
        _check_name(entry.name)
        if entry.name in found:
            raise GuestError(f"the initramfs contains {entry.name!r} twice", "specify each file once")
        found[entry.name] = entry
    for name in list(found):
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = directory("/".join(parts[:depth]))
            above = found.setdefault(parent.name, parent)
            if not stat.S_ISDIR(above.mode):
                raise GuestError(f"{name!r} is below {above.name!r}, which is not a folder", "rename one")
    return found


def _check_name(name: str) -> None:
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\x7f]", name):
        raise GuestError(
            f"{name!r} is not a valid name in an initramfs",
            "use a path without a leading slash, '.', '..' or control characters",
        )
    if name == TRAILER:
        raise GuestError(f"{name!r} marks the end of an archive", "use another name")


def _member(entry: ArchiveEntry, number: int) -> Iterator[bytes]:
    size = entry.data.stat().st_size if isinstance(entry.data, Path) else len(entry.data)
    if size > LARGEST:
        raise GuestError(f"{entry.name!r} has {size} bytes, the limit of cpio is 4 GiB", "use a smaller file")
    name = entry.name.encode("utf-8", "surrogateescape") + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    major, minor = entry.device
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, entry.mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    yield head + bytes(-len(head) % 4)
    if isinstance(entry.data, Path):
        yield from _content(entry.data, size)
    else:
        yield entry.data
    yield bytes(-size % 4)


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as stream:
        while left and (block := stream.read(min(CHUNK, left))):
            left -= len(block)
            yield block
    if left:
        raise StorageError(f"{path} became shorter while it was read", "run again")
