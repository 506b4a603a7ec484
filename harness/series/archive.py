"""Read a thread from a mailing list's archive: by b4 from a server, or from a local public-inbox repository.

A public-inbox repository of version 2 has one git repository for each epoch, ``git/0.git``, ``git/1.git`` …,
and each commit of them has one mail, the file ``m`` (public-inbox-v2-format(5)).
"""

import itertools
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path

from harness.errors import FetchError, HarnessError, MissingError, OptionError
from harness.process import Finished, run
from harness.progress import Reporter
from harness.series.attached import read_mails, read_mbox
from harness.series.mail import Mail
from harness.source.clone import git_reason, run_git

_ID = re.compile(r"<?([^<>\s/@]+@[^<>\s/@]+)>?")
_URL = re.compile(r"https?://\S+/[^/\s]*(?:@|%40)[^/\s]+/?(?:\S*)")
_IDS = ("Message-Id", "References", "In-Reply-To")
_CHUNK = 2000
"""Number of mails that one process of git reads."""
_BEFORE = 20_000
"""Number of mails before the wanted one among which the first mail of its thread is looked for."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A thread in an archive: a Message-Id, and the public-inbox repository; without one, b4 finds it."""

    message_id: str
    url: str = ""
    inbox: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Head:
    """What is kept of each mail: its repository, its commit, its Message-Id and those that it refers to."""

    repository: Path
    commit: str
    message_id: str
    references: tuple[str, ...]


def find_place(source: str) -> Place | None:
    """Return the thread that ``source`` names: ``INBOX#ID``, ``ID``, ``<ID>`` or a link; None if it does not.

    Raises OptionError if the part before ``#`` is a folder without a public-inbox repository.
    """
    folder, mark, text = source.rpartition("#")
    if mark and folder and (found := _ID.fullmatch(text)) and Path(folder).expanduser().is_dir():
        inbox = Path(folder).expanduser().resolve()
        if not epochs(inbox):
            raise OptionError(
                f"-Dseries: {folder} is no public-inbox repository of version 2",
                "name a folder with git/0.git, or one such repository",
            )
        return Place(message_id=found[1], inbox=inbox)
    if _URL.fullmatch(source):
        return Place(message_id=_ID.findall(source.replace("%40", "@"))[-1], url=source)
    found = _ID.fullmatch(source)
    return Place(message_id=found[1]) if found else None


def read_thread(place: Place, folder: Path | None, reporter: Reporter) -> tuple[Mail, ...]:
    """Read the mails of the thread. b4 is run in ``folder``, a clone with its configuration, if given.

    Raises OptionError (no such mail), FetchError (b4 failed), MissingError (b4 is not installed).
    """
    if place.inbox is None:
        return read_mbox(_by_b4(place, folder, reporter), place.url or place.message_id)
    return _from_inbox(place.inbox, place.message_id, reporter)


def _by_b4(place: Place, folder: Path | None, reporter: Reporter) -> bytes:
    beside = Path(sys.executable).with_name("b4")
    program = str(beside) if beside.is_file() else shutil.which("b4")
    if program is None:
        raise MissingError("b4 downloads threads, and is not installed", "run: pipx install b4")
    wanted = place.url or place.message_id

    with tempfile.TemporaryDirectory() as scratch, reporter.step(f"downloading {wanted}"):
        log, output = Path(scratch, "log"), Path(scratch, "mbox")
        words = (program, "mbox", "--no-cache", "--outdir=-", "--", wanted)
        with output.open("wb") as file:
            ended = run(words, cwd=folder, into=file, log=log, check=False, timeout_s=300)
        if ended.returncode == 0 and output.stat().st_size:
            return output.read_bytes()
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise FetchError(
        f"b4 cannot download the thread of {wanted}",
        "check the Message-Id, the network, and b4.midmask in git's configuration",
        details=(ended.command, *list(filter(str.strip, said))[-3:]),
    )


def epochs(inbox: Path) -> list[Path]:
    """Return the repositories of a public-inbox repository, newest epoch first."""
    folders = [inbox / "git", inbox] if (inbox / "git").is_dir() else [inbox]
    found = [one for folder in folders for one in folder.glob("*.git") if re.fullmatch(r"\d+\.git", one.name)]
    if not found and (inbox / "objects").is_dir():
        return [inbox]
    return sorted(found, key=lambda one: int(one.stem), reverse=True)


def _from_inbox(inbox: Path, message_id: str, reporter: Reporter) -> tuple[Mail, ...]:
    heads: dict[str, _Head] = {}
    root, since, count = "", 0, 0
    with reporter.step(f"looking for <{message_id}>") as step:
        for chunk in _chunks(inbox):
            heads.update({head.message_id: head for head in chunk})
            count += len(chunk)
            step.update(count, None, f"{count} mails")
            if not root and message_id in heads:
                root, since = message_id, count
            seen = {""}
            while root in heads and heads[root].references and root not in seen:
                seen.add(root)
                root = heads[root].references[0]
            if root and (root in heads or count - since > _BEFORE):
                break
    if not root:
        raise OptionError(
            f"-Dseries: none of the {count} mails in {inbox} has the Message-Id <{message_id}>",
            "update the repository: git fetch, or public-inbox-fetch",
        )
    members, thread = {root, message_id}, []
    for head in reversed(heads.values()):  # a reply is newer than what it answers
        if head.message_id in members or members & set(head.references):
            members.add(head.message_id)
            thread.append(head)
    return tuple(
        mail
        for head in thread
        for data in read_commits(head.repository, [head.commit]).values()
        for mail in read_mails(data, f"<{head.message_id}>")
    )


def _chunks(inbox: Path) -> Iterator[list[_Head]]:
    """Yield the mails, newest first."""
    for repository in epochs(inbox):
        commits = run_git(repository, "rev-list", "HEAD", error=unreadable).output.split()
        for start in range(0, len(commits), _CHUNK):
            part = commits[start : start + _CHUNK]
            yield [_head(repository, commit, data) for commit, data in read_commits(repository, part).items()]


def _head(repository: Path, commit: str, data: bytes) -> _Head:
    end = re.search(rb"\r?\n\r?\n", data)
    headers = BytesHeaderParser().parsebytes(data[: end.start() if end else len(data)] + b"\n\n")
    own, *others = (_ID.findall(str(headers.get(name, ""))) for name in _IDS)
    references = tuple(dict.fromkeys(itertools.chain(*others)))
    return _Head(
        repository=repository, commit=commit, message_id=own[0] if own else "", references=references
    )


def read_commits(repository: Path, commits: Sequence[str]) -> dict[str, bytes]:
    """Return the mail of each commit; commits that remove one have none (git-cat-file(1), BATCH OUTPUT)."""
    asked = "".join(f"{commit}:m\n" for commit in commits).encode()
    mails: dict[str, bytes] = {}
    with tempfile.TemporaryFile() as output:
        run_git(repository, "cat-file", "--batch", stdin=asked, into=output, error=unreadable)
        output.seek(0)
        for commit in commits:
            words = output.readline().split()
            if words[-1:] == [b"missing"]:
                continue
            if len(words) != 3:
                raise OptionError(f"{repository} is damaged at {commit}", "run git fsck in it")
            mails[commit] = output.read(int(words[2]))
            output.readline()
    return mails


def unreadable(ended: Finished) -> HarnessError:
    """Return the error for a git command that failed in a public-inbox repository."""
    # Without a commit, git rev-list HEAD prints its options and no reason.
    return OptionError(
        f"git cannot read the archive: {git_reason(ended) or 'it may have no mails'}",
        "name a public-inbox repository that has mails; git's safe.directory permits one of another user",
    )
