"""Split a patch into two by the files that they change. Later commits keep their trees: no conflicts."""

import fnmatch
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.authoring.branch import Commit, Workspace, commits_of, move, refuse_unfinished, write_commit
from harness.errors import AuthoringError
from harness.tree.git import Git


def split(
    workspace: Workspace, base: str, number: int, patterns: Sequence[str], subject: str
) -> tuple[str, str]:
    """Move the files that match ``patterns`` (fnmatch) from patch ``number`` to a new commit before it.

    The new commit has ``subject`` and no trailers, because those are about the whole patch. Returns both
    subjects. Raises AuthoringError if there is no such patch, or one of the two would be empty.
    """
    refuse_unfinished(workspace)
    commits = commits_of(workspace, base)
    if not 1 <= number <= len(commits):
        raise AuthoringError(f"there is no patch {number}", f"choose one from 1 to {len(commits)}")
    commit, git = commits[number - 1], workspace.bare
    paths = git.read("diff-tree", "-r", "-z", "--no-renames", "--name-only", commit.parent, commit.id).split(
        "\0"
    )
    touched = [path for path in paths if path]
    taken = [path for path in touched if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)]
    if not taken or len(taken) == len(touched):
        which = "none" if not taken else "all"
        raise AuthoringError(
            f"{' '.join(patterns)} matches {which} of the {len(touched)} files of patch {number}",
            f"choose among its files: {' '.join(touched[:20])}",
        )
    first = _tree_with(git, commit, taken)
    parent = write_commit(git, commit.parent, first, commit, subject)
    for later in commits[number - 1 :]:
        parent = write_commit(git, parent, later.tree, later, later.message)
    move(workspace, parent)
    return subject, commit.subject


def _tree_with(git: Git, commit: Commit, paths: Sequence[str]) -> str:
    """Return the tree of the commit's parent with ``paths`` taken from the commit."""
    entries = {path: facts for facts, path in git.entries("ls-tree", "-r", "-z", commit.id, "--", *paths)}
    rows = []
    for path in paths:
        mode, _, blob = entries.get(path, ("0", "", "0" * 40))
        rows.append(f"{mode} {blob}\t{path}\0")
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        env = {"GIT_INDEX_FILE": os.fspath(Path(scratch) / "index")}
        git.run("read-tree", commit.parent, env=env)
        git.run(
            *("update-index", "-z", "--index-info"),
            stdin="".join(rows).encode("utf-8", "surrogateescape"),
            env=env,
        )
        return git.read("write-tree", env=env)
