"""CPU time: what a process has used, what its end used, and what the machine spent on something else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
WALL = 0x40000000  # __WALL of wait4(2): children of any kind, clone(2) without SIGCHLD included
LOADED_CPUS = 0.25
"""More CPUs than that busy with something else, and a sample is marked."""
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def adopt_orphans() -> None:
    """Become the parent of what our children leave behind, so that it can be waited for (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cpu_clock_s(pid: int) -> float:
    """CPU seconds that all threads of the process have used; 0 when it has gone.

    The clock that clock_getcpuclockid(3) gives: the scheduler's own sum, in nanoseconds.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def reap(pid: int) -> float | None:
    """Reap an ended child; all CPU seconds that it used. None when it is not ours, or not ended."""
    try:
        reaped, _, usage = os.wait4(pid, os.WNOHANG | WALL)
    except ChildProcessError:
        return None
    return usage.ru_utime + usage.ru_stime if reaped == pid else None


def children() -> set[int]:
    """Our children (proc(5), task/TID/children); empty on a kernel that does not tell."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(word) for word in (task / "children").read_text(encoding="ascii").split()}
    return found


@dataclass(frozen=True, kw_only=True)
class Load:
    """The machine's and our own CPU seconds at an instant."""

    at: float
    busy_s: float
    own_s: float

    @staticmethod
    def now(proc: Path = Path("/proc")) -> Load:
        """What /proc/stat says (proc(5)), and what we and our reaped children have used."""
        ours = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return Load(
            at=time.monotonic(),
            busy_s=busy_s(proc),
            own_s=sum(each.ru_utime + each.ru_stime for each in ours),
        )

    def foreign_cpus(self, later: Load) -> float:
        """CPUs that were busy with something else between then and ``later``, on average."""
        foreign = (later.busy_s - self.busy_s) - (later.own_s - self.own_s)
        return max(0.0, foreign / max(later.at - self.at, 1e-3))


def busy_s(proc: Path = Path("/proc")) -> float:
    """CPU seconds that all CPUs have been busy since the machine was started, stolen time included."""
    try:
        first = (proc / "stat").read_text(encoding="ascii").splitlines()[0].split()
    except (OSError, IndexError):
        return 0.0
    ticks = dict(zip(FIELDS, map(int, first[1:]), strict=False))
    return sum(ticks.get(name, 0) for name in BUSY) / os.sysconf("SC_CLK_TCK")
