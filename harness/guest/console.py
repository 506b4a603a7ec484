"""The console of a guest that runs Linux: copied to a log, read for our init's reports, written for requests.

The protocol is that of programs/init.c: lines that begin with ``harness: ``, between the kernel's own.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import GuestError, StorageError
from harness.guest.spawn import Child

TAIL_LINES = 20
LONGEST_LINE = 1000
LARGEST_LOG = 16 << 20
"""What a guest writes beyond it is read and dropped: a guest must not fill our disk."""
LOOK_EVERY_S = 0.25
PANIC = re.compile(r"Kernel panic - not syncing.*|Out of memory: Killed process.*|Run out of memory.*")


class Console:
    """The harness's end of a guest's console. A thread reads it all the time, so that QEMU never waits."""

    def __init__(self, stream: socket.socket, log: Path) -> None:
        self.log = log
        self._stream = stream
        self._changed = threading.Condition()
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._ready = False
        self._fault = ""
        self._progress = ""
        self._thread = threading.Thread(target=self._read, daemon=True, name="console")

    def tail(self) -> tuple[str, ...]:
        """The last lines that the guest wrote, at most 20, without control characters."""
        with self._changed:
            return tuple(self._lines)

    def send(self, request: str) -> None:
        """Send init a request: ``poweroff``, ``busy`` or ``idle``. Returns at once."""
        self._stream.sendall(request.encode("ascii") + b"\n")

    def wait_ready(self, child: Child, timeout_s: float) -> None:
        """Return when init says that all memory was touched.

        Raises GuestError with the console's last lines: the kernel panicked, init failed, QEMU ended, or
        nothing was said in ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._fault, LOOK_EVERY_S)
                ready, fault = self._ready, self._fault
            if ready and not fault:
                return
            if fault:
                child.has_ended(timeout_s=1.0)  # a panic is followed by more lines, then by QEMU's end
                raise self._error(f"the guest failed: {fault}", child)
            if child.has_ended():
                self._thread.join(1.0)
                raise self._error("QEMU ended before its guest was ready", child)
            if time.monotonic() >= deadline:
                seen = f"its last report was: {self._progress}" if self._progress else "it reported nothing"
                raise self._error(f"the guest was not ready after {timeout_s:g} s; {seen}", child)

    def _error(self, cause: str, child: Child) -> GuestError:
        return GuestError(
            cause,
            "read the console's lines above; -Dtimeout= gives a slow machine more time",
            details=self.tail() or child.last_lines(),
            log=self.log,
        )

    def _read(self) -> None:
        rest, room = b"", LARGEST_LOG
        with self.log.open("wb") as sink:
            while True:
                try:
                    data = self._stream.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    break
                room = _copy(data, sink, room)
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-LONGEST_LINE:]
                for line in lines:
                    self._take(line)
            self._take(rest)

    def _take(self, raw: bytes) -> None:
        line = "".join(
            character if character.isprintable() else " "
            for character in raw[-LONGEST_LINE:].decode("utf-8", "replace")
        ).strip()
        if not line:
            return
        report = re.search(r"harness: (.*)", line)
        panic = PANIC.search(line)
        with self._changed:
            self._lines.append(line)
            if panic and not self._fault:
                self._fault = panic[0]
            elif report and report[1].startswith("error: "):
                self._fault = self._fault or report[1].removeprefix("error: ")
            elif report and report[1] == "ready":
                self._ready = True
            elif report:
                self._progress = report[1]
            self._changed.notify_all()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)


@contextlib.contextmanager
def open_console(log: Path) -> Iterator[tuple[Console, socket.socket]]:
    """A console that is copied to ``log``, and the socket for QEMU's end of it. Raises StorageError."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
    except OSError as error:
        raise StorageError(
            f"cannot write {log}: {error}", "free the disk or choose another folder"
        ) from error
    ours, theirs = socket.socketpair()
    with ours, theirs:
        console = Console(ours, log)
        console.start()
        try:
            yield console, theirs
        finally:
            console.close()


def _copy(data: bytes, sink: BinaryIO, room: int) -> int:
    """Write what fits into ``room`` bytes; what is left of it. A full disk must not stop the guest."""
    with contextlib.suppress(OSError):
        sink.write(data[:room])
        sink.flush()
    return max(0, room - len(data))
