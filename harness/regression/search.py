"""git bisect without a worktree: which commit to judge next, and what the judgements say.

The state is git's own (refs/bisect, BISECT_LOG), in a repository that borrows the objects of the tree. It
survives the end of the process at any moment. Source: git-bisect(1), ``--no-checkout``.
"""

import re
import shutil
from pathlib import Path
from typing import Literal

from harness.errors import OptionError
from harness.process import Finished
from harness.tree import Tree
from harness.tree.git import Git, borrow_objects, make_repository

Term = Literal["good", "bad", "skip"]
_FIRST = re.compile(r"^# first bad commit: \[([0-9a-f]{40})\]", re.MULTILINE)
_POSSIBLE = re.compile(r"^# possible first bad commit: \[([0-9a-f]{40})\]", re.MULTILINE)


class Search:
    """One bisection. ``good`` and ``bad`` are commit ids."""

    def __init__(self, git: Git, good: str, bad: str) -> None:
        self.good, self.bad, self._git = good, bad, git

    @property
    def log(self) -> str:
        """Return the log, which ``git bisect replay`` takes."""
        return self._git.read("bisect", "log") + "\n"

    @property
    def candidate(self) -> str:
        """Return the commit to judge; empty if the search has ended."""
        if self.found:
            return ""
        return (self._git.find("--verify", "--quiet", "BISECT_HEAD") or ("",))[0]

    @property
    def found(self) -> tuple[str, ...]:
        """Return the first bad commit. If skipped commits hide it, return all that it can be."""
        log = self.log
        return tuple(_FIRST.findall(log) or _POSSIBLE.findall(log))

    @property
    def commits(self) -> int:
        """Return the number of commits after the good end, up to the bad one."""
        return int(self._git.read("rev-list", "--count", self.bad, f"^{self.good}"))

    def judged(self) -> int:
        """Return the number of judgements so far, without the two ends."""
        return len(re.findall(r"^git bisect (?:good|bad|skip) ", self.log, re.MULTILINE))

    def left(self) -> int:
        """Return the number of commits that are still possible, the known bad one among them."""
        good = self._git.read("for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
        exclude = [f"^{commit}" for commit in good]
        return int(self._git.read("rev-list", "--count", "refs/bisect/bad", *exclude))

    def mark(self, term: Term, commit: str) -> None:
        """Judge ``commit``."""
        # 2: only skipped commits are left, which the log records too.
        self._git.run("bisect", term, commit, check=False)


def open_search(tree: Tree, folder: Path, good: str, bad: str) -> Search:
    """Continue the search in ``folder``, or start it.

    Raises OptionError if ``good`` is no ancestor of ``bad``.
    """
    git = Git(repository=folder)
    if not (folder / "BISECT_LOG").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        if good == bad or not Git(repository=tree.path).is_ancestor(good, bad):
            raise OptionError(
                f"--good {good[:12]} is not before --bad {bad[:12]}",
                "name an older good revision, and a newer bad one",
            )
        make_repository(folder)
        shallow = tree.path / "shallow"
        borrow_objects(folder, tree.path / "objects", shallow.read_bytes() if shallow.is_file() else b"")

        def refused(ended: Finished) -> OptionError:
            return OptionError("git bisect refuses the revisions", "read its reason", details=(ended.output,))

        git.run("update-ref", "HEAD", bad)  # git bisect wants to know where to return to
        git.run("bisect", "start", "--no-checkout", bad, good, error=refused)
    return Search(git, good, bad)
