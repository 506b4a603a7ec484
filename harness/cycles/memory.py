"""Memory that a run holds, measured by its own cgroup, or else by the free memory of the machine."""

import contextlib
import statistics
import time
from pathlib import Path

from harness.cycles.judge import AVAILABLE_TOLERANCE_MIB, judge_memory
from harness.cycles.model import Memory
from harness.guest.memory import available_mib

MIB = 1024 * 1024
PREFIX = "qemu-harness-cycles-"
SMALLEST_GUEST_MIB = 64
SETTLE_S = 30.0
"""Seconds to wait for other processes to free the memory that they allocated during the run."""


class GroupMeter:
    """``group`` is the folder of a cgroup that contains the whole run, or None."""

    def __init__(self, group: Path | None) -> None:
        self._group = group
        self._held = held_mib(group) if group else 0.0
        self._available = _median_available_mib()

    def verdict(self, variant: str) -> Memory:
        """Compare with the start of the run.

        A cgroup that never held the memory of a guest is not used. MemAvailable gets time to recover, because
        other processes may free memory; leaked memory does not return.
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
    """Return the anonymous and shared memory of ``group`` in MiB: ``anon``, or ``rss`` in version 1.

    Cached pages of files are not included, because the kernel can drop them (cgroups(7)).
    """
    fields = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    return (int(fields.get("anon", fields.get("rss", 0))) + int(fields.get("shmem", 0))) / MIB


def peak_mib(group: Path) -> float:
    """Return the peak of ``group`` in MiB; 0 if the kernel does not record it (version 2 before 5.19)."""
    for name in ("memory.peak", "memory.max_usage_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int((group / name).read_text(encoding="ascii")) / MIB
    return 0.0
