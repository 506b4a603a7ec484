"""Run other programs. All modules start programs through this one.

Every program starts in a new session, so an interrupt from the terminal reaches only the harness, which then
ends the program's whole process group: SIGTERM, a grace period, SIGKILL. If the harness itself is killed, the
kernel sends SIGTERM to the program (PR_SET_PDEATHSIG, prctl(2)), and harness.guard ends the rest.
"""

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
    """A finished program. ``output`` is its text (stdout and stderr interleaved), with a log only its last
    400 lines."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    duration_s: float

    @property
    def command(self) -> str:
        return shell_quote(self.argv)


def shell_quote(argv: Sequence[str | Path]) -> str:
    """Quote a command for a POSIX shell."""
    return shlex.join(str(word) for word in argv)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for programs: the C.UTF-8 locale, without the variables of git and make.

    GIT_DIR and others (set when the harness runs from a git hook) would redirect git calls to another
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
    """Return the path of ``name`` on PATH. Raises MissingError, which names the Debian ``package``."""
    found = shutil.which(name)
    if found is None:
        raise MissingError(
            f"{name} is needed by {needed_by} and not installed", f"run: nox -s doctor (package {package})"
        )
    return Path(found)


UNWRITABLE = "error: unable to write file "
"""Git's only message in a checkout. Git then removes the file, so the space is free again afterwards."""
FULL = ("No space left on device", "Disk quota exceeded", "Out of diskspace", UNWRITABLE)
"""Messages of programs on a full disk (errno(3), git's csum-file.c and entry.c); some print none."""
ROOM_BYTES = 256 * 1024


def disk_is_full(output: str, *places: Path | None) -> StorageError | None:
    """Return the error to raise instead if a program failed because the disk is full; None otherwise.

    Some programs, such as git, name only the file that they could not write. Therefore the file systems of
    ``places`` are checked too, for free bytes and free inodes (statvfs(3)).
    """
    full = next((str(place) for place in places if place and _has_no_room(place)), "")
    message = next((line.strip() for line in output.splitlines() if any(word in line for word in FULL)), "")
    if not full and not message:
        return None
    where = f": {full}" if full else ", or cannot be written to" if UNWRITABLE in message else ""
    return StorageError(
        f"the disk is full{where}",
        "free some disk space, then run the same command again",
        details=(message,) if message else tuple(output.strip().splitlines()[-3:]),
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
    into: BinaryIO | None = None,
    log: Path | None = None,
    timeout_s: float | None = None,
    on_line: Callable[[str], None] | None = None,
    merge_stderr: bool = True,
    check: bool = True,
    error: Callable[[Finished], HarnessError] | None = None,
    grace_s: float = GRACE_S,
) -> Finished:
    """Run a program to its end.

    ``env`` is added to clean_environment(). ``stdin`` is the input itself, or an open file or pipe (None: no
    input). Output is passed line by line to ``on_line``, and appended to ``log`` after the quoted command.
    With ``merge_stderr`` false, ``output`` is standard output alone, and stderr goes only to the log. With
    ``check``, a status other than 0 raises ``error(finished)``, or by default a HarnessError with the last
    lines. ``into`` is an open file that gets standard output as bytes; then ``output`` is empty.

    If the program has to be ended, it gets ``grace_s`` seconds between SIGTERM and SIGKILL.

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
                stdout=into or subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_stderr and into is None else (sink or subprocess.DEVNULL),
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
            f"{words[0]} exited with status {finished.returncode}: {finished.command}",
            "read the lines above" + (" and the log" if log else ""),
            details=tuple(finished.output.splitlines()[-20:]),
            log=log,
        )
    return finished


def end_group(child: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End a program of ``run`` or a guest with its whole process group, and reap it."""
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
    """Return a prefix that makes the kernel end the program when the thread that started it ends.

    setpriv(1) is in util-linux, which every Debian has. A preexec_fn is not safe together with the threads of
    a progress bar (subprocess, "preexec_fn").
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
    """Read until the program exits and no output is left: a daemon that it started (such as ssh's
    ControlPersist) may keep the pipe open forever."""
    pending = b""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        if child.stdout is not None:
            selector.register(child.stdout, selectors.EVENT_READ)
        ended = os.pidfd_open(child.pid)  # an unreaped child: its pid is not reused
        stack.callback(os.close, ended)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            ready = [] if left is not None and left <= 0 else selector.select(left)
            if not ready:
                raise _expired(child.args)
            if child.stdout is None or all(key.fileobj == ended for key, _ in ready):
                break
            chunk = os.read(child.stdout.fileno(), 65536)
            if not chunk:
                selector.unregister(child.stdout)
                continue
            if sink is not None:
                _write(sink, chunk)
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _deliver(line + b"\n", tail, on_line)
    if pending:
        _deliver(pending, tail, on_line)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _as_file(data: bytes) -> BinaryIO:
    """Return ``data`` as an open file, so that writing the input cannot block reading the output."""
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
        f"exceeded its time limit: {shell_quote(words)}", "run again, or increase -Dtimeout="
    )
