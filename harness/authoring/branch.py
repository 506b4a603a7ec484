"""The branch of a series, in an ordinary git worktree, ``build/<pin>/series-<name>/src``.

Its base is the tag that the series applies to; its tip is the last patch. Before the harness moves the
branch, it creates a ref below ``refs/harness/kept/`` for the old commits, so that no commit is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AuthoringError, TreeError
from harness.layout import Layout
from harness.process import shell_quote
from harness.series import read_series_file
from harness.tree.git import EMAIL, NAME, Git
from harness.tree.tree import Tree, start_of


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of the branch. ``message`` includes the subject; ``date`` has git's raw format."""

    id: str
    parent: str
    tree: str
    author: str
    email: str
    date: str
    message: str

    @property
    def subject(self) -> str:
        """The first paragraph on one line."""
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
        """git in the repository, for commands that need no files."""
        return Git(repository=self.tree.path)

    @property
    def tip(self) -> str:
        """The id of the last commit of the branch."""
        return self.bare.read("rev-parse", "--verify", f"refs/heads/{self.branch}^{{commit}}")


def workspace_path(layout: Layout, tree_name: str, name: str) -> Path:
    """Return the path of the worktree of a series."""
    return layout.build_root(tree_name, f"series-{name}") / "src"


def base_of(tree: Tree, folder: Path) -> str:
    """Return the commit that the series in ``folder`` applies to: the state that its series.toml names."""
    return start_of(tree, read_series_file(folder).base or "pristine")


def find_workspace(layout: Layout, tree: Tree, name: str) -> Workspace | None:
    """Return the worktree of the series ``name``, or None before ``series import``."""
    workspace = Workspace(tree=tree, name=name, path=workspace_path(layout, tree.name, name))
    exists = workspace.bare.find(f"refs/heads/{workspace.branch}^{{commit}}")
    return workspace if exists and (workspace.path / ".git").exists() else None


def make_workspace(layout: Layout, tree: Tree, name: str, commit: str) -> Workspace:
    """Create or reset the worktree with its branch at ``commit``; keep the old commits under a ref.

    Raises TreeError if an existing worktree has uncommitted changes.
    """
    existing = find_workspace(layout, tree, name)
    if existing is not None:
        refuse_unfinished(existing)
        if changed := existing.git.changed():
            raise TreeError(
                f"{existing.path} has {len(changed)} uncommitted changed files, such as {changed[0]}",
                "commit or stash them there (git stash), and run again",
            )
        keep(existing)
        existing.git.run("reset", "--quiet", "--keep", commit)
        return existing
    workspace = Workspace(tree=tree, name=name, path=workspace_path(layout, tree.name, name))
    bare = workspace.bare
    bare.run("worktree", "prune", "--expire=now")
    if workspace.path.exists():
        set_aside(workspace.path)  # a worktree of a tree that was created again; it may contain work
    workspace.path.parent.mkdir(parents=True, exist_ok=True)
    if bare.find(f"refs/heads/{workspace.branch}^{{commit}}"):
        refuse_other_checkout(workspace)
        keep(workspace)
    bare.run(
        "worktree", "add", "--quiet", "--force", "--force", "-B", workspace.branch, workspace.path, commit
    )
    return workspace


def commits_of(workspace: Workspace, base: str) -> tuple[Commit, ...]:
    """Return the commits from ``base`` to the tip, oldest first.

    Raises AuthoringError if there is a merge or the branch is not on top of ``base``.
    """
    bare, tip = workspace.bare, workspace.tip
    if not bare.is_ancestor(base, tip):
        raise AuthoringError(
            f"branch {workspace.branch} is not on top of {base[:12]}, the base of {workspace.tree.name}",
            f"in {workspace.path}: git rebase --onto {base[:12]} OLD-BASE",
        )
    return read_commits(bare, base, tip)


def read_commits(git: Git, base: str, tip: str) -> tuple[Commit, ...]:
    """Read the commits from ``base`` to ``tip``, oldest first. Raises AuthoringError if one is a merge."""
    form = "%H%x00%P%x00%T%x00%an%x00%ae%x00%ad%x00%B"
    text = git.run(
        *("log", "-z", "--reverse", "--topo-order", "--no-show-signature", "--date=raw"),
        *(f"--format={form}", f"{base}..{tip}", "--"),
        merge_stderr=False,
    ).output
    fields, commits = text.split("\0"), []
    for at in range(0, len(fields) - 1, 7):
        one, parents, tree, author, email, date, message = fields[at : at + 7]
        if len(parents.split()) != 1:
            raise AuthoringError(
                f"commit {one[:12]} is a merge, which cannot be a patch", "rebase the branch: git rebase -i"
            )
        commits.append(
            Commit(
                id=one,
                parent=parents,
                tree=tree,
                author=author,
                email=email,
                date=date,
                message=message.rstrip().lstrip("\n"),
            )
        )
    return tuple(commits)


def write_commit(git: Git, parent: str, tree: str, like: Commit, message: str) -> str:
    """Create a commit of ``tree`` on ``parent`` with author and date of ``like``; return its id."""
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
    """Create ``commits`` again on top of ``base``, with the same trees and authors but new ``messages``."""
    parent = base
    for commit, message in zip(commits, messages, strict=True):
        parent = write_commit(git, parent, commit.tree, commit, message)
    return read_commits(git, base, parent)


def refuse_unfinished(workspace: Workspace) -> None:
    """Raise AuthoringError during a rebase, an am or a cherry-pick, or if HEAD is not the branch."""
    folder = Path(workspace.git.read("rev-parse", "--path-format=absolute", "--git-dir"))
    for name in ("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "MERGE_HEAD"):
        if (folder / name).exists():
            raise AuthoringError(
                f"{workspace.path} has an unfinished rebase or other git operation ({name})",
                "finish it there (git rebase --continue) or abort it (--abort), and run again",
            )
    head = workspace.git.run(
        "symbolic-ref", "--quiet", "HEAD", check=False, merge_stderr=False
    ).output.strip()
    if head != f"refs/heads/{workspace.branch}":
        raise AuthoringError(
            f"{workspace.path} is not on its branch {workspace.branch}",
            f"in that folder: git switch {workspace.branch}",
        )


def refuse_other_checkout(workspace: Workspace) -> None:
    """Raise AuthoringError if the branch is checked out elsewhere, as by a harness with the same trees."""
    form = "--format=%(worktreepath)"
    other = workspace.bare.read("for-each-ref", form, f"refs/heads/{workspace.branch}")
    if other and Path(other).exists():
        words = ("git", "-C", workspace.tree.path, "worktree", "remove", other)
        raise AuthoringError(
            f"branch {workspace.branch} of {workspace.tree.path} is checked out in {other}",
            f"work on it there, or commit there and remove that checkout: {shell_quote(words)}",
        )


def keep(workspace: Workspace) -> str:
    """Create a ref for the current commits of the branch; return its name."""
    tip = workspace.tip
    name = f"refs/harness/kept/{workspace.name}/{tip[:12]}"
    workspace.bare.run("update-ref", name, tip)
    return name


def set_aside(path: Path) -> Path:
    """Rename ``path`` to an unused name; return that."""
    number = 1
    while (kept := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(kept)
    return kept


def mark_saved(workspace: Workspace, tip: str) -> None:
    """Record that the patches contain all commits up to ``tip``."""
    workspace.bare.run("update-ref", f"refs/harness/{workspace.name}/saved", tip)


def is_saved(git: Git, name: str) -> bool:
    """Return whether the tip of the branch of ``name`` was once written to patches or read from them."""
    tip = git.find(f"refs/heads/series/{name}^{{commit}}")
    if tip is None:
        return True
    refs = (f"refs/harness/{name}/", "refs/tags/base", "refs/tags/pristine")
    return bool(git.read("for-each-ref", f"--points-at={tip[0]}", *refs))


def move(workspace: Workspace, commit: str) -> None:
    """Move the branch to ``commit``, which must have the files of its tip: the worktree does not change."""
    tip = workspace.tip
    new, old = workspace.bare.read("rev-parse", f"{commit}^{{tree}}", f"{tip}^{{tree}}").split()
    assert new == old, "the files would change"
    keep(workspace)
    workspace.bare.run(
        "update-ref", "-m", "qemu-harness series", f"refs/heads/{workspace.branch}", commit, tip
    )
