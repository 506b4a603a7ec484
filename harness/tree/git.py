"""git for the trees: no configuration but ours, no hooks, no filters, fixed identity and dates.

With that, the same bytes give the same commit ids on any machine (git-commit-tree(1): an id is the hash of
tree, parents, author, committer, dates and message).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError, TreeError
from harness.process import Finished, disk_is_full, run

NAME, EMAIL, EPOCH = "qemu-harness", "qemu-harness@localhost", 946684800
"""Who commits imports and edits, and when: 2000-01-01, because no real date may decide an id."""

IDENTITY = {
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_AUTHOR_DATE": f"{EPOCH} +0000",
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "GIT_COMMITTER_DATE": f"{EPOCH} +0000",
}
_ISOLATED = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    **IDENTITY,
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "core.protectNTFS=true",
    "core.compression=1",  # speed: these repositories are a cache
    "checkout.workers=0",  # one for each CPU
    "commit.gpgSign=false",
    "gc.auto=0",
    "advice.detachedHead=false",
    "safe.directory=*",  # we made it; in a container its owner may be another user
)
# Attributes of the release must not change its bytes (gitattributes(5): this file wins over all others).
ATTRIBUTES = "* -text !eol -ident -filter !working-tree-encoding\n"


@dataclass(frozen=True, kw_only=True)
class Git:
    """git on one bare repository, or (``at``) in a worktree of it."""

    repository: Path
    at: Path | None = None
    settings: tuple[str, ...] = ()
    cwd: Path | None = None
    """Where git runs; ours when None."""

    def run(
        self,
        *words: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes | BinaryIO | None = None,
        check: bool = True,
        merge_stderr: bool = True,
        error: Callable[[Finished], HarnessError] | None = None,
        timeout_s: float = 1800,
    ) -> Finished:
        """Run git. Raises TreeError (or ``error(finished)``) when it fails."""
        place: list[str | Path] = ["-C", self.at] if self.at else ["--git-dir", self.repository]
        settings = [word for setting in (*_SETTINGS, *self.settings) for word in ("-c", setting)]
        return run(
            ["git", *place, *settings, *words],
            cwd=self.cwd,
            env={**_ISOLATED, **(env or {})},
            stdin=stdin,
            check=check,
            merge_stderr=merge_stderr,
            error=lambda ended: self._why(ended, error or self._failed),
            timeout_s=timeout_s,
        )

    def read(
        self, *words: str | Path, env: Mapping[str, str] | None = None, stdin: bytes | None = None
    ) -> str:
        """The standard output of git, stripped. Raises TreeError."""
        return self.run(*words, env=env, stdin=stdin, merge_stderr=False).output.strip()

    def find(self, *revisions: str) -> tuple[str, ...] | None:
        """The ids that ``revisions`` stand for, or None when one of them is not there."""
        ended = self.run("rev-parse", *revisions, check=False, merge_stderr=False)
        return tuple(ended.output.split()) if ended.returncode == 0 else None

    def _why(self, ended: Finished, error: Callable[[Finished], HarnessError]) -> HarnessError:
        return disk_is_full(ended.output, self.at, self.repository) or error(ended)

    def _failed(self, ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return TreeError(
            f"git failed in {self.at or self.repository}: {lines[-1] if lines else 'no reason given'}",
            f"if it goes on, remove {self.repository} (the cache still has the source) and run again",
            details=(ended.command, *lines[-5:]),
        )


def make_repository(path: Path) -> Git:
    """An empty bare repository at ``path``, without templates and hooks. Raises TreeError."""
    git = Git(repository=path)
    git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=import", path)
    (path / "info").mkdir(exist_ok=True)
    (path / "info" / "attributes").write_text(ATTRIBUTES, encoding="ascii")
    return git
