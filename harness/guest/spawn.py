"""Start QEMU as a child that cannot outlive us, and end it."""

from __future__ import annotations

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

from harness.errors import GuestError, StorageError
from harness.process import clean_environment

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_TAIL_BYTES = 8192
LOG_TAIL_LINES = 12
FLOOD_BYTES = 256 << 20
"""A QEMU that prints more than this while it starts never ends with it."""
KEPT_BYTES = 1 << 20
"""Of a log that is longer than twice this, so much is kept of its beginning, and of its end."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running QEMU. ``pidfd`` stays valid for the life of the block that ``spawn`` opens."""

    process: subprocess.Popen[bytes]
    pidfd: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_lines(self) -> tuple[str, ...]:
        """The end of what QEMU wrote, at most 12 lines."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip())[-LOG_TAIL_LINES:]

    def floods(self) -> bool:
        """Whether it has written more than any QEMU has to say."""
        with contextlib.suppress(OSError):
            return self.log.stat().st_size > FLOOD_BYTES
        return False

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """Whether the process has ended, seen by its pidfd within ``timeout_s`` seconds. Reaps nothing."""
        return wait_pidfd(self.pidfd, timeout_s)


def wait_pidfd(pidfd: int, timeout_s: float) -> bool:
    """Whether the process behind ``pidfd`` ends within ``timeout_s`` seconds (pidfd_open(2), poll)."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0.0, timeout_s) * 1000))


@contextlib.contextmanager
def spawn(
    words: Sequence[str], *, pages: str, pass_fds: Sequence[int], log: Path, group: Path | None = None
) -> Iterator[Child]:
    """Run ``words`` (program first) until the block ends; then it is killed and reaped, whatever happened.

    It runs in a session of its own, in ``/``, with output to ``log``, no core file, in the control group
    ``group`` (ours, if None), and dies with the thread that called us. Raises GuestError (no such program),
    StorageError (log not writable).
    """
    binary = Path(words[0])
    if not os.access(binary, os.X_OK) or binary.is_dir():
        raise GuestError(f"{binary} is not an executable file", "build it: nox -s build")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = log.open("wb")
    except OSError as error:
        raise StorageError(
            f"cannot write {log}: {error}", "free the disk or choose another folder"
        ) from error
    with sink:
        process = subprocess.Popen(
            # -I -S: no site packages, no environment; starts in 20 ms.
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
        # It is our child and not reaped, so the pid cannot be another's.
        pidfd = os.pidfd_open(process.pid)
        yield Child(process=process, pidfd=pidfd, log=log)
    finally:
        _kill(process)
        if pidfd >= 0:
            os.close(pidfd)
        _shorten(log)


def _shorten(log: Path) -> None:
    """Keep the beginning and the end of a log: what is between them only fills the disk."""
    with contextlib.suppress(OSError):
        size = log.stat().st_size
        if size <= 2 * KEPT_BYTES:
            return
        with log.open("r+b") as stream:
            stream.seek(size - KEPT_BYTES)
            end = stream.read()
            stream.seek(KEPT_BYTES)
            stream.write(b"\n[%d bytes are left out here]\n" % (size - 2 * KEPT_BYTES))
            stream.write(end)
            stream.truncate()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Popen.kill does nothing once the process was reaped, so no other process can be hit."""
    deadline = time.monotonic() + 120  # a large guest takes seconds to be torn down, not minutes
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            process.kill()
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            break  # in the kernel for ever: PR_SET_PDEATHSIG and harness.guard remain
        except KeyboardInterrupt as error:
            interrupt = error  # first the guest, then the interrupt
        else:
            break
    if interrupt is not None:
        raise interrupt


def signal_child(child: Child, number: int) -> None:
    """Send ``number`` through the pidfd; nothing when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, number)
