"""Read the entries of an archive or a plain folder for an import. Nothing is unpacked or run."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

from harness.errors import StorageError, TreeError
from harness.tree.paths import bad_link, bad_path

Mode = Literal["100644", "100755", "120000"]
_MAGIC: tuple[tuple[bytes, Callable[..., IO[bytes]]], ...] = (
    (b"\xfd7zXZ\0", cast(Callable[..., IO[bytes]], lzma.open)),
    (b"\x1f\x8b", cast(Callable[..., IO[bytes]], gzip.open)),
    (b"BZh", cast(Callable[..., IO[bytes]], bz2.open)),
)


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One file or symbolic link. ``data`` is its content or target; None for a hard link to ``same_as``."""

    path: str
    mode: Mode
    data: bytes | None
    same_as: str = ""


def from_archive(path: Path) -> Iterator[TreeEntry]:
    """Yield the files of a tar archive (plain, gz, bz2, xz) below its single top folder, in archive order.

    Raises TreeError for a damaged archive and for unsafe members (absolute names, ``..``, ``.git``, links to
    outside of the tree, devices), StorageError if the archive cannot be read.
    """
    top = ""
    try:
        with _open(path) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=65536) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isdir() and name in ("", "."):
                    continue
                first, _, rest = name.partition("/")
                problem = bad_path(name)
                if problem:
                    raise _refused(path, name, problem)
                if first != (top or first):
                    raise _refused(path, name, f"it is not below the top folder {top}")
                top = first
                if member.isdir():
                    continue
                if not rest:
                    raise _refused(path, name, "it is not below a top folder")
                yield _entry(path, tar, member, rest, top)
            while stream.read(1 << 20):  # to the end, where the decompressor verifies its checksum
                pass
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise TreeError(
            f"{path.name} is damaged or not a tar archive: {error}",
            "fetch it again, or pass another -Dsource=",
        ) from error
    except OSError as error:  # gzip and bz2 report damage as OSError, too
        raise TreeError(f"cannot read {path.name}: {error}", "check the file and its permissions") from error
    if not top:
        raise TreeError(f"{path.name} is empty", "fetch it again, or pass another -Dsource=")


def from_folder(folder: Path) -> Iterator[TreeEntry]:
    """Yield the files of a plain folder, sorted, without ``.git`` at any depth.

    Raises TreeError for files that a tree cannot contain (devices, sockets, links to outside), StorageError.
    """
    try:
        for root, folders, files in os.walk(folder, onerror=_raise):
            folders.sort()
            links = [name for name in folders if (Path(root) / name).is_symlink()]
            folders[:] = [name for name in folders if name not in links and name != ".git"]
            for name in sorted([*files, *links]):
                if name == ".git":
                    continue
                full = Path(root) / name
                yield _folder_entry(folder, full, str(full.relative_to(folder)))
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error}", "check its permissions") from error


def _raise(error: OSError) -> None:
    raise error


def _folder_entry(folder: Path, full: Path, path: str) -> TreeEntry:
    problem = bad_path(path)
    mode = full.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(full)  # noqa: PTH115 - the text, not a normalized path
        problem = problem or bad_link(path, target)
        if not problem:
            return TreeEntry(path=path, mode="120000", data=os.fsencode(target))
    elif not stat.S_ISREG(mode):
        problem = problem or "it is not a file or a link"
    if problem:
        raise _refused(folder, path, problem)
    return TreeEntry(path=path, mode="100755" if mode & 0o100 else "100644", data=full.read_bytes())


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        magic = stream.read(8)
    for start, opener in _MAGIC:
        if magic.startswith(start):
            return cast(BinaryIO, opener(path, "rb"))
    return path.open("rb")


def _entry(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, top: str) -> TreeEntry:
    if member.issym():
        problem = bad_link(path, member.linkname)
        if problem:
            raise _refused(archive, member.name, problem)
        return TreeEntry(path=path, mode="120000", data=member.linkname.encode("utf-8", "surrogateescape"))
    mode: Mode = "100755" if member.mode & 0o100 else "100644"
    if member.islnk():
        first, _, other = member.linkname.removeprefix("./").partition("/")
        if first != top or bad_path(other):
            raise _refused(archive, member.name, f"it is a hard link to {member.linkname}")
        return TreeEntry(path=path, mode=mode, data=None, same_as=other)
    if not member.isreg():
        raise _refused(archive, member.name, "it is not a file, a folder or a link")
    content = tar.extractfile(member)
    assert content is not None
    return TreeEntry(path=path, mode=mode, data=content.read())


def _refused(source: Path, name: str, problem: str) -> TreeError:
    return TreeError(f"{source.name} is refused: {name!r}: {problem}", "use a source that you trust")
