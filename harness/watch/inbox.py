"""Read what is new in an inbox: a public-inbox repository, a maildir or a mailbox that grows.

Each batch of mails comes with the place that the inbox was read up to. A caller stores both in one
transaction, so that a killed watch reads no mail twice and misses none. An inbox whose past was rewritten is
read again from its beginning; mails that are known are then skipped by their digest.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from harness.errors import OptionError, StorageError
from harness.process import Finished
from harness.series.archive import epochs, read_commits, unreadable
from harness.series.folder import is_maildir
from harness.series.mbox import from_lines, split_mbox
from harness.source.clone import run_git

LARGEST = 8 * 1024**2
"""Maximum size of a mail in bytes. Mailing lists refuse mails a tenth of that."""
_BATCH_BYTES = 32 * 1024**2
_BATCH_MAILS = 200
_PIECE = 64 * 1024**2
"""Bytes of a mailbox that are read at once."""
_MARK = 4096
"""Bytes before the place in a mailbox, whose digest shows that it was not rewritten."""
_SETTLED_S = 2.0
"""Seconds without a change after which the last mail of a mailbox is complete."""


class Cursor(msgspec.Struct, frozen=True):
    """The place that an inbox was read up to."""

    commits: dict[str, str] = {}
    """The last commit of each epoch."""
    offset: int = 0
    mark: str = ""
    """Digest of the bytes of a mailbox before ``offset``."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """New mails, and the cursor and the names of files after them. ``skipped`` has a line for each mail that
    is too large."""

    mails: tuple[bytes, ...]
    cursor: Cursor
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def kind_of(inbox: Path) -> str:
    """Return ``archive``, ``maildir`` or ``mailbox``. Raises OptionError for anything else."""
    if inbox.is_dir() and is_maildir(inbox):
        return "maildir"
    if inbox.is_dir() and epochs(inbox):
        return "archive"
    if inbox.is_file():
        return "mailbox"
    raise OptionError(
        f"{inbox} is no inbox",
        "name a public-inbox repository of version 2, a maildir, or a mailbox (mbox)",
    )


def read_new(inbox: Path, cursor: Cursor, seen: set[str], since: str = "") -> Iterator[Batch]:
    """Yield the mails of ``inbox`` after ``cursor``, oldest first, in batches.

    ``seen`` are the names of the files of a maildir that were read. ``since`` (YYYY-MM-DD) leaves older mails
    out of an inbox that is read for the first time. Raises OptionError, StorageError.
    """
    kind = kind_of(inbox)
    try:
        if kind == "maildir":
            yield from _maildir(inbox, seen, since)
        elif kind == "mailbox":
            yield from _mailbox(inbox, cursor, since)
        else:
            yield from _archive(inbox, cursor, since)
    except OSError as error:
        raise StorageError(f"cannot read {inbox}: {error}", "make it readable") from error


def places_of(inbox: Path) -> dict[Path, str]:
    """Return the folders in which a change can mean new mails; a name restricts it to one file."""
    if inbox.is_file():
        return {inbox.parent: inbox.name}
    if is_maildir(inbox):
        return {inbox / "new": "", inbox / "cur": ""}
    places = [one for found in epochs(inbox) for one in (found, found / "refs" / "heads")]
    return {place: "" for place in (*places, inbox / "git") if place.is_dir()}


# public-inbox


def _archive(inbox: Path, cursor: Cursor, since: str) -> Iterator[Batch]:
    commits = dict(cursor.commits)
    for repository in reversed(epochs(inbox)):
        last = commits.get(repository.name, "")
        if run_git(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").returncode != 0:
            continue  # an epoch that has just begun
        known = last and run_git(repository, "merge-base", "--is-ancestor", last, "HEAD").returncode == 0
        words = [f"{last}..HEAD"] if known else ["HEAD", *([f"--since={since}"] if since else [])]
        listed = run_git(repository, "rev-list", "--reverse", *words, error=unreadable).output.split()
        for part, skipped in _by_size(repository, listed):
            commits[repository.name] = part[-1]
            mails = read_commits(repository, [one for one in part if one not in skipped])
            lines = tuple(f"{repository.name}, commit {one}" for one in skipped)
            yield Batch(mails=tuple(mails.values()), cursor=Cursor(dict(commits)), skipped=lines)


def _by_size(repository: Path, commits: Sequence[str]) -> Iterator[tuple[list[str], set[str]]]:
    """Divide ``commits`` into batches; the second item of each are those whose mail is too large."""
    asked = "".join(f"{commit}:m\n" for commit in commits).encode()

    def failed(ended: Finished) -> StorageError:
        return StorageError(
            f"cannot read {repository}: {ended.output[-200:].strip()!r}", "run git fsck in it"
        )

    words = ("cat-file", "--batch-check=%(objectsize)", "--buffer")
    lines = run_git(repository, *words, stdin=asked, error=failed).output.splitlines() if commits else []
    part: list[str] = []
    skipped: set[str] = set()
    total = 0
    for commit, line in zip(commits, lines, strict=True):
        size = int(line) if line.isdigit() else 0  # "missing": the commit removes a mail
        part.append(commit)
        if size > LARGEST:
            skipped.add(commit)
        else:
            total += size
        if total > _BATCH_BYTES or len(part) == _BATCH_MAILS:
            yield part, skipped
            part, skipped, total = [], set(), 0
    if part:
        yield part, skipped


# maildir


def _maildir(inbox: Path, seen: set[str], since: str) -> Iterator[Batch]:
    oldest = _seconds(since)
    files: dict[str, Path] = {}
    for folder in ("cur", "new"):
        if (inbox / folder).is_dir():
            with os.scandir(inbox / folder) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name).decode("utf-8", "replace").partition(":")[0]
                    if not name.startswith(".") and name not in seen:
                        files[name] = Path(entry.path)
    mails: list[bytes] = []
    names: list[str] = []
    skipped: list[str] = []
    for name in sorted(files, key=_delivered):
        data = _read_file(files[name], oldest)
        if data is None:
            continue
        names.append(name)
        if len(data) > LARGEST:
            skipped.append(name)
        elif data:
            mails.append(data)
        if len(names) == _BATCH_MAILS or sum(map(len, mails)) > _BATCH_BYTES:
            yield Batch(mails=tuple(mails), cursor=Cursor(), names=tuple(names), skipped=tuple(skipped))
            mails, names, skipped = [], [], []
    if names:
        yield Batch(mails=tuple(mails), cursor=Cursor(), names=tuple(names), skipped=tuple(skipped))


def _delivered(name: str) -> tuple[int, str]:
    """Return a key that sorts by the time of delivery, with which most programs begin the name."""
    found = re.match(r"\d{1,12}", name)
    return int(found[0]) if found else 0, name


def _read_file(path: Path, oldest: float) -> bytes | None:
    """Return a mail, empty if it is too old or no file; None if it has been moved, as when it is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:  # a link, or not readable
        return b""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_mtime < oldest:
        os.close(descriptor)
        return b""
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(LARGEST + 1)


def _seconds(day: str) -> float:
    return time.mktime(time.strptime(day, "%Y-%m-%d")) if day else 0.0


# mbox


def _mailbox(inbox: Path, cursor: Cursor, since: str) -> Iterator[Batch]:
    """Yield what is new. The cursor stays at the last mail, which may be incomplete: it is read each time."""
    del since  # the dates in a mailbox are those of the mails, which can be anything
    with inbox.open("rb") as stream:
        if stream.read(5) not in (b"From ", b""):
            raise OptionError(f"{inbox} is no mailbox", "name an mbox file that is not compressed")
        at = cursor.offset if _mark(stream, cursor.offset) == cursor.mark else 0
        size, settled = _size(stream)
        while at < size:
            stream.seek(at)
            data = stream.read(min(_PIECE, size - at))
            starts = from_lines(data)
            is_last = at + len(data) >= size
            mails: tuple[bytes, ...] = ()
            skipped = 0
            if is_last or len(starts) > 1:
                last = starts[-1] if starts else 0
                first = starts[0] if starts else len(data)
                mails = split_mbox(data[first : len(data) if is_last and settled else last])
            else:  # one mail fills the piece, or ends in it
                last = starts[0] if starts and starts[0] else len(data)
                skipped = 1
            skipped += sum(len(mail) > LARGEST for mail in mails)
            at += last
            place = Cursor(offset=at, mark=_mark(stream, at))
            lines = (f"{skipped} of the mails before byte {at}",) if skipped else ()
            fits = tuple(mail for mail in mails if 0 < len(mail) <= LARGEST)
            yield Batch(mails=fits, cursor=place, skipped=lines)
            if is_last:
                return


def _mark(stream: BinaryIO, offset: int) -> str:
    """Return the digest of the bytes before ``offset``; empty for the beginning of the file."""
    start = max(0, offset - _MARK)
    stream.seek(start)
    data = stream.read(offset - start)
    return hashlib.sha256(data).hexdigest() if offset and len(data) == offset - start else ""


def _size(stream: BinaryIO) -> tuple[int, bool]:
    """Return the size of the mailbox, and whether it did not change for a while; wait for that once."""
    for attempt in (1, 2):
        facts = os.fstat(stream.fileno())
        age = time.time() - facts.st_mtime
        if not 0 <= age < _SETTLED_S:
            return facts.st_size, True
        if attempt == 1:
            time.sleep(_SETTLED_S - age)
    return facts.st_size, False
