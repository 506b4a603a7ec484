"""How much memory a run holds: by a control group of its own, else by what the machine has free."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from harness.cycles.judge import AVAILABLE_TOLERANCE_MIB, judge_memory
from harness.cycles.model import Memory
from harness.guest.group import make_group
from harness.guest.memory import available_mib

MIB = 1024 * 1024
PREFIX = "qemu-harness-cycles-"
SMALLEST_GUEST_MIB = 64
SETTLE_S = 30.0
"""How long others on the machine may take to give back what they took meanwhile."""


class GroupMeter:
    """``group`` is the folder of a control group that holds all of the run; None where there is none."""

    def __init__(self, group: Path | None) -> None:
        self._group = group
        self._held = held_mib(group) if group else 0.0
        self._available = _median_available_mib()

    def verdict(self, variant: str) -> Memory:
        """Compare with the beginning.

        A group that never held as much as a guest does not count, whatever its files say. What others on the
        machine took is waited for; what leaked does not come back.
        """
        if self._group is not None and (peak := peak_mib(self._group)) >= SMALLEST_GUEST_MIB:
            return judge_memory(variant, "cgroup", self._held, held_mib(self._group), peak_mib=peak)
        until = time.monotonic() + SETTLE_S
        while (after := _median_available_mib()) < self._available - AVAILABLE_TOLERANCE_MIB:
            if time.monotonic() > until:
                break
        return judge_memory(variant, "MemAvailable", self._available, after)


def _median_available_mib() -> float:
    readings = []
    for _ in range(5):
        readings.append(available_mib())
        time.sleep(0.1)
    return float(statistics.median(readings))


def held_mib(group: Path) -> float:
    """MiB of anonymous and shared memory in ``group``: ``anon`` or, in version 1, ``rss`` (cgroups(7)).

    Cached pages of files are nobody's loss.
    """
    fields = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    return (int(fields.get("anon", fields.get("rss", 0))) + int(fields.get("shmem", 0))) / MIB


def peak_mib(group: Path) -> float:
    """The most that ``group`` ever held, MiB; 0 when the kernel does not say (version 2 before 5.19)."""
    for name in ("memory.peak", "memory.max_usage_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int((group / name).read_text(encoding="ascii")) / MIB
    return 0.0


@contextlib.contextmanager
def own_group(proc: Path = Path("/proc"), top: Path = Path("/sys/fs/cgroup")) -> Iterator[Path | None]:
    """A control group with a memory controller below ours, removed afterwards; None where that cannot be."""
    with make_group(PREFIX, proc, top) as group:
        yield group
