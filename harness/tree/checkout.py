"""Check a variant of a tree out as a detached git worktree at ``<build root>/src``."""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import OptionError, StorageError, TreeError
from harness.jsonfile import storing
from harness.layout import Layout, label_of
from harness.lock import locked
from harness.progress import Reporter
from harness.series import Series
from harness.tree.apply import apply_series
from harness.tree.facts import Facts, targets_below
from harness.tree.git import Git
from harness.tree.tree import Tree, start_of

MARKER = ".switching"
"""Exists next to ``src`` while git changes files: after a kill, differences are not the user's changes."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The sources of one variant. ``label`` is the variant, followed by the series for ``patched``.

    ``pin`` and ``facts`` are those of its tree, except the targets: a series may add or remove one.
    """

    path: Path
    tree_name: str
    pin: str
    label: str
    variant: str
    commit: str
    facts: Facts


def checkout(tree: Tree, variant: str, series: Series | None, layout: Layout, reporter: Reporter) -> Checkout:
    """Check ``variant`` out; ``series`` is required for ``patched`` and otherwise ignored.

    Unchanged files keep their timestamps. Raises OptionError, ApplyError, TreeError (a damaged tree, or
    changes of the user would be lost), BusyError, StorageError.
    """
    if variant == "patched":
        if series is None:
            raise OptionError("variant patched requires a series", "pass -Dseries=")
        commit, label = apply_series(tree, series, layout, reporter).commit, label_of(variant, series.name)
    elif variant in ("pristine", "base"):
        commit, label = start_of(tree, variant, reporter), variant
    else:
        raise OptionError(f"unknown variant {variant!r}", "known variants: base patched pristine")
    return checkout_commit(tree, label, commit, layout, reporter, variant=variant)


def checkout_commit(
    tree: Tree, label: str, commit: str, layout: Layout, reporter: Reporter, *, variant: str = "patched"
) -> Checkout:
    """Check any ``commit`` of ``tree`` out in the folder of ``label``. Raises the errors of ``checkout``."""
    path = layout.build_root(tree.name, label) / "src"
    with locked(path, f"the checkout {path}", reporter), storing(f"write {path}"):
        _place(tree, path, commit, reporter)
    if tree.clone is not None:
        _copy_subprojects(tree.clone, path)
    return Checkout(
        path=path,
        tree_name=tree.name,
        pin=tree.pin.name,
        label=label,
        variant=variant,
        commit=commit,
        facts=replace(tree.facts, targets=targets_below(path)),
    )


def _copy_subprojects(clone: Path, path: Path) -> None:
    """Copy subprojects that the clone has downloaded, such as keycodemapdb, and that the checkout lacks.

    Their folder has the name of the wrap file, or the one that the file states, as for Rust's crates. They
    are not part of a commit (subprojects/.gitignore), and configure downloads nothing. Raises StorageError.
    """
    for wrap in filter(Path.is_file, (path / "subprojects").glob("*.wrap")):
        # No path: the wrap file may be that of a series.
        named = re.search(rb"^directory *[=:] *([\w.+-]*\w)\s*$", wrap.read_bytes(), re.MULTILINE)
        name = named[1].decode("ascii") if named else wrap.stem
        lent, own = clone / "subprojects" / name, path / "subprojects" / name
        if lent.is_dir() and not own.exists():
            try:
                shutil.copytree(lent, own, symlinks=True, ignore=shutil.ignore_patterns(".git"))
            except (OSError, shutil.Error) as error:
                raise StorageError(f"cannot copy {lent}: {error}", "free some disk space") from error


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
    _clear_lock(git)
    if changed := git.changed():
        raise TreeError(
            f"{path} has uncommitted changes in {len(changed)} files, such as {changed[0]}",
            "commit or stash them (git stash), or remove the folder, and run again",
        )
    if head != (commit,):
        _keep_commits(git, head, reporter)
        _switch(git, marker, commit)


def _is_ours(git: Git, tree: Tree, path: Path) -> bool:
    """Return whether ``path`` is a worktree of ``tree``. If it was moved, repair its registration first."""
    if _is_registered_elsewhere(path):
        return False
    for attempt in (1, 2):
        ended = git.run(
            *("rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel", "HEAD^{tree}"),
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


def _is_registered_elsewhere(path: Path) -> bool:
    """Return whether the registration that ``path`` names is now that of another worktree.

    A regenerated tree numbers its worktrees from scratch, so a checkout of the old tree can name one of the
    new ones, with another HEAD and index.
    """
    try:
        folder = (path / ".git").read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        other = Path((Path(folder) / "gitdir").read_text(encoding="utf-8").strip())
    except OSError:
        return False
    return other != path / ".git" and other.exists()


def _add(tree: Tree, path: Path, commit: str) -> None:
    """Check out to a temporary folder and rename it, so that ``path`` is complete if it exists."""
    git = Git(repository=tree.path)
    temporary = path.with_name(".src.new")
    shutil.rmtree(temporary, ignore_errors=True)
    git.run("worktree", "prune", "--expire=now")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(MARKER).unlink(missing_ok=True)
    # A killed git leaves a locked registration, which prune keeps; --force is required twice to replace it
    # (git-worktree(1), "add", --force).
    git.run("worktree", "add", "--quiet", "--force", "--force", "--detach", temporary, commit)
    # git moves first the folder, then the registration; _is_ours repairs the effect of a kill in between.
    git.run("worktree", "move", temporary, path)


def _switch(git: Git, marker: Path, commit: str, *how: str) -> None:
    marker.write_text(commit + "\n", encoding="ascii")
    git.run("checkout", "--quiet", "--detach", *how, commit)
    marker.unlink()


def _clear_lock(git: Git) -> None:
    """Remove the index lock of a killed git. This run holds the checkout's lock, so no other git runs."""
    found = git.find("--path-format=absolute", "--git-dir")
    if found:
        Path(" ".join(found), "index.lock").unlink(missing_ok=True)


def _keep_commits(git: Git, head: tuple[str, ...] | None, reporter: Reporter) -> None:
    """Create a branch for the user's commits on the detached HEAD before HEAD changes."""
    if head and not git.read("for-each-ref", "--count=1", "--contains", head[0]):
        branch = f"kept-{head[0][:12]}"
        git.run("branch", branch, head[0])
        reporter.warn(f"commits of {git.at} that are on no branch are kept as branch {branch}")


def _set_aside(path: Path, reporter: Reporter) -> None:
    number = 1
    while (kept := path.with_name(f"src.old-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        path.rename(kept)
        # Its registration is missing or belongs to another folder. Without this file, git commands do not
        # treat the folder as a worktree.
        link = kept / ".git"
        if link.is_file() or link.is_symlink():
            link.rename(kept / f".git.{os.getpid()}")
        reporter.warn(f"{path} is not a checkout of this tree: renamed to {kept}")
