"""CPU time of a process, and CPU time that the machine spent on other work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from harness.machine import text_of

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
WALL = 0x40000000  # __WALL of wait4(2): children of any kind, clone(2) without SIGCHLD included
LOADED_CPUS = 0.25
"""A sample is marked as loaded if other work keeps more CPUs busy than this."""
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that they can be reaped (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cpu_clock_s(pid: int) -> float:
    """Return the CPU seconds that all threads of a process have used; 0 if it does not exist.

    The clock is that of clock_getcpuclockid(3), with nanosecond resolution.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def reap(pid: int) -> float | None:
    """Reap an ended child and return the CPU seconds that it used. None if it runs, or is not our child."""
    try:
        reaped, _, usage = os.wait4(pid, os.WNOHANG | WALL)
    except ChildProcessError:
        return None
    return usage.ru_utime + usage.ru_stime if reaped == pid else None


def children() -> set[int]:
    """Return the pids of our children (proc(5), task/TID/children); empty if the kernel lacks that file."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(word) for word in (task / "children").read_text(encoding="ascii").split()}
    return found


@dataclass(frozen=True, kw_only=True)
class Load:
    """CPU seconds of the machine and of this process at one instant."""

    at: float
    busy_s: float
    own_s: float

    @staticmethod
    def now(proc: Path = Path("/proc")) -> Load:
        """Read /proc/stat (proc(5)), and the usage of this process and its reaped children."""
        ours = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return Load(
            at=time.monotonic(),
            busy_s=busy_s(proc),
            own_s=sum(each.ru_utime + each.ru_stime for each in ours),
        )

    def foreign_cpus(self, later: Load) -> float:
        """Return the mean number of CPUs that were busy with other work until ``later``."""
        foreign = (later.busy_s - self.busy_s) - (later.own_s - self.own_s)
        return max(0.0, foreign / max(later.at - self.at, 1e-3))


def busy_s(proc: Path = Path("/proc")) -> float:
    """Return the busy CPU seconds of all CPUs since boot, including stolen time."""
    first = text_of(proc / "stat").partition("\n")[0].split()
    ticks = dict(zip(FIELDS, map(int, first[1:]), strict=False))
    return sum(ticks.get(name, 0) for name in BUSY) / os.sysconf("SC_CLK_TCK")
