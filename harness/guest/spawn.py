"""Start QEMU as a child process that ends with this one."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import GuestError
from harness.jsonfile import storing
from harness.process import clean_environment

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_TAIL_BYTES = 8192
LOG_TAIL_LINES = 12
FLOOD_BYTES = 256 << 20
"""The start of a guest fails if QEMU prints more than this."""
KEPT_BYTES = 1 << 20
"""If a log is longer than twice this, only this much of its beginning and of its end is kept."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running QEMU. ``pidfd`` is valid within the block of ``spawn``."""

    process: subprocess.Popen[bytes]
    pidfd: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of QEMU's output, at most 12."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip())[-LOG_TAIL_LINES:]

    def floods(self) -> bool:
        """Return whether it has written more than FLOOD_BYTES."""
        with contextlib.suppress(OSError):
            return self.log.stat().st_size > FLOOD_BYTES
        return False

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """Return whether the process ends within ``timeout_s`` seconds. It is not reaped."""
        return wait_pidfd(self.pidfd, timeout_s)


def wait_pidfd(pidfd: int, timeout_s: float) -> bool:
    """Return whether the process of ``pidfd`` ends within ``timeout_s`` seconds (pidfd_open(2))."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0.0, timeout_s) * 1000))


@contextlib.contextmanager
def spawn(
    words: Sequence[str], *, pages: str, pass_fds: Sequence[int], log: Path, group: Path | None = None
) -> Iterator[Child]:
    """Run ``words`` (program first) while the block runs; kill and reap the process afterwards.

    It runs in a new session, in ``/``, with output to ``log``, without a core file, in the control group
    ``group`` (default: the current one), and ends with the calling thread. Raises GuestError (the program is
    not executable), StorageError (the log is not writable).
    """
    binary = Path(words[0])
    if not os.access(binary, os.X_OK) or binary.is_dir():
        raise GuestError(f"{binary} is not an executable file", "run `nox -s build`")
    with storing(f"write {log}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = log.open("wb")
    with sink:
        process = subprocess.Popen(
            # -I -S: without site packages and environment, Python starts in 20 ms.
            [
                *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),
                *(pages, str(group or ""), "--", *words),
            ],
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    pidfd = -1
    try:
        # The child is not reaped yet, so its pid cannot have been reused.
        pidfd = os.pidfd_open(process.pid)
        yield Child(process=process, pidfd=pidfd, log=log)
    finally:
        _kill(process)
        if pidfd >= 0:
            os.close(pidfd)
        _shorten(log)


def _shorten(log: Path) -> None:
    """Remove the middle of a long log, so that logs do not fill the disk."""
    with contextlib.suppress(OSError):
        size = log.stat().st_size
        if size <= 2 * KEPT_BYTES:
            return
        with log.open("r+b") as stream:
            stream.seek(size - KEPT_BYTES)
            end = stream.read()
            stream.seek(KEPT_BYTES)
            stream.write(b"\n[%d bytes omitted]\n" % (size - 2 * KEPT_BYTES))
            stream.write(end)
            stream.truncate()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill and reap the process. Popen.kill has no effect on a reaped process, so a reused pid is safe."""
    deadline = time.monotonic() + 120  # the teardown of a large guest takes seconds, not minutes
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            process.kill()
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            break  # stuck in the kernel: PR_SET_PDEATHSIG and harness.guard end it later
        except KeyboardInterrupt as error:
            interrupt = error  # raise it after the guest has ended
        else:
            break
    if interrupt is not None:
        raise interrupt


def signal_child(child: Child, number: int) -> None:
    """Send signal ``number`` through the pidfd; do nothing if the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, number)
