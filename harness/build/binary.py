"""Describe built binaries for build.json, and detect those of an earlier build that cannot be trusted."""

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.build.elf import read_elf
from harness.build.plan import BuildPlan
from harness.build.result import FILE_NAME, Binary, Build
from harness.build.tools import first_line
from harness.errors import CompileError, HarnessError, MissingError
from harness.jsonfile import load
from harness.sandbox import Sandbox

CLOCK_SLACK_S = 2.0
"""Allowed difference between timestamps of files and the clock: FAT has the coarsest timestamps, of 2 s."""
STAMPS = (".ninja_log", ".ninja_deps", "build.ninja", FILE_NAME)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe(plan: BuildPlan, target: str, sandbox: Sandbox) -> Binary:
    """Describe the binary of ``target`` that ninja has built.

    Raises CompileError if it does not exist, does not run, or is for another machine.
    """
    path = plan.binary(target)
    try:
        size, digest = path.stat().st_size, sha256(path)
    except OSError as error:
        raise CompileError(
            f"ninja succeeded, but {path.name} cannot be read: {error.strerror}", "report it with the log"
        ) from error
    if plan.machine:
        check_machine(path, plan.machine)
    version = (
        "" if plan.machine else _version(path, sandbox.wrap((str(path), "--version"), plan.folder), plan.env)
    )
    return Binary(target=target, path=str(path), sha256=digest, size=size, version=version)


def _version(path: Path, words: Sequence[str | Path], env: Mapping[str, str]) -> str:
    try:
        version = first_line(words, env=env)
    except MissingError:
        raise
    except HarnessError as error:
        raise CompileError(
            f"{path.name} was built, but does not run: {error.cause}",
            "correct the problem shown above, then build again",
            details=error.details,
        ) from error
    if not version:  # the shell runs an empty file (execvp(3)) and succeeds
        raise CompileError(
            f"{path.name} was built, but prints no version", "remove its build folder and build again"
        )
    return version


def check_machine(path: Path, wanted: str) -> None:
    """Raise CompileError if the ELF header of ``path`` does not specify the machine ``wanted``."""
    elf = read_elf(path)
    if elf is None or elf.machine != wanted:
        raise CompileError(
            f"{path.name} is {'for ' + elf.machine if elf else 'not an ELF file'}, expected {wanted}",
            "remove its build folder and build again; if it fails again, report it with the log of configure",
        )


def drop_damaged(plan: BuildPlan) -> tuple[str, ...]:
    """Remove binaries that differ from build.json, so that ninja links them again; return their names.

    ninja compares timestamps only (its manual, "The Ninja log"), so it does not notice other bytes.
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
    """Return whether files of an earlier build have timestamps in the future: the clock was set back.

    In that case ninja takes a changed source for older than its object, and does not compile it.
    """
    latest = time.time() + CLOCK_SLACK_S
    for name in STAMPS:
        with contextlib.suppress(OSError):
            if (folder / name).stat().st_mtime > latest:
                return True
    return False
