"""A variant of a tree as files: a detached git worktree at ``<build root>/src``."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError, StorageError, TreeError
from harness.layout import Layout, label_of
from harness.lock import locked
from harness.progress import Reporter
from harness.series import Series
from harness.tree.apply import apply_series
from harness.tree.git import Git
from harness.tree.tree import Tree

MARKER = ".switching"
"""Beside ``src`` while git is changing its files: what differs then is ours, not the user's."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The sources of one variant. ``label`` names the variant, with the series where there is one."""

    path: Path
    tree_name: str
    label: str
    variant: str
    commit: str


def checkout(tree: Tree, variant: str, series: Series | None, layout: Layout, reporter: Reporter) -> Checkout:
    """The variant's files at its commit; ``series`` is needed for ``patched`` and used for nothing else.

    Files that are right already keep their time stamps. Raises ApplyError, TreeError (the user's own changes
    would be lost; damage), BusyError, StorageError.
    """
    if variant == "patched":
        if series is None:
            raise OptionError("variant patched needs a series", "pass -Dseries=")
        commit, label = apply_series(tree, series, layout, reporter).commit, label_of(variant, series.name)
    elif variant in ("pristine", "base"):
        commit, label = (tree.pristine if variant == "pristine" else tree.base), variant
    else:
        raise OptionError(f"there is no variant {variant!r}", "known are: base patched pristine")
    root = layout.build_root(tree.name, label)
    path = root / "src"
    with locked(path, f"the checkout {path}", reporter):
        try:
            _place(tree, path, commit, reporter)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}", "free some disk space") from error
    return Checkout(path=path, tree_name=tree.name, label=label, variant=variant, commit=commit)


def checkout_commit(tree: Tree, label: str, commit: str, layout: Layout, reporter: Reporter) -> Checkout:
    """The files of any ``commit`` of ``tree`` in a folder of their own. Raises as checkout does."""
    path = layout.build_root(tree.name, label) / "src"
    with locked(path, f"the checkout {path}", reporter):
        try:
            _place(tree, path, commit, reporter)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}", "free some disk space") from error
    return Checkout(path=path, tree_name=tree.name, label=label, variant="patched", commit=commit)


def _place(tree: Tree, path: Path, commit: str, reporter: Reporter) -> None:
    git = Git(repository=tree.path, at=path)
    if path.exists() and not _is_ours(git, tree, path):
        _set_aside(path, reporter)
    if not path.exists():
        with reporter.step(f"checking out {path.parent.name} of {tree.name}"):
            _add(tree, path, commit)
        return
    marker = path.with_name(MARKER)
    head = git.find("HEAD")
    if marker.exists():
        _clear_lock(git)
        _switch(git, marker, commit, "--force")
        return
    changed = _changed(git)
    if changed:
        raise TreeError(
            f"{path} has {len(changed)} changed files that are not committed, such as {changed[0]}",
            "commit or stash them there (git stash), or remove the folder, and run again",
        )
    if head != (commit,):
        _keep_commits(git, head, reporter)
        _switch(git, marker, commit)


def _is_ours(git: Git, tree: Tree, path: Path) -> bool:
    """Whether ``path`` is a worktree of ``tree``, after a try to mend its registration (it was moved)."""
    for attempt in (1, 2):
        ended = git.run(
            *("rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel", "HEAD"),
            check=False,
            merge_stderr=False,
        )
        lines = ended.output.splitlines()
        if ended.returncode == 0 and len(lines) == 3:
            common, top, _ = lines
            if Path(common).resolve() == tree.path.resolve() and Path(top).resolve() == path.resolve():
                return True
        if attempt == 1 and (path / ".git").is_file():
            Git(repository=tree.path).run("worktree", "repair", path, check=False)
    return False


def _add(tree: Tree, path: Path, commit: str) -> None:
    """Check out aside and move into place, so that ``path`` is complete whenever it is there."""
    git = Git(repository=tree.path)
    aside = path.with_name(".src.new")
    shutil.rmtree(aside, ignore_errors=True)
    git.run("worktree", "prune", "--expire=now")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(MARKER).unlink(missing_ok=True)
    # Twice: a git that was killed meanwhile leaves its registration locked, and prune leaves that alone
    # (git-worktree(1), "add", --force).
    git.run("worktree", "add", "--quiet", "--force", "--force", "--detach", aside, commit)
    # git-worktree(1) moves folder and registration one after the other; _is_ours mends a kill in between.
    git.run("worktree", "move", aside, path)


def _switch(git: Git, marker: Path, commit: str, *how: str) -> None:
    marker.write_text(commit + "\n", encoding="ascii")
    git.run("checkout", "--quiet", "--detach", *how, commit)
    marker.unlink()


def _changed(git: Git) -> list[str]:
    """Files that differ from HEAD, in the index or on disk; untracked ones are the user's and stay."""
    _clear_lock(git)
    listed = git.run(
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=no",
        "--no-renames",
        merge_stderr=False,
        env={"GIT_OPTIONAL_LOCKS": "1"},  # keep the refreshed index: the next look is faster
    )
    return [entry[3:] for entry in listed.output.split("\0") if entry]


def _clear_lock(git: Git) -> None:
    """Remove the index lock that a killed git left behind: we hold the checkout's own lock."""
    found = git.find("--path-format=absolute", "--git-dir")
    if found:
        Path(" ".join(found), "index.lock").unlink(missing_ok=True)


def _keep_commits(git: Git, head: tuple[str, ...] | None, reporter: Reporter) -> None:
    """Commits made by the user on the detached HEAD get a branch before HEAD moves away."""
    if head and not git.read("for-each-ref", "--count=1", "--contains", head[0]):
        branch = f"kept-{head[0][:12]}"
        git.run("branch", branch, head[0])
        reporter.warn(f"commits found in {git.at} are kept as branch {branch}")


def _set_aside(path: Path, reporter: Reporter) -> None:
    number = 1
    while (kept := path.with_name(f"src.old-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        path.rename(kept)
        # Its registration is gone or another's; without the link no git command takes it for a worktree.
        link = kept / ".git"
        if link.is_file() or link.is_symlink():
            link.rename(kept / f".git.{os.getpid()}")
        reporter.warn(f"{path} was not a checkout of this tree: kept as {kept}")
