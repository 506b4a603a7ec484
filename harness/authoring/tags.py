"""Review tags: collect them from replies, record the reviewed diff, and remove them if the diff changes.

A Reviewed-by is a statement about one diff. For each tag that ``series tags --apply`` added to a patch,
``tags.toml`` of the series records the Message-Id of the reply and the patch-id of the reviewed diff. QEMU's
submitting-a-patch.rst, "Proper use of Reviewed-by: tags can aid review", requires this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tomlkit

from harness.authoring.branch import Commit
from harness.authoring.compare import OldFile, commit_patch_id, gives_tree, patch_id
from harness.authoring.files import write_file
from harness.errors import AuthoringError, OptionError
from harness.jsonfile import UNREADABLE
from harness.series import Input, Trailer
from harness.series.form import diff_start, split_headers
from harness.tree.git import Git

FILE = "tags.toml"
REVIEW = ("reviewed-by", "acked-by", "tested-by")
"""Tags about a diff. Reported-by and Suggested-by are about its cause."""


class TagRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A tag of a reply, with the subject and the patch-id of the reviewed patch."""

    patch: str
    tag: str
    message_id: str
    patch_id: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tag: tuple[TagRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StaleTag:
    """A tag that was given to another diff."""

    patch: str
    line: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReviewTag:
    """A tag of a reply. ``problem`` is the reason not to add it; empty if it can be added."""

    patch: str
    line: str
    message_id: str
    sender: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownTags:
    """The recorded tags, and the existing patch files with their patch-ids."""

    records: tuple[TagRecord, ...]
    files: tuple[tuple[OldFile, str], ...]

    @classmethod
    def read(cls, git: Git, folder: Path, old: Iterable[OldFile]) -> KnownTags:
        """Read those of the series in ``folder``. Raises OptionError for an invalid tags.toml."""
        return cls(records=read_records(folder), files=tuple((one, one.patch_id(git)) for one in old))


def read_records(folder: Path) -> tuple[TagRecord, ...]:
    """Read the records of ``tags.toml``; none without the file. Raises OptionError."""
    path = folder / FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File).tag
    except FileNotFoundError:
        return ()
    except (OSError, *UNREADABLE) as error:
        raise OptionError(
            f"cannot read {path}: {' '.join(str(error).split())}",
            "correct it; docs/submit.md describes review tags",
        ) from error


def review_lines(message: str) -> tuple[str, ...]:
    """Return the lines of ``message`` that are review tags."""
    names = "|".join(REVIEW)
    return tuple(
        line.rstrip() for line in message.splitlines() if re.match(rf"(?:{names}): \S", line, re.IGNORECASE)
    )


def stale_tags(git: Git, commit: Commit, known: KnownTags) -> tuple[StaleTag, ...]:
    """Return the review tags of ``commit`` that were given to another diff.

    A tag is valid if a record, or a file with the tag, has the commit's patch-id. A tag that is in neither
    was just added by the developer, who is responsible for it.
    """
    lines = review_lines(commit.message)
    if not lines:
        return ()
    current = {commit_patch_id(git, commit), commit_patch_id(git, commit, "-M")}
    stale = []
    for line in lines:
        given = [
            (record.patch_id, record.patch)
            for record in known.records
            if record.tag == line and record.patch == commit.subject
        ]
        holders = [(one, its_id) for one, its_id in known.files if line in review_lines(one.mail.message)]
        given += [(its_id, one.path.name) for one, its_id in holders]
        if (
            given
            and not current & {its_id for its_id, _ in given}
            and not _changes_the_same(git, commit, holders)
        ):
            reason = f"the tag was given to {given[0][1]!r}, which has another diff"
            stale.append(StaleTag(patch=commit.subject, line=line, reason=reason))
    return tuple(stale)


def without_tags(message: str, stale: Iterable[StaleTag]) -> str:
    """Remove the lines of ``stale`` from ``message``."""
    lines = {one.line for one in stale}
    return "\n".join(line for line in message.splitlines() if line.rstrip() not in lines).strip()


def _changes_the_same(git: Git, commit: Commit, files: Iterable[tuple[OldFile, str]]) -> bool:
    """Return whether one of ``files``, though formatted differently, produces the commit's tree."""
    diffs = (one.mail.diff.encode("utf-8", "surrogateescape") for one, _ in files)
    return any(gives_tree(git, commit.parent, diff) == commit.tree for diff in diffs)


def collect(git: Git, old: tuple[OldFile, ...], replies: Input) -> tuple[ReviewTag, ...]:
    """Return the review tags that a thread, ``replies``, gives to the patches ``old``.

    Tags are matched to patches by subject. A tag has a problem if the diff has changed since the review, if
    its sender has another address than the tag names, or if the patch already has it.
    """
    found: list[ReviewTag] = []
    for version in replies.thread.versions:
        for number, mail in enumerate(version.patches, start=1):
            now = next((one for one in old if one.mail.subject.title == mail.subject.title), None)
            reviewed = patch_id(git, mail.diff.encode("utf-8", "surrogateescape"))
            for trailer in version.given(number):
                if trailer.key.lower() not in (*REVIEW, "reported-by", "suggested-by"):
                    continue
                found.append(
                    ReviewTag(
                        patch=mail.subject.title,
                        line=str(trailer),
                        message_id=trailer.source,
                        sender=str(trailer.sender),
                        problem=_problem(git, now, trailer, reviewed),
                    )
                )
    return tuple(dict.fromkeys(found))


def _problem(git: Git, now: OldFile | None, trailer: Trailer, reviewed: str) -> str:
    if now is None:
        return "the series no longer has a patch with this subject"
    if str(trailer) in now.mail.message.splitlines():
        return "the patch already has it"
    if not trailer.is_own:
        return f"it was sent by {trailer.sender}, not by the person it names; ask that person"
    if not re.fullmatch(r"[^<>]* <[^<>@\s]+@[^<>@\s]+>", trailer.value):
        return "it names no person with an address"
    if trailer.key.lower() in REVIEW and now.patch_id(git) != reviewed:
        return "the diff has changed since the review; ask for a new review"
    return ""


def apply_tags(
    git: Git, folder: Path, old: tuple[OldFile, ...], found: Iterable[ReviewTag]
) -> tuple[ReviewTag, ...]:
    """Add the tags of ``found`` without a problem to the patch files, record them, and return them.

    Raises AuthoringError if a patch has no ``---`` after its message, StorageError.
    """
    records = list(read_records(folder))
    done: list[ReviewTag] = []
    for one in old:
        mine = [tag for tag in found if not tag.problem and tag.patch == one.mail.subject.title]
        if not mine:
            continue
        write_file(one.path, _with_lines(one, [tag.line for tag in mine]))
        its_id = one.patch_id(git)
        records += [
            TagRecord(patch=tag.patch, tag=tag.line, message_id=tag.message_id, patch_id=its_id)
            for tag in mine
        ]
        done += mine
    if done:
        document = tomlkit.document()
        document.add(tomlkit.comment("Written by qemu-harness series tags: the mail of each review tag."))
        document["tag"] = [msgspec.to_builtins(record) for record in records]
        write_file(folder / FILE, tomlkit.dumps(document).encode())
    return tuple(done)


def _with_lines(one: OldFile, lines: list[str]) -> bytes:
    """Insert ``lines`` after the last trailer of the file, or as a new paragraph of trailers."""
    headers, body = split_headers(one.data)
    mark = re.search(rb"^---[ \t]*\n", body, re.MULTILINE)
    if mark is None or mark.start() > diff_start(body):
        raise AuthoringError(
            f"{one.path.name} has no --- line after its message, so no tag can be added",
            "write it again with git format-patch, or with series import and series refresh",
        )
    message = body[: mark.start()].rstrip(b"\n")
    last = message.rpartition(b"\n\n")[2].splitlines() if message else []
    trailers = bool(last) and all(re.match(rb"[A-Z][A-Za-z-]+: \S", line) for line in last)
    text = "\n".join(lines).encode()
    joined = message + (b"\n" if trailers else b"\n\n" if message else b"") + text + b"\n"
    return headers + b"\n" + joined + body[mark.start() :]
