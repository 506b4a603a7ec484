"""Records of an emulated host on its console: JSON text sequences (RFC 7464) among kernel messages."""

import re
from collections import deque

import msgspec

from harness.jsonfile import UNREADABLE

RS = b"\x1e"
LONGEST = 65536
TAIL_LINES = 20
PANIC = re.compile(r"Kernel panic - not syncing: .*")


class GuestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of guest/programs/measure.c or of init: its subject, and an error or figures."""

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
    """Parses the console's output, and keeps the last lines that are not records.

    ``panic`` is the kernel's panic message. ``damaged`` counts records that are not valid JSON, because a
    kernel message interrupted them or the host ended.
    """

    def __init__(self) -> None:
        self.panic = ""
        self.damaged = 0
        self._pending = b""
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, data: bytes) -> list[GuestRecord]:
        """Return the records that ``data`` completes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LONGEST:
            self._pending = self._pending[-LONGEST:]
        return [record for line in lines for record in self._take(line)]

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of the kernel and init."""
        rest = _text(self._pending)
        return (*self._lines, rest) if rest else tuple(self._lines)

    def _take(self, line: bytes) -> list[GuestRecord]:
        message, *packed = line.split(RS)
        text = _text(message)
        if text:
            self._lines.append(text)
            panic = PANIC.search(text)
            if panic and not self.panic:
                self.panic = panic[0]
        records = []
        for part in packed:
            try:
                records.append(msgspec.json.decode(part.strip(), type=GuestRecord))
            except UNREADABLE:
                self.damaged += 1
        return records


def _text(data: bytes) -> str:
    """Decode a line, and remove terminal control sequences."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode("utf-8", "replace"))
    return "".join(char for char in text if char.isprintable()).strip()
