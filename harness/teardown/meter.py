"""Memory that a guest holds, as the kernel counts it before, at and after QEMU's exit.

A cgroup of the guest counts the guest's memory exactly. Without a cgroup, MemAvailable is the only figure,
and every process of the machine changes it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.guest.hugepages import free_hugepages_mib
from harness.machine import number_in

MIB = 1024 * 1024
PREFIX = "qemu-harness-sample-"
USAGE = ("memory.current", "memory.usage_in_bytes")
"""File names of cgroups version 2 and 1 (cgroups(7))."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A count of free memory. Only differences of ``free_mib`` have a meaning. ``exact``: no other process
    changes it."""

    name: str
    free_mib: Callable[[], float]
    exact: bool


def choose_meter(group: Path | None, backend: str, proc: Path = Path("/proc")) -> Meter:
    """Choose the most exact meter for a guest in the cgroup ``group`` with memory of ``backend``."""
    if backend == "hugetlb":
        return Meter(name="HugePages_Free", free_mib=free_hugepages_mib, exact=False)
    for name in USAGE:
        if group is not None and (group / name).is_file():
            return Meter(name=name, free_mib=functools.partial(_uncharged_mib, group / name), exact=True)
    available = functools.partial(number_in, proc / "meminfo", r"^MemAvailable:\s*(\d+)")
    return Meter(name="MemAvailable", free_mib=lambda: available() / 1024, exact=False)


def _uncharged_mib(usage: Path) -> float:
    return -int(usage.read_text(encoding="ascii")) / MIB
