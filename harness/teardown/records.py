"""What an emulated host reports over its console: JSON text sequences (RFC 7464) among kernel messages."""

from __future__ import annotations

import re
from collections import deque

import msgspec

from harness.jsonfile import UNREADABLE

RS = b"\x1e"
LONGEST = 65536
TAIL_LINES = 20
PANIC = re.compile(r"Kernel panic - not syncing: .*")


class GuestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of guest/programs/measure.c or of init: what it is about, and an error or figures."""

    kernel: str = ""
    index: int | None = None
    property: str = ""
    detail: str = ""
    done: bool = False
    error: str = ""
    start_s: float | None = None
    populated_mib: int | None = None
    exit_s: float | None = None
    reclaim_s: float | None = None
    helpers: int = 0
    stuck: int = 0
    exit_status: int = 0
    load1: float | None = None
    mem_available_mib: int | None = None


class ConsoleReader:
    """Takes the console's bytes as they come; gives records, and keeps the last lines of the rest.

    ``panic`` is the kernel's own line when it died, ``damaged`` counts records that were no JSON: a kernel
    message got into the middle, or the machine ended in one.
    """

    def __init__(self) -> None:
        self.panic = ""
        self.damaged = 0
        self._pending = b""
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, data: bytes) -> list[GuestRecord]:
        """The records that ``data`` completes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LONGEST:
            self._pending = self._pending[-LONGEST:]
        return [record for line in lines for record in self._take(line)]

    def last_lines(self) -> tuple[str, ...]:
        """What the kernel and init said last."""
        rest = _text(self._pending)
        return (*self._lines, rest) if rest else tuple(self._lines)

    def _take(self, line: bytes) -> list[GuestRecord]:
        said, *packed = line.split(RS)
        text = _text(said)
        if text:
            self._lines.append(text)
            found = PANIC.search(text)
            if found and not self.panic:
                self.panic = found[0]
        records = []
        for part in packed:
            try:
                records.append(msgspec.json.decode(part.strip(), type=GuestRecord))
            except UNREADABLE:
                self.damaged += 1
        return records


def _text(data: bytes) -> str:
    """A line as text, without the controls of a terminal."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode("utf-8", "replace"))
    return "".join(char for char in text if char.isprintable()).strip()
