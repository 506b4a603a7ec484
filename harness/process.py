"""The one door to other programs.

Every program is started in a session of its own, so that an interrupt at the terminal reaches the
harness alone, which then ends the program's whole process group: SIGTERM, a grace period, SIGKILL. If the
harness itself is killed, the kernel sends the program SIGTERM (PR_SET_PDEATHSIG, prctl(2)) and
harness.guard ends what is left.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError, MissingError, StorageError, TimeoutExpiredError

GRACE_S = 5.0
TAIL_LINES = 400


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that has ended. ``output`` is its text (stdout and stderr as written), at most its tail
    of 400 lines when a log was kept; ``stdout`` is filled when the two were asked for apart."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    duration_s: float

    @property
    def command(self) -> str:
        return shell_quote(self.argv)


def shell_quote(argv: Sequence[str | Path]) -> str:
    """The command as one would type it."""
    return shlex.join(str(word) for word in argv)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for programs: ours, in the C.UTF-8 locale, without git's and make's own variables.

    GIT_DIR and friends (set when we run from a git hook) would send our git calls to another
    repository (git(1), "Environment Variables").
    """
    dropped = ("GIT_", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "NINJA_STATUS")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) or name in ("GIT_EXEC_PATH", "GIT_TEMPLATE_DIR")
    }
    environment.pop("LC_ALL", None)
    environment.update({"LC_ALL": "C.UTF-8", "LANGUAGE": "", **(extra or {})})
    return environment


def find_program(name: str, *, needed_by: str, package: str) -> Path:
    """Where ``name`` is on PATH. Raises MissingError that names the Debian ``package``."""
    found = shutil.which(name)
    if found is None:
        raise MissingError(
            f"{name} is needed by {needed_by} and not installed", f"run: nox -s doctor (package {package})"
        )
    return Path(found)


UNWRITABLE = "error: unable to write file "
"""All that git says of it in a checkout, which it then removes: the room is back when one asks."""
FULL = ("No space left on device", "Disk quota exceeded", "Out of diskspace", UNWRITABLE)
"""What programs say then (errno(3), git's csum-file.c and entry.c); not all of them say it."""
ROOM_BYTES = 256 * 1024


def disk_is_full(output: str, *places: Path | None) -> StorageError | None:
    """The error to raise instead, when a program failed with ``output`` for want of room; else None.

    git, for one, often names just the file that it could not write, so the file systems of ``places`` are
    asked as well: for bytes, and for inodes where they are counted (statvfs(3)).
    """
    full = next((str(place) for place in places if place and _has_no_room(place)), "")
    said = next((line.strip() for line in output.splitlines() if any(word in line for word in FULL)), "")
    if not full and not said:
        return None
    where = f": {full}" if full else ", or cannot be written to" if UNWRITABLE in said else ""
    return StorageError(
        f"the disk is full{where}",
        "free some disk space, then run the same command again",
        details=(said,) if said else tuple(output.strip().splitlines()[-3:]),
    )


def _has_no_room(place: Path) -> bool:
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        disk = os.statvfs(place)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < ROOM_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | BinaryIO | None = None,
    log: Path | None = None,
    timeout_s: float | None = None,
    on_line: Callable[[str], None] | None = None,
    merge_stderr: bool = True,
    check: bool = True,
    error: Callable[[Finished], HarnessError] | None = None,
    grace_s: float = GRACE_S,
) -> Finished:
    """Run a program to its end.

    ``env`` is added to clean_environment(). ``stdin`` is the input itself, or an open file or pipe to read
    it from (nothing, when None). Output goes line by line to ``on_line`` and, with the quoted
    command ahead of it, to ``log`` (appended). With ``merge_stderr`` false, ``output`` is standard output
    alone and stderr goes only to the log. With ``check``, a status other than 0 raises ``error(finished)``
    or, without it, a HarnessError with the last lines.

    When it has to be ended, it gets ``grace_s`` seconds between SIGTERM and SIGKILL.

    Raises MissingError (no such program), TimeoutExpiredError, StorageError (log not writable).
    """
    words = tuple(str(word) for word in argv)
    started = time.monotonic()
    tail: deque[str] = deque(maxlen=TAIL_LINES if log or on_line else None)
    with contextlib.ExitStack() as stack:
        sink = None
        if log is not None:
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                sink = stack.enter_context(log.open("ab"))
                sink.write(f"$ {shell_quote(words)}\n".encode("utf-8", "surrogateescape"))
                sink.flush()
            except OSError as problem:
                raise StorageError(
                    f"cannot write {log}: {problem}", "free the disk or choose another build folder"
                ) from problem
        source = stack.enter_context(_as_file(stdin)) if isinstance(stdin, bytes) else stdin
        try:
            child = subprocess.Popen(
                [*_die_with_us(), *words],
                cwd=cwd,
                env=clean_environment(env),
                stdin=source or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_stderr else (sink or subprocess.DEVNULL),
                start_new_session=True,
            )
        except FileNotFoundError as problem:
            raise MissingError(
                f"cannot start {words[0]}: {problem.strerror}", "run: nox -s doctor"
            ) from problem
        except OSError as problem:
            raise StorageError(
                f"cannot start {words[0]}: {problem}", "check the program's permissions"
            ) from problem
        try:
            _pump(child, None if timeout_s is None else started + timeout_s, tail, sink, on_line)
        except BaseException:
            end_group(child, grace_s)
            raise
    if child.returncode == 127 and shutil.which(words[0]) is None:
        # setpriv could not exec it
        raise MissingError(f"cannot start {words[0]}: not found", "run: nox -s doctor")
    finished = Finished(
        argv=words,
        returncode=child.returncode,
        output="".join(tail),
        duration_s=time.monotonic() - started,
    )
    if check and finished.returncode != 0:
        full = disk_is_full(finished.output, cwd)
        if full is not None:
            full.log = log
            raise full
        if error is not None:
            raise error(finished)
        raise HarnessError(
            f"{words[0]} ended with status {finished.returncode}: {finished.command}",
            "read the lines above" + (" and the log" if log else ""),
            details=tuple(finished.output.splitlines()[-20:]),
            log=log,
        )
    return finished


def end_group(child: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End a program that ``run`` or a guest started, with its whole process group, and reap it."""
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 60.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        try:
            child.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    # Members of the group that outlived their leader.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _die_with_us() -> list[str]:
    """A prefix that makes the kernel end the program when the thread that starts it ends.

    setpriv(1) is in util-linux, which every Debian has; a preexec_fn would not be safe beside the
    threads of a progress bar (subprocess, "preexec_fn").
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _pump(
    child: subprocess.Popen[bytes],
    deadline: float | None,
    tail: deque[str],
    sink: BinaryIO | None,
    on_line: Callable[[str], None] | None,
) -> None:
    """Read until the program has closed its output, or has ended and left no more to read: a daemon that it
    started (ssh's ControlPersist, say) may keep the pipe open for ever."""
    assert child.stdout is not None
    pending = b""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(child.stdout, selectors.EVENT_READ)
        ended = os.pidfd_open(child.pid)  # our child, not reaped: the pid is its own
        stack.callback(os.close, ended)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            ready = [] if left is not None and left <= 0 else selector.select(left)
            if not ready:
                raise _expired(child.args)
            if all(key.fileobj == ended for key, _ in ready):
                break
            chunk = os.read(child.stdout.fileno(), 65536)
            if not chunk:
                break
            if sink is not None:
                _write(sink, chunk)
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _deliver(line + b"\n", tail, on_line)
    if pending:
        _deliver(pending, tail, on_line)
    try:
        child.wait(None if deadline is None else max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _expired(child.args) from None
    child.stdout.close()


def _as_file(data: bytes) -> BinaryIO:
    """``data`` as a file to read from: no writing while we read, so no way to block each other."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's exit stack closes it
    spool.write(data)
    spool.seek(0)
    return spool


def _write(sink: BinaryIO, chunk: bytes) -> None:
    try:
        sink.write(chunk)
        sink.flush()
    except OSError as problem:
        raise StorageError(
            f"cannot write the log: {problem}", "free some disk space and run again"
        ) from problem


def _deliver(line: bytes, tail: deque[str], on_line: Callable[[str], None] | None) -> None:
    text = line.decode("utf-8", "replace")
    tail.append(text)
    if on_line is not None:
        on_line(text.rstrip("\r\n"))


def _expired(argv: object) -> TimeoutExpiredError:
    words = [str(word) for word in argv] if isinstance(argv, list) else [str(argv)]
    words = words[len(_die_with_us()) :]
    return TimeoutExpiredError(
        f"took longer than its limit: {shell_quote(words)}", "run again, or raise -Dtimeout="
    )
