"""Write commits to patch files. The file of a commit that did not change stays byte for byte the same."""

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
)
from harness.authoring.compare import OldFile, is_same
from harness.authoring.cover import COVER, with_new_tail
from harness.authoring.files import write_file
from harness.authoring.history import previous_version
from harness.authoring.tags import KnownTags, StaleTag, stale_tags, without_tags
from harness.errors import AuthoringError, StorageError
from harness.jsonfile import storing
from harness.progress import Reporter
from harness.series import SeriesFile, patch_files, read_series_file
from harness.series.form import remarks_of, tag_for, tag_of, with_remarks, with_tag
from harness.tree.git import Git

FORMAT = ("--zero-commit", "--no-signature", "--abbrev=12", "--stat=72", "--no-numbered")
"""Options of git-format-patch(1): independent of the machine, git's version and the repository's size."""


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """Result of a refresh: names of files, and the review tags that were removed."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    stale: tuple[StaleTag, ...] = ()


def refresh(
    workspace: Workspace, folder: Path, base: str, reporter: Reporter, *, keep_tags: bool = False
) -> Refreshed:
    """Write the commits from ``base`` to the branch's tip to ``folder``.

    Review tags that were given to another diff are removed from files and commits, unless ``keep_tags``.
    Raises AuthoringError (a merge, an empty commit, an unfinished rebase), StorageError.
    """
    refuse_unfinished(workspace)
    if changed := workspace.git.changed():
        reporter.warn(
            f"{len(changed)} changed files are not committed, such as {changed[0]}; the patches omit them"
        )
    with reporter.step(f"writing {folder.name}") as step:
        commits = commits_of(workspace, base)
        _refuse_empty(workspace, commits)
        old = read_old(folder)
        before = previous_version(folder)
        tagged = KnownTags.read(workspace.bare, folder, (*old, *(read_old(before) if before else ())))
        stale: list[StaleTag] = []
        messages: list[str] = []
        for index, commit in enumerate(commits):
            step.update(index, len(commits), commit.subject)
            dropped = () if keep_tags else stale_tags(workspace.bare, commit, tagged)
            stale += dropped
            messages.append(without_tags(commit.message, dropped))
        if stale:
            commits = reword(workspace.bare, base, commits, messages)
            move(workspace, commits[-1].id)
        files = _files(workspace, base, commits, old, read_series_file(folder))
        cover = next((path for path in patch_files(folder) if path.name.startswith("0000-")), None)
        if cover is not None:
            files[cover.name] = _cover(workspace.bare, base, cover, commits, read_series_file(folder))
        written = tuple(name for name, data in files.items() if write_file(folder / name, data))
        removed = tuple(path.name for path in patch_files(folder) if path.name not in files)
        _remove(folder, removed)
        mark_saved(workspace, commits[-1].id)
    return Refreshed(
        written=written,
        kept=tuple(name for name in files if name not in written),
        removed=removed,
        stale=tuple(stale),
    )


def read_old(folder: Path) -> tuple[OldFile, ...]:
    """Read the patches in ``folder``, without the cover letter. Raises StorageError."""
    try:
        return tuple(
            OldFile(path=path, number=int(path.name[:4]), data=path.read_bytes())
            for path in patch_files(folder)
            if not path.name.startswith("0000-")
        )
    except OSError as error:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}", "make it readable") from error


def counterpart(commit: Commit, old: tuple[OldFile, ...], number: int) -> OldFile | None:
    """Return the file of this commit: that with its subject, and among several that with ``number``."""
    same = [one for one in old if one.mail.subject.title == commit.subject]
    return next((one for one in same if one.number == number), same[0] if same else None)


def _files(
    workspace: Workspace,
    base: str,
    commits: tuple[Commit, ...],
    old: tuple[OldFile, ...],
    metadata: SeriesFile,
) -> dict[str, bytes]:
    """Return the bytes of every patch of the branch, by file name."""
    fresh = _format(workspace, base, commits)
    files: dict[str, bytes] = {}
    for number, (commit, (name, data)) in enumerate(zip(commits, fresh, strict=True), start=1):
        before = counterpart(commit, old, number)
        tag = tag_for(metadata.subject_prefix, metadata.version, number, len(commits))
        if before is not None and is_same(workspace.bare, before, commit, commit.message):
            counted = re.search(r"\d+/\d+", tag_of(before.data)) or len(commits) == 1
            data = with_tag(before.data, tag) if counted else before.data  # noqa: PLW2901
            name = f"{number:04d}{before.path.name[4:]}"  # noqa: PLW2901
        else:
            data = with_tag(data, tag)  # noqa: PLW2901
            if before is not None and (remarks := remarks_of(before.data)):
                data = with_remarks(data, remarks)  # noqa: PLW2901
        files[name] = data
    return files


def _format(workspace: Workspace, base: str, commits: tuple[Commit, ...]) -> list[tuple[str, bytes]]:
    """Return name and bytes of the output of git-format-patch(1) for each commit."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        workspace.bare.run("format-patch", "--quiet", *FORMAT, f"-o{scratch}", f"{base}..{commits[-1].id}")
        return [(path.name, path.read_bytes()) for path in sorted(Path(scratch).iterdir())]


def _cover(git: Git, base: str, path: Path, commits: tuple[Commit, ...], metadata: SeriesFile) -> bytes:
    data = path.read_bytes()
    tag = tag_for(metadata.subject_prefix, metadata.version, 0, len(commits), numbered=True)
    return with_tag(with_new_tail(git, data, base, commits[-1].id), tag) if COVER in path.name else data


def _refuse_empty(workspace: Workspace, commits: tuple[Commit, ...]) -> None:
    if not commits:
        raise AuthoringError(
            f"branch {workspace.branch} has no commit on top of its base",
            f"commit a change in {workspace.path}",
        )
    before = workspace.bare.read("rev-parse", f"{commits[0].parent}^{{tree}}")
    for commit in commits:
        if commit.tree == before:
            raise AuthoringError(
                f"commit {commit.id[:12]} ({commit.subject}) changes no file, so it cannot be a patch",
                f"drop it: git rebase -i, in {workspace.path}",
            )
        before = commit.tree


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        with storing(f"remove {folder / name}"):
            (folder / name).unlink()
