"""Memory really returned: what a guest holds, asked of the kernel before, at and after its end.

A control group of the guest's own counts just its memory, to the page, whatever else the machine does.
Without one there is MemAvailable, which everybody on the machine moves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.guest.hugepages import free_hugepages_mib

MIB = 1024 * 1024
PREFIX = "qemu-harness-sample-"
USAGE = ("memory.current", "memory.usage_in_bytes")
"""Of cgroups version 2 and 1 (cgroups(7))."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """``free_mib`` grows as memory comes back; only differences mean something. ``exact``: others cannot
    move it."""

    name: str
    free_mib: Callable[[], float]
    exact: bool


def choose_meter(group: Path | None, backend: str, proc: Path = Path("/proc")) -> Meter:
    """What tells best about a guest in ``group`` with memory of ``backend``."""
    if backend == "hugetlb":
        return Meter(name="HugePages_Free", free_mib=free_hugepages_mib, exact=False)
    for name in USAGE:
        if group is not None and (group / name).is_file():
            return Meter(name=name, free_mib=functools.partial(_uncharged_mib, group / name), exact=True)
    return Meter(
        name="MemAvailable", free_mib=functools.partial(_available_mib, proc / "meminfo"), exact=False
    )


def _uncharged_mib(usage: Path) -> float:
    return -int(usage.read_text(encoding="ascii")) / MIB


def _available_mib(meminfo: Path) -> float:
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return 0.0
