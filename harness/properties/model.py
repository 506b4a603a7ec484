"""The properties (ROWS), the check of one on a binary (Task), and its result (PropertyRow, Part).

PropertyRow and Part are part of ``build/results/properties.json``; docs/results.md is generated from them.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from harness.bench import Subject
from harness.errors import OptionError
from harness.figures import shown
from harness.jsonfile import about

ROWS = {
    1: "exit at once",
    2: "memory freed without delay",
    3: "-daemonize: one helper of the daemon",
    4: "-runas: the helper ends with QEMU",
    5: "helper as confined as QEMU",
    6: "works when QEMU is confined",
    7: "ready before the guest, or an error",
    8: "one helper at most, none for -help",
    9: "helper killed: warning, QEMU continues",
    10: "signals to the group and to each process",
    11: "no descriptors of QEMU, old kernels too",
    12: "no libc state, stack with a guard page",
    13: "execve of QEMU frees the old memory",
    14: "pid 1 of a namespace: as documented",
    15: "other hosts and configurations",
    16: "shared memory keeps its content",
    17: "a sleeping helper stays asleep",
    18: "I/O is over when the helper ends",
}
"""Number and short title of each property."""

HOSTS_ROW = 15
AIO_ROW = 18
"""The row that includes the results of emulated hosts."""

OUTCOMES = ("pass", "fail", "cancel")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a row."""

    name: Annotated[str, about("name of the check")]
    outcome: Annotated[str, about("pass, fail, or cancel: could not run on this machine")]
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""
    figures: Annotated[dict[str, float], about("measurements; the name ends with the unit")] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The check of one row on one binary. ``reference`` is a binary without the feature (base), if any."""

    index: int
    row: int
    binary: Subject
    reference: Subject | None
    firmware: tuple[str, ...]
    memory_mib: int
    """Memory of the largest allowed guest."""
    timeout_s: float
    emulated: tuple[Part, ...] = ()
    """For row 15: the results of emulated hosts."""

    @property
    def name(self) -> str:
        """A short name that can be a file name."""
        target = self.binary.target.removesuffix("-softmmu")
        return f"row{self.row:02}-{self.binary.variant}-{target}"


class PropertyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One property, checked on one binary."""

    row: Annotated[int, about(f"number of the property, from 1 to {max(ROWS)}")]
    title: Annotated[str, about("the property in a few words")]
    variant: Annotated[str, about("name of the binary")]
    target: Annotated[str, about("guest architecture")]
    outcome: Annotated[str, about("pass, fail or cancel")]
    reason: str = ""
    """reason of the failure or cancellation, one line; after pass, the parts that did not run"""
    expected: Annotated[str, about("the known outcome of this variant; empty if there is none")] = ""
    seconds: Annotated[float, about("duration of the check")] = 0.0
    parts: Annotated[tuple[Part, ...], about("the checks of the row, in their order")] = ()

    @property
    def subject_name(self) -> str:
        """Variant and architecture, for messages."""
        return f"{self.variant} {self.target.removesuffix('-softmmu')}"

    @property
    def is_surprise(self) -> bool:
        """Whether the outcome differs from the expected one. A check that could not run does not differ."""
        return self.expected != "" and self.outcome not in (self.expected, "cancel")


def outcome_of(parts: Sequence[Part]) -> tuple[str, str]:
    """Return outcome and reason of a row: the first failure, else pass if a part could run, else cancel."""
    failed = [part for part in parts if part.outcome == "fail"]
    cancelled = [part for part in parts if part.outcome == "cancel"]
    if failed:
        return "fail", shown([f"{part.name}: {part.reason}" for part in failed])
    if len(cancelled) == len(parts):
        return "cancel", cancelled[0].reason if cancelled else "no part was checked"
    return "pass", "; ".join(f"not checked: {part.name}: {part.reason}" for part in cancelled)


def worst(outcomes: Sequence[str]) -> str:
    """Combine several outcomes: fail if any is, else pass if any is, else cancel."""
    return next((outcome for outcome in ("fail", "pass") if outcome in outcomes), "cancel")


def parse_rows(text: str) -> tuple[int, ...]:
    """Parse a list of row numbers such as ``1,3-5``, and return it sorted. Raises OptionError."""
    rows: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", item)
        if match is None:
            raise OptionError(
                f"--rows: {item.strip()!r} is not a row", "use numbers and ranges: --rows 1,3-5"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or first < min(ROWS) or last > max(ROWS):
            raise OptionError(
                f"--rows: there is no row {item.strip()}", f"use numbers from {min(ROWS)} to {max(ROWS)}"
            )
        rows.update(range(first, last + 1))
    return tuple(sorted(rows))
