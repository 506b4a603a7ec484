"""Run git on trees: isolated configuration, no hooks, no filters, fixed identity and dates.

Therefore the same bytes give the same commit ids on any machine (git-commit-tree(1): an id is the hash of
tree, parents, author, committer, dates and message).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError, TreeError
from harness.jsonfile import write_bytes
from harness.process import Finished, disk_is_full, run

NAME, EMAIL, EPOCH = "qemu-harness", "qemu-harness@localhost", 946684800
"""Committer and date of imports and edits: 2000-01-01, so that ids do not depend on the real date."""

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
    "core.compression=1",  # fast; these repositories are a cache
    "checkout.workers=0",  # one for each CPU
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",  # or git am starts a process that finds nothing to do
    "advice.detachedHead=false",
    "safe.directory=*",  # the harness created it; in a container, the owner may be another user
)
# Attributes of the release must not change its bytes (gitattributes(5): this file overrides all others).
ATTRIBUTES = "* -text !eol -ident -filter !working-tree-encoding\n"


EXCLUDED = "/pc-bios/edk2-*.fd.bz2\n/subprojects/.wraplock\n/configs/devices/*/harness-guests.mak\n"
"""Files that the build adds to a checkout (harness.build.blobs, harness.build.devices, harness.sandbox)."""


@dataclass(frozen=True, kw_only=True)
class Git:
    """git for one bare repository, or for its worktree ``at``."""

    repository: Path
    at: Path | None = None
    settings: tuple[str, ...] = ()
    cwd: Path | None = None
    """Working directory of git; None for the current one."""

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
        """Run git. Raises TreeError (or ``error(finished)``), or StorageError if the disk is full."""
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
        """Return the standard output of git, stripped. Raises the errors of ``run``."""
        return self.run(*words, env=env, stdin=stdin, merge_stderr=False).output.strip()

    def find(self, *revisions: str) -> tuple[str, ...] | None:
        """Return the ids of ``revisions``, or None if one of them does not exist."""
        ended = self.run("rev-parse", *revisions, check=False, merge_stderr=False)
        return tuple(ended.output.split()) if ended.returncode == 0 else None

    def entries(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> Iterator[tuple[list[str], str]]:
        """Yield facts and path of each entry that ``ls-tree -z`` or ``ls-files -s -z`` prints."""
        for line in filter(None, self.read(*words, env=env).split("\0")):
            facts, _, path = line.partition("\t")
            yield facts.split(" "), path

    def blob(self, name: str, env: Mapping[str, str] | None = None) -> str | None:
        """Return the blob ``name`` as text; None if there is none."""
        ended = self.run("cat-file", "blob", name, env=env, check=False, merge_stderr=False)
        return ended.output if ended.returncode == 0 else None

    def is_ancestor(self, commit: str, other: str) -> bool:
        """Return whether ``commit`` is ``other`` or an ancestor of it."""
        return self.run("merge-base", "--is-ancestor", commit, other, check=False).returncode == 0

    def changed(self, *, untracked: bool = False) -> list[str]:
        """Return the files that differ from HEAD, in the index or on disk; new files if ``untracked``."""
        listed = self.run(
            *("status", "--porcelain", "-z", "--no-renames"),
            f"--untracked-files={'normal' if untracked else 'no'}",
            merge_stderr=False,
            env={"GIT_OPTIONAL_LOCKS": "1"},  # store the refreshed index, so the next status is faster
        )
        return [entry[3:] for entry in listed.output.split("\0") if entry]

    def _why(self, ended: Finished, error: Callable[[Finished], HarnessError]) -> HarnessError:
        return disk_is_full(ended.output, self.at, self.repository) or error(ended)

    def _failed(self, ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return TreeError(
            f"git failed in {self.at or self.repository}: {lines[-1] if lines else 'no reason given'}",
            f"run again; if it happens again, rename {self.repository}, which is then created again",
            details=(ended.command, *lines[-5:]),
        )


def own_objects(folder: Path, repositories: Iterable[Path]) -> dict[str, str]:
    """Return the environment in which git reads objects of ``repositories`` and writes to ``folder``."""
    (folder / "objects").mkdir()
    # git(1): a path in quotes can contain the separator.
    paths = (str(one / "objects").replace("\\", r"\\").replace('"', r"\"") for one in repositories)
    return {
        "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(f'"{path}"' for path in paths),
    }


def borrow_objects(repository: Path, objects: Path, shallow: bytes) -> None:
    """Let ``repository`` use the object database ``objects`` of another one, and its ``shallow`` file.

    Source: gitrepository-layout(5), "objects/info/alternates". Raises StorageError.
    """
    write_bytes(repository / "objects" / "info" / "alternates", f"{objects}\n".encode())
    if shallow:
        write_bytes(repository / "shallow", shallow)
    else:
        (repository / "shallow").unlink(missing_ok=True)


def make_repository(path: Path) -> Git:
    """Create an empty bare repository at ``path``, without templates and hooks. Raises TreeError."""
    git = Git(repository=path)
    git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=import", path)
    (path / "info").mkdir(exist_ok=True)
    (path / "info" / "attributes").write_text(ATTRIBUTES, encoding="ascii")
    (path / "info" / "exclude").write_text(EXCLUDED, encoding="ascii")
    return git
