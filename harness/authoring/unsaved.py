"""Work of the user in the trees and checkouts of the harness that no patch contains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.authoring.branch import is_saved
from harness.errors import TreeError
from harness.layout import Layout
from harness.tree.checkout import MARKER
from harness.tree.git import Git

SERIES = "series/"


def unsaved(layout: Layout) -> tuple[str, ...]:
    """Return a clause for each commit, stash and file of the user that ends with the trees and builds."""
    trees = sorted(layout.trees.iterdir()) if layout.trees.is_dir() else ()
    return tuple(clause for path in trees if (path / "HEAD").is_file() for clause in _in_tree(path, layout))


def _in_tree(tree: Path, layout: Layout) -> Iterator[str]:
    git = Git(repository=tree)
    words = ("for-each-ref", "--format=%(refname:short)", "refs/heads/", "refs/stash")
    listed = git.run(*words, check=False, merge_stderr=False)
    if listed.returncode != 0:
        return  # damaged: no commits to lose
    for name in listed.output.split():
        if name.startswith(SERIES) and not is_saved(git, name.removeprefix(SERIES)):
            series = name.removeprefix(SERIES)
            yield f"the branch of series {series} on {tree.name} has commits that are not in its patches"
        elif not name.startswith(SERIES):
            yield f"{tree} has commits that are in no patch: {name}"
    for place, branch in _worktrees(git, layout):
        # New files are work on a branch; elsewhere they are those of a build.
        is_edited = branch.startswith(f"refs/heads/{SERIES}")
        try:
            changed = Git(repository=tree, at=place).changed(untracked=is_edited)
        except TreeError:
            yield f"{place} may have changes: git cannot read it"
            continue
        if changed:
            yield f"{place} has {len(changed)} files with uncommitted changes, such as {changed[0]}"


def _worktrees(git: Git, layout: Layout) -> Iterator[tuple[Path, str]]:
    """Yield each checkout in the build folder, with the ref of its branch (empty: none).

    A killed run can leave a checkout half written, which is no change of the user.
    """
    for entry in git.read("worktree", "list", "--porcelain", "-z").split("\0\0"):
        facts = dict(line.partition(" ")[::2] for line in entry.strip("\0").split("\0"))
        place = Path(facts.get("worktree", ""))
        if layout.build in place.parents and place.is_dir() and not place.with_name(MARKER).exists():
            yield place, facts.get("branch", "")
