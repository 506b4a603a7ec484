"""Fuzzing ``apply_series``: the real git runs, and all files except its objects must stay unchanged."""

import hashlib
import os
from pathlib import Path

from harness.errors import HarnessError
from harness.layout import Layout
from harness.progress import Silent
from harness.series import series_of_files
from harness.source.pin import Pin
from harness.tree import Facts, Tree, apply_series
from harness.tree.git import Git
from tests.fuzz import seeds

NAME = "tiny"


def tiny_tree(layout: Layout) -> Tree:
    """Return a repository with ``seeds.FILES``, created at the first call."""
    path = layout.tree(NAME)
    git = Git(repository=path)
    if not path.is_dir():
        path.mkdir(parents=True)
        git.run("init", "--quiet", "--bare", path)
        entries = []
        for name, text in seeds.FILES.items():
            blob = git.run("hash-object", "-w", "--stdin", stdin=text.encode()).output.strip()
            entries.append(f"100644 blob {blob}\t{name}\0")
        made = git.run("mktree", "-z", stdin="".join(_nested(git, entries)).encode()).output.strip()
        commit = git.run("commit-tree", "-m", "tiny", made).output.strip()
        git.run("tag", "base", commit)
    commit = git.read("rev-parse", "base^{commit}")
    pin = Pin(name=NAME, archive="x", sha256="0" * 64, locations=())
    facts = Facts(version="7.2.0", targets=())
    return Tree(path=path, name=NAME, pin=pin, digest="0" * 64, pristine=commit, facts=facts)


def _nested(git: Git, entries: list[str]) -> list[str]:
    """Return ``entries`` with separate trees for folders, one level deep."""
    flat: list[str] = []
    below: dict[str, list[str]] = {}
    for entry in entries:
        facts, _, name = entry.partition("\t")
        folder, slash, rest = name.partition("/")
        if slash:
            below.setdefault(folder, []).append(f"{facts}\t{rest}")
        else:
            flat.append(entry)
    for folder, inner in below.items():
        made = git.run("mktree", "-z", stdin="".join(inner).encode()).output.strip()
        flat.append(f"040000 tree {made}\t{folder}\0")
    return flat


def apply_in(layout: Layout, data: bytes) -> None:
    """Apply ``data``. Raises AssertionError if anything except git's objects and refs has changed."""
    tree = tiny_tree(layout)
    before = _outside(layout, tree)
    series = series_of_files("x", layout.patches / "x", [("0001-x.patch", data)])
    try:
        done = apply_series(tree, series, layout, Silent())
    except HarnessError:
        _same(before, _outside(layout, tree))
        raise
    _same(before, _outside(layout, tree))
    git = Git(repository=tree.path)
    for path in git.read("ls-tree", "-r", "-z", "--name-only", done.commit).split("\0"):
        if path and (path.startswith(("/", ".git/")) or ".." in path.split("/")):
            raise AssertionError(f"{path!r} was committed")


def _same(before: dict[str, str], after: dict[str, str]) -> None:
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        raise AssertionError(f"changed outside the tree: {', '.join(changed)}")


def _outside(layout: Layout, tree: Tree) -> dict[str, str]:
    """Return digest or link target of all files, except git's objects, refs, locks and logs."""
    found: dict[str, str] = {}
    for top in (layout.root.parent,):
        for folder, folders, files in os.walk(top):
            if Path(folder) == tree.path:
                folders[:] = [
                    name for name in folders if name not in ("objects", "refs", "worktrees", "logs")
                ]
            for name in files:
                path = Path(folder, name)
                if not name.endswith(".lock") and layout.locks not in path.parents:
                    found[str(path)] = (
                        str(path.readlink())
                        if path.is_symlink()
                        else hashlib.sha256(path.read_bytes()).hexdigest()
                    )
    return found
