"""Read the mails of a folder: patch files, quilt's ``series`` file, a maildir."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import OptionError
from harness.figures import shown
from harness.series.attached import read_mbox
from harness.series.compressed import SUFFIXES, read_bytes
from harness.series.decode import Fault
from harness.series.grouping import when
from harness.series.mail import Mail
from harness.series.thread import find_thread
from harness.series.version import Thread, make_version

NAMED = re.compile(r"(?:v(\d+)-)?(\d{4})-.+\.patch")
"""Names that git-format-patch(1) gives: version and number."""
_PACKED = rf"(?:{'|'.join(map(re.escape, SUFFIXES))})?"
_MAILS = re.compile(rf".*\.(?:patch|diff|eml|mbox|mbx){_PACKED}", re.DOTALL | re.IGNORECASE)
_THREADS = re.compile(rf".*\.(?:eml|mbox|mbx){_PACKED}", re.DOTALL | re.IGNORECASE)
_SUFFIXED = re.compile(r"(?:v\d+-)?\d{4}-(?:.+\.txt|[^.~]+)", re.IGNORECASE)
"""Names of git format-patch --suffix=.txt and --suffix= (nothing)."""
_BACKUPS = ("~", ".orig", ".rej", ".bak", ".swp")
_DIFF = re.compile(rb"^(?:diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class FolderMails:
    """The mails of a folder, in order. ``notes`` has a line for each input that was skipped."""

    mails: tuple[Mail, ...]
    thread: Thread
    notes: tuple[str, ...] = ()


def read_folder(folder: Path) -> FolderMails:
    """Read the mails of ``folder``. Raises OptionError."""
    if is_maildir(folder):
        mails = tuple(sorted(_read(_files(folder / "cur") + _files(folder / "new")), key=when))
        return FolderMails(mails=mails, thread=find_thread(mails))
    listed = folder / "series"
    if listed.is_file():
        lines = _lines(listed)
        mails = _read(dict.fromkeys(_listed(folder, words[0]) for words in lines))
        thread = folder_thread(mails, sort=False)
        return FolderMails(mails=mails, thread=thread, notes=tuple(_quilt_notes(folder, lines)))
    read, unread = _patches(folder)
    paths, notes = _newest(read)
    notes += [f"skipped {_shown(path)}, which contains a diff, because of its name" for path in unread]
    for path in paths:
        if len(read[path]) > 1 and NAMED.fullmatch(path.name):
            notes.append(f"{_shown(path)} contains {len(read[path])} mails")
    mails = tuple(mail for path in paths for mail in read[path])
    return FolderMails(mails=mails, thread=_thread(mails), notes=tuple(notes))


def is_maildir(folder: Path) -> bool:
    """Return whether ``folder`` is a maildir: each file in ``cur`` and ``new`` is a mail."""
    return (folder / "cur").is_dir() and ((folder / "new").is_dir() or (folder / "tmp").is_dir())


def folder_thread(mails: Sequence[Mail], *, sort: bool = True) -> Thread:
    """Treat ``mails`` as one version in their order, whatever the subjects, as ``git am *.patch`` does.

    Without ``sort``, even numbers that count consistently do not change the order.
    """
    covers = [mail for mail in mails if mail.is_cover or (_is_cover_file(mail) and not mail.diff)]
    patches = [_judged(mail) for mail in mails if not any(mail is cover for cover in covers)]
    if not mails:
        return Thread(versions=())
    return Thread(versions=(make_version(patches, covers, sent=False, sort=sort),))


def _thread(mails: Sequence[Mail]) -> Thread:
    """Read folders of mails (``*.eml``), and folders with replies, like a mailbox."""
    if any(mail.subject.reply or _THREADS.fullmatch(mail.origin) for mail in mails):
        return find_thread(mails)
    return folder_thread(mails)


def _newest(read: dict[Path, tuple[Mail, ...]]) -> tuple[list[Path], list[str]]:
    """Return the files of the newest version, in the order of their numbers, and notes about others.

    ``v2-0002-x.patch`` alone replaces ``0002-x.patch``. Files without such names are in each version.
    """
    versions: dict[int, dict[int, list[Path]]] = {}
    for path in read:
        if found := NAMED.fullmatch(path.name):
            versions.setdefault(int(found[1] or 1), {}).setdefault(int(found[2]), []).append(path)
    kept: dict[int, list[Path]] = {}
    used: dict[int, list[int]] = {}
    last = 0
    for version in sorted(versions, reverse=True):
        mine = versions[version]
        if not kept:
            subjects = [mail.subject for paths in mine.values() for path in paths for mail in read[path]]
            last = max(*(subject.total for subject in subjects), *mine)
        for number in mine:
            if number not in kept and (0 < number <= last or not kept.keys() & mine.keys()):
                used.setdefault(version, []).append(number)
        kept.update({number: mine[number] for number in used.get(version, ())})
    skipped = [path for mine in versions.values() for paths in mine.values() for path in paths]
    skipped = [path for path in skipped if not any(path in paths for paths in kept.values())]
    newest = max(versions, default=1)
    notes = [f"skipped {len(skipped)} files of versions before v{newest}"] if skipped else []
    notes += [
        f"v{newest} does not contain the numbers {', '.join(map(str, sorted(numbers)))}: v{version} is used"
        for version, numbers in used.items()
        if version != newest
    ]
    paths = [path for path in read if path not in skipped]
    return sorted(paths, key=lambda path: _place(path.name)), notes


def _place(name: str) -> tuple[int, str]:
    """Return a key that sorts ``2-x.patch`` before ``10-x.patch``, and names without a number last."""
    name = re.sub(r"^v\d+-(?=\d{4}-)", "", name)
    found = re.match(r"\d{1,9}", name)
    return (int(found[0]) if found else 10**9, name)


def _patches(folder: Path) -> tuple[dict[Path, tuple[Mail, ...]], list[Path]]:
    """Return the mails of each patch file, and the other files that contain a diff."""
    read: dict[Path, tuple[Mail, ...]] = {}
    unread: list[Path] = []
    for path in _files(folder):
        if _MAILS.fullmatch(path.name):
            read[path] = _read([path])
        elif not path.name.endswith(_BACKUPS) and _has_diff(path):
            if _SUFFIXED.fullmatch(path.name):
                read[path] = _read([path])
            else:
                unread.append(path)
    return read, unread


def _has_diff(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _DIFF.search(stream.read(2**16)) is not None
    except OSError:
        return False


def _read(paths: Iterable[Path]) -> tuple[Mail, ...]:
    return tuple(mail for path in paths for mail in read_mbox(read_bytes(path), _shown(path)))


def _shown(path: Path) -> str:
    """Return the name of ``path`` as text: results cannot contain bytes that are not UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _lines(listed: Path) -> list[list[str]]:
    """Return the lines of quilt's ``series`` file, without comments: a name and options each."""
    lines = listed.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [words for line in lines if (words := line.split("#")[0].split())]


def _quilt_notes(folder: Path, lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each part of quilt's ``series`` file and its folder that is ignored."""
    named: set[Path] = set()
    for name, *options in lines:
        if options not in ([], ["-p1"]):
            yield f"the options of {name} in the file series, {' '.join(options)}, are ignored"
        if folder / name in named:
            yield f"the file series names {name} more than once; it is applied once"
        named.add(folder / name)
    others = [path for path in _files(folder) if _MAILS.fullmatch(path.name) and path not in named]
    if others:
        yield f"the file series does not name {shown([_shown(path) for path in others], 5)}"


def _listed(folder: Path, name: str) -> Path:
    """Return the file ``name`` of quilt's ``series`` file. Raises OptionError if missing or outside."""
    path = folder / name
    try:
        inside = folder.resolve() in path.resolve().parents
        exists = inside and path.is_file()
    except (OSError, ValueError, RuntimeError):  # name too long, NUL character, loop of links
        inside, exists = True, False
    if not inside:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]!r}, which is outside of the folder",
            "put all patches of a series into its folder",
        )
    if not exists:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]}, which does not exist",
            "add the file, or remove its line",
        )
    return path


def _judged(mail: Mail) -> Mail:
    """Give ``mail`` a fault if it has no diff, whatever its subject: as a file of a folder it is a patch."""
    if mail.diff or any(fault.kind in ("empty", "html") for fault in mail.faults):
        return mail
    return replace(mail, faults=(*mail.faults, Fault(kind="empty", detail="it changes no file")))


def _is_cover_file(mail: Mail) -> bool:
    found = NAMED.fullmatch(mail.origin)
    return found is not None and int(found[2]) == 0
