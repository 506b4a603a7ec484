"""Compare the patches, the branch and the previous version of a series."""

from dataclasses import dataclass
from pathlib import Path

from harness.authoring.branch import Commit, base_of, commits_of, find_workspace
from harness.authoring.compare import OldFile, commit_patch_id, is_same
from harness.authoring.history import previous_version, versions
from harness.authoring.refresh import counterpart, read_old
from harness.authoring.tags import review_lines
from harness.layout import Layout
from harness.series import SeriesFile, read_series_file
from harness.tree.git import Git
from harness.tree.tree import Tree


@dataclass(frozen=True, kw_only=True)
class PatchStatus:
    """One patch: its file, its commit, and how they differ."""

    number: int
    subject: str
    file: str
    commit: str
    state: str
    """``same``, ``changed``, ``new`` (no file yet) or ``gone`` (commit removed); empty without a branch."""
    since: str
    """Compared with the previous version: ``same``, ``reworded``, ``changed``, ``new``; empty without one."""
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Status:
    """State of a series."""

    folder: Path
    metadata: SeriesFile
    workspace: Path | None
    changed_files: int
    kept_versions: tuple[int, ...]
    rows: tuple[PatchStatus, ...]

    @property
    def needs_refresh(self) -> bool:
        """Whether the branch differs from the files."""
        return any(row.state in ("changed", "new", "gone") for row in self.rows)


def read_status(layout: Layout, tree: Tree, folder: Path) -> Status:
    """Return the state of the series in ``folder`` on ``tree``. Raises the errors of commits_of."""
    old = read_old(folder)
    workspace = find_workspace(layout, tree, folder.name)
    before = previous_version(folder)
    past = read_old(before) if before else ()
    git = Git(repository=tree.path)
    if workspace is None:
        rows = tuple(_row_of(one, "", _since(git, one, past)) for one in old)
    else:
        rows = _rows(git, commits_of(workspace, base_of(tree, folder)), old, past)
    return Status(
        folder=folder,
        metadata=read_series_file(folder),
        workspace=workspace.path if workspace else None,
        changed_files=len(workspace.git.changed()) if workspace else 0,
        kept_versions=tuple(versions(folder)),
        rows=rows,
    )


def _rows(
    git: Git, commits: tuple[Commit, ...], old: tuple[OldFile, ...], past: tuple[OldFile, ...]
) -> tuple[PatchStatus, ...]:
    rows, matched = [], set()
    for number, commit in enumerate(commits, start=1):
        one = counterpart(commit, old, number)
        if one is not None:
            matched.add(one.path)
        same = one is not None and one.number == number and is_same(git, one, commit, commit.message)
        rows.append(
            PatchStatus(
                number=number,
                subject=commit.subject,
                file=one.path.name if one else "",
                commit=commit.id[:12],
                state="new" if one is None else "same" if same else "changed",
                since=_since_commit(git, commit, past),
                tags=review_lines(commit.message),
            )
        )
    rows += [_row_of(one, "gone", "") for one in old if one.path not in matched]
    return tuple(rows)


def _row_of(one: OldFile, state: str, since: str) -> PatchStatus:
    """Return the row of a file without a commit."""
    return PatchStatus(
        number=one.number,
        subject=one.mail.subject.title,
        file=one.path.name,
        commit="",
        state=state,
        since=since,
        tags=review_lines(one.mail.message),
    )


def _since_commit(git: Git, commit: Commit, past: tuple[OldFile, ...]) -> str:
    return _compare(git, commit.subject, commit.message, commit_patch_id(git, commit), past) if past else ""


def _since(git: Git, one: OldFile, past: tuple[OldFile, ...]) -> str:
    if not past:
        return ""
    return _compare(git, one.mail.subject.title, one.message, one.patch_id(git), past)


def _compare(git: Git, subject: str, message: str, its_id: str, past: tuple[OldFile, ...]) -> str:
    before = next((one for one in past if one.mail.subject.title == subject), None)
    before = before or {one.patch_id(git): one for one in past}.get(its_id)
    if before is None:
        return "new"
    if before.patch_id(git) != its_id:
        return "changed"
    return "same" if before.message.strip() == message.strip() else "reworded"
