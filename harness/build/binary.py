"""A built binary, as build.json describes it; and what of an earlier build is not to be trusted."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.build.elf import read_elf
from harness.build.plan import BuildPlan
from harness.build.result import FILE_NAME, Binary, Build, load
from harness.build.tools import first_line
from harness.errors import CompileError, HarnessError, MissingError
from harness.fence import Fence

CLOCK_SLACK_S = 2.0
"""File systems and the clock may differ by as much (FAT counts in two seconds, nothing is coarser)."""
STAMPS = (".ninja_log", ".ninja_deps", "build.ninja", FILE_NAME)


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe(plan: BuildPlan, target: str, fence: Fence) -> Binary:
    """The binary of ``target``, which ninja has just made. Raises CompileError: not there, does not run,
    for another machine."""
    path = plan.binary(target)
    try:
        size, digest = path.stat().st_size, sha256(path)
    except OSError as error:
        raise CompileError(
            f"ninja ended well, but {path.name} is not there: {error.strerror}", "report it with the log"
        ) from error
    if plan.machine:
        check_machine(path, plan.machine)
    version = (
        "" if plan.machine else _version(path, fence.wrap((str(path), "--version"), plan.folder), plan.env)
    )
    return Binary(target=target, path=str(path), sha256=digest, size=size, version=version)


def _version(path: Path, words: Sequence[str | Path], env: Mapping[str, str]) -> str:
    try:
        version = first_line(words, env=env)
    except MissingError:
        raise
    except HarnessError as error:
        raise CompileError(
            f"{path.name} was built and does not run: {error.cause}",
            "read the lines above",
            details=error.details,
        ) from error
    if not version:  # an empty file is run by the shell (execvp(3)), and that ends well
        raise CompileError(
            f"{path.name} was built and says nothing to --version", "remove its build folder and build again"
        )
    return version


def check_machine(path: Path, wanted: str) -> None:
    """A binary that cannot be run here is at least one of the right machine. Raises CompileError."""
    elf = read_elf(path)
    if elf is None or elf.machine != wanted:
        raise CompileError(
            f"{path.name} is {'for ' + elf.machine if elf else 'no ELF file'}, not for {wanted}",
            "remove its build folder and build again; if it stays so, report it with the log of configure",
        )


def drop_damaged(plan: BuildPlan) -> tuple[str, ...]:
    """Remove binaries that are not what build.json says, so that ninja links them anew; their names.

    ninja looks at times alone (its manual, "The Ninja log"): a file with other bytes is up to date to it.
    """
    known = load(plan.folder / FILE_NAME, Build)
    digests = {binary.target: binary.sha256 for binary in known.binaries} if known else {}
    dropped = []
    for target in plan.targets:
        path = plan.binary(target)
        if not path.is_file():
            continue
        with contextlib.suppress(OSError):
            if read_elf(path) is None or digests.get(target, sha256(path)) != sha256(path):
                path.unlink()
                dropped.append(path.name)
    return tuple(dropped)


def is_from_the_future(folder: Path) -> bool:
    """Whether an earlier build wrote here at a time that has not come yet: the clock was set back since.

    Then sources that change now look older than what was made of their old text, and ninja leaves it.
    """
    latest = time.time() + CLOCK_SLACK_S
    for name in STAMPS:
        with contextlib.suppress(OSError):
            if (folder / name).stat().st_mtime > latest:
                return True
    return False
