"""Commits → patch files. A patch that the developer did not touch stays the same file, byte for byte."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.authoring.branch import (
    Commit,
    Workspace,
    commits_of,
    mark_saved,
    move,
    refuse_unfinished,
    reword,
    uncommitted,
)
from harness.authoring.compare import OldFile, is_same
from harness.authoring.cover import COVER, with_new_tail
from harness.authoring.files import write_file
from harness.authoring.history import previous_version
from harness.authoring.tags import Stale, Tagged, stale_tags, without_tags
from harness.errors import AuthoringError, StorageError
from harness.progress import Reporter
from harness.series import SeriesFile, patch_files, read_series_file
from harness.series.form import remarks_of, tag_for, tag_of, with_remarks, with_tag

FORMAT = ("--zero-commit", "--no-signature", "--abbrev=12", "--stat=72", "--no-numbered")
"""git-format-patch(1): nothing that depends on the machine, git's version or the size of the repository."""


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a refresh did: names of files, and the review tags that it took out with the reason."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    stale: tuple[Stale, ...] = ()


def refresh(
    found: Workspace, folder: Path, base: str, reporter: Reporter, *, keep_tags: bool = False
) -> Refreshed:
    """Write the commits from ``base`` to the branch's tip to ``folder``.

    Review tags that were given to another diff are taken out, of the commits too, unless ``keep_tags``.
    Raises AuthoringError (a merge, an empty commit, a rebase under way), StorageError.
    """
    refuse_unfinished(found)
    if changed := uncommitted(found):
        reporter.warn(
            f"{len(changed)} changed files are not committed, such as {changed[0]}: not in the patches"
        )
    with reporter.step(f"writing {folder.name}") as step:
        commits = commits_of(found, base)
        _refuse_empty(found, commits)
        old = read_old(folder)
        before = previous_version(folder)
        tagged = Tagged.read(found.bare, folder, (*old, *(read_old(before) if before else ())))
        stale: list[Stale] = []
        messages: list[str] = []
        for index, commit in enumerate(commits):
            step.update(index, len(commits), commit.subject)
            dropped = () if keep_tags else stale_tags(found.bare, commit, tagged)
            stale += dropped
            messages.append(without_tags(commit.message, dropped))
        if stale:
            commits = reword(found.bare, base, commits, messages)
            move(found, commits[-1].id)
        files = _files(found, base, commits, old, read_series_file(folder))
        cover = next((path for path in patch_files(folder) if path.name.startswith("0000-")), None)
        if cover is not None:
            files[cover.name] = _cover(found, base, cover, len(commits), read_series_file(folder))
        written = tuple(name for name, data in files.items() if write_file(folder / name, data))
        removed = tuple(path.name for path in patch_files(folder) if path.name not in files)
        _remove(folder, removed)
        mark_saved(found)
    return Refreshed(
        written=written,
        kept=tuple(name for name in files if name not in written),
        removed=removed,
        stale=tuple(stale),
    )


def read_old(folder: Path) -> tuple[OldFile, ...]:
    """The patches that lie in ``folder``, without the cover letter."""
    try:
        return tuple(
            OldFile(path=path, number=int(path.name[:4]), data=path.read_bytes())
            for path in patch_files(folder)
            if not path.name.startswith("0000-")
        )
    except OSError as error:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}", "make it readable") from error


def counterpart(commit: Commit, old: tuple[OldFile, ...], number: int) -> OldFile | None:
    """The file that was this commit: of the same subject, and of several the one with its number."""
    same = [one for one in old if one.mail.subject.title == commit.subject]
    return next((one for one in same if one.number == number), same[0] if same else None)


def _files(
    found: Workspace, base: str, commits: tuple[Commit, ...], old: tuple[OldFile, ...], said: SeriesFile
) -> dict[str, bytes]:
    """Name → bytes of every patch of the branch."""
    fresh = _format(found, base, commits)
    files: dict[str, bytes] = {}
    for number, (commit, (name, data)) in enumerate(zip(commits, fresh, strict=True), start=1):
        before = counterpart(commit, old, number)
        tag = tag_for(said.subject_prefix, said.version, number, len(commits))
        if before is not None and is_same(found.bare, before, commit, commit.message):
            counted = re.search(r"\d+/\d+", tag_of(before.data)) or len(commits) == 1
            data = with_tag(before.data, tag) if counted else before.data  # noqa: PLW2901
            name = f"{number:04d}{before.path.name[4:]}"  # noqa: PLW2901
        else:
            data = with_tag(data, tag)  # noqa: PLW2901
            if before is not None and (remarks := remarks_of(before.data)):
                data = with_remarks(data, remarks)  # noqa: PLW2901
        files[name] = data
    return files


def _format(found: Workspace, base: str, commits: tuple[Commit, ...]) -> list[tuple[str, bytes]]:
    """Name and bytes of each commit as git-format-patch(1) writes it."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        found.bare.run("format-patch", "--quiet", *FORMAT, f"-o{scratch}", f"{base}..{commits[-1].id}")
        return [(path.name, path.read_bytes()) for path in sorted(Path(scratch).iterdir())]


def _cover(found: Workspace, base: str, path: Path, total: int, said: SeriesFile) -> bytes:
    data = path.read_bytes()
    tag = tag_for(said.subject_prefix, said.version, 0, total, numbered=True)
    return with_tag(with_new_tail(found.bare, data, base, found.tip), tag) if COVER in path.name else data


def _refuse_empty(found: Workspace, commits: tuple[Commit, ...]) -> None:
    if not commits:
        raise AuthoringError(
            f"branch {found.branch} has no commit on top of its base", f"commit something in {found.path}"
        )
    for commit in commits:
        if found.bare.read("rev-parse", f"{commit.parent}^{{tree}}") == commit.tree:
            raise AuthoringError(
                f"commit {commit.id[:12]} ({commit.subject}) changes no file, which is no patch",
                f"in {found.path}: git rebase -i, and drop it",
            )


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            (folder / name).unlink()
        except OSError as error:
            raise StorageError(
                f"cannot remove {folder / name}: {error.strerror}", "make the folder writable"
            ) from error
