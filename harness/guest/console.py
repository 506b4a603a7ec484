"""Console of a guest that runs Linux: log its output, parse the reports of init, send requests to init.

programs/init.c describes the protocol: reports are lines that begin with ``harness: ``.
"""

import contextlib
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import GuestError
from harness.guest.spawn import Child
from harness.jsonfile import storing

TAIL_LINES = 20
LONGEST_LINE = 1000
LARGEST_LOG = 16 << 20
"""Maximum bytes of the log. Further output is read and discarded, so that a guest cannot fill the disk."""
POLL_S = 0.25
PANIC = re.compile(r"Kernel panic - not syncing.*|Out of memory: Killed process.*|Run out of memory.*")


class Console:
    """The harness's end of a guest's console. A thread reads it continuously, so that QEMU never blocks."""

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
        """Return the guest's last lines, at most 20, without control characters."""
        with self._changed:
            return tuple(self._lines)

    def send(self, request: str) -> None:
        """Send a request to init: ``poweroff``, ``busy`` or ``idle``. Do not wait for an answer."""
        self._stream.sendall(request.encode("ascii") + b"\n")

    def wait_ready(self, child: Child, timeout_s: float) -> None:
        """Wait until init reports that it has touched all memory.

        Raises GuestError with the console's last lines if the kernel panics, init fails, QEMU ends, or
        ``timeout_s`` seconds have passed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._fault, POLL_S)
                ready, fault = self._ready, self._fault
            if ready and not fault:
                return
            if fault:
                child.has_ended(timeout_s=1.0)  # after a panic, the kernel prints more lines and QEMU ends
                raise self._error(f"the guest failed: {fault}", child)
            if child.has_ended():
                self._thread.join(1.0)
                raise self._error("QEMU ended before its guest was ready", child)
            if time.monotonic() >= deadline:
                last = f"its last report was: {self._progress}" if self._progress else "it reported nothing"
                raise self._error(f"the guest was not ready after {timeout_s:g} s; {last}", child)

    def _error(self, cause: str, child: Child) -> GuestError:
        return GuestError(
            cause,
            "read the lines of the console above; on a slow machine, increase -Dtimeout=",
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
        """Stop the thread."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)


@contextlib.contextmanager
def open_console(log: Path) -> Iterator[tuple[Console, socket.socket]]:
    """Provide a console that is copied to ``log``, and the socket for QEMU's end. Raises StorageError."""
    with storing(f"write {log}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        console = Console(ours, log)
        console.start()
        try:
            yield console, theirs
        finally:
            console.close()


def _copy(data: bytes, sink: BinaryIO, room: int) -> int:
    """Write at most ``room`` bytes and return the remaining room. Ignore errors: the guest must go on."""
    with contextlib.suppress(OSError):
        sink.write(data[:room])
        sink.flush()
    return max(0, room - len(data))
