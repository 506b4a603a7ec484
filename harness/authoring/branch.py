"""The branch of a series: an ordinary git worktree, ``build/<pin>/series-<name>/src``, for a developer's git.

Its base is the tag that the series is put on; its tip is the last patch. Before the branch is ever moved by
us, the commits it had get a ref below ``refs/harness/kept/``: nothing that was committed is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AuthoringError, TreeError
from harness.layout import Layout
from harness.series import read_series_file
from harness.tree.git import EMAIL, NAME, Git
from harness.tree.tree import Tree


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of the branch. ``message`` is whole, subject first; ``date`` is in git's raw form."""

    id: str
    parent: str
    tree: str
    author: str
    email: str
    date: str
    message: str

    @property
    def subject(self) -> str:
        """The first paragraph on one line, as git shows it."""
        return " ".join(self.message.split("\n\n", 1)[0].split())


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A worktree on the branch ``series/<name>`` of a tree."""

    tree: Tree
    name: str
    path: Path

    @property
    def branch(self) -> str:
        return f"series/{self.name}"

    @property
    def git(self) -> Git:
        """git in the worktree."""
        return Git(repository=self.tree.path, at=self.path)

    @property
    def bare(self) -> Git:
        """git in the repository, for what needs no files."""
        return Git(repository=self.tree.path)

    @property
    def tip(self) -> str:
        """The commit of the branch."""
        return self.bare.read("rev-parse", "--verify", f"refs/heads/{self.branch}^{{commit}}")


def workspace_path(layout: Layout, tree_name: str, name: str) -> Path:
    """Where the worktree of a series is."""
    return layout.build_root(tree_name, f"series-{name}") / "src"


def start_of(tree: Tree, folder: Path) -> str:
    """The commit that the series in ``folder`` is put on: what its series.toml says, else ``base``."""
    return tree.pristine if read_series_file(folder).base == "pristine" else tree.base


def find_workspace(layout: Layout, tree: Tree, name: str) -> Workspace | None:
    """The worktree of the series ``name``, or None when ``series import`` has not made one."""
    found = Workspace(tree=tree, name=name, path=workspace_path(layout, tree.name, name))
    exists = found.bare.find(f"refs/heads/{found.branch}^{{commit}}")
    return found if exists and (found.path / ".git").exists() else None


def make_workspace(layout: Layout, tree: Tree, name: str, commit: str) -> Workspace:
    """A worktree whose branch is at ``commit``; what the branch had before is kept. Raises TreeError.

    The files of an existing worktree are switched; changes that are not committed are refused.
    """
    found = find_workspace(layout, tree, name)
    if found is not None:
        refuse_unfinished(found)
        if changed := uncommitted(found):
            raise TreeError(
                f"{found.path} has {len(changed)} changed files that are not committed, such as {changed[0]}",
                "commit or stash them there (git stash), and run again",
            )
        keep(found)
        found.git.run("reset", "--quiet", "--keep", commit)
        return found
    made = Workspace(tree=tree, name=name, path=workspace_path(layout, tree.name, name))
    bare = made.bare
    bare.run("worktree", "prune", "--expire=now")
    if made.path.exists():
        set_aside(made.path)  # the tree was made anew: what lies there is no worktree of it, yet may be work
    made.path.parent.mkdir(parents=True, exist_ok=True)
    if bare.find(f"refs/heads/{made.branch}^{{commit}}"):
        keep(made)
    bare.run("worktree", "add", "--quiet", "--force", "--force", "-B", made.branch, made.path, commit)
    return made


def commits_of(found: Workspace, base: str) -> tuple[Commit, ...]:
    """The commits from ``base`` to the tip, oldest first. Raises AuthoringError: a merge, another base."""
    bare = found.bare
    if bare.run("merge-base", "--is-ancestor", base, found.tip, check=False).returncode:
        raise AuthoringError(
            f"branch {found.branch} is not on top of {base[:12]}, the base of {found.tree.name}",
            f"in {found.path}: git rebase --onto {base[:12]} OLD-BASE",
        )
    ids = bare.read("rev-list", "--reverse", "--topo-order", f"{base}..{found.tip}").split()
    return tuple(read_commit(bare, one) for one in ids)


def read_commit(git: Git, name: str) -> Commit:
    """The commit ``name``. Raises AuthoringError when it is a merge."""
    form = "%H%x00%P%x00%T%x00%an%x00%ae%x00%ad%x00%B"
    text = git.read("log", "-1", "--no-show-signature", "--date=raw", f"--format={form}", name, "--")
    one, parents, tree, author, email, date, message = text.split("\0", 6)
    if len(parents.split()) != 1:
        raise AuthoringError(
            f"commit {one[:12]} is a merge, which is no patch", "rebase the branch: git rebase -i"
        )
    return Commit(
        id=one, parent=parents, tree=tree, author=author, email=email, date=date, message=message.strip("\n")
    )


def write_commit(git: Git, parent: str, tree: str, like: Commit, message: str) -> str:
    """A commit of ``tree`` on ``parent`` with the author of ``like``; returns its id."""
    seconds, zone = like.date.split()
    return git.read(
        *("commit-tree", tree, "-p", parent),
        stdin=message.encode("utf-8", "surrogateescape") + b"\n",
        env={
            "GIT_AUTHOR_NAME": like.author,
            "GIT_AUTHOR_EMAIL": like.email,
            "GIT_AUTHOR_DATE": f"{seconds} {zone}",
            "GIT_COMMITTER_NAME": NAME,
            "GIT_COMMITTER_EMAIL": EMAIL,
            "GIT_COMMITTER_DATE": f"{seconds} {zone}",
        },
    )


def reword(git: Git, base: str, commits: Sequence[Commit], messages: Sequence[str]) -> tuple[Commit, ...]:
    """The same trees and authors on top of ``base``, with other messages."""
    parent, done = base, []
    for commit, message in zip(commits, messages, strict=True):
        parent = write_commit(git, parent, commit.tree, commit, message)
        done.append(read_commit(git, parent))
    return tuple(done)


def uncommitted(found: Workspace) -> list[str]:
    """Tracked files of the worktree that differ from its HEAD."""
    listed = found.git.run(
        "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", merge_stderr=False
    )
    return [entry[3:] for entry in listed.output.split("\0") if entry]


def refuse_unfinished(found: Workspace) -> None:
    """Raise AuthoringError in the middle of a rebase, an am or a cherry-pick, or off the branch."""
    folder = Path(found.git.read("rev-parse", "--path-format=absolute", "--git-dir"))
    for name in ("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "MERGE_HEAD"):
        if (folder / name).exists():
            raise AuthoringError(
                f"{found.path} is in the middle of a rebase or another operation of git ({name})",
                "finish it there (git rebase --continue), or give it up (--abort), and run again",
            )
    head = found.git.run("symbolic-ref", "--quiet", "HEAD", check=False, merge_stderr=False).output.strip()
    if head != f"refs/heads/{found.branch}":
        raise AuthoringError(
            f"{found.path} is not on its branch {found.branch}", f"there: git switch {found.branch}"
        )


def keep(found: Workspace) -> str:
    """Give the commits that the branch has now a ref of their own; returns its name."""
    name = f"refs/harness/kept/{found.name}/{found.tip[:12]}"
    found.bare.run("update-ref", name, found.tip)
    return name


def set_aside(path: Path) -> Path:
    """Rename ``path`` to a name of its own; returns it."""
    number = 1
    while (kept := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(kept)
    return kept


def mark_saved(found: Workspace) -> None:
    """Note that the patches hold what the branch has."""
    found.bare.run("update-ref", f"refs/harness/{found.name}/saved", found.tip)


def is_saved(git: Git, name: str) -> bool:
    """Whether the tip of the branch of ``name`` is what patches were once made of, or made from."""
    tip = git.find(f"refs/heads/series/{name}^{{commit}}")
    if tip is None:
        return True
    refs = (f"refs/harness/{name}/", "refs/tags/base", "refs/tags/pristine")
    return bool(git.read("for-each-ref", f"--points-at={tip[0]}", *refs))


def unsaved(layout: Layout) -> tuple[str, ...]:
    """The series, in any tree of this checkout, whose branch has commits that are in no patches."""
    found = []
    for path in sorted(layout.trees.iterdir()) if layout.trees.is_dir() else ():
        if not (path / "HEAD").is_file():
            continue
        git = Git(repository=path)
        words = ("for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/series/")
        listed = git.run(*words, check=False, merge_stderr=False)
        names = listed.output.split() if listed.returncode == 0 else []  # damaged: no commits to lose
        found += [f"{name} on {path.name}" for name in names if not is_saved(git, name)]
    return tuple(found)


def move(found: Workspace, commit: str) -> None:
    """Move the branch to ``commit``, whose files are those of its tip: the worktree stays as it is."""
    assert (
        found.bare.read("rev-parse", f"{commit}^{{tree}}", f"{found.tip}^{{tree}}").split()
        == [found.bare.read("rev-parse", f"{commit}^{{tree}}")] * 2
    ), "the files would change"
    keep(found)
    found.bare.run("update-ref", "-m", "qemu-harness series", f"refs/heads/{found.branch}", commit, found.tip)
