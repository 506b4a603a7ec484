"""How much memory all that a run starts holds: by a control group of its own, else by what the machine has free."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from harness.cycles.judge import AVAILABLE_TOLERANCE_MIB, judge_memory
from harness.cycles.model import Memory
from harness.guest.memory import available_mib

MIB = 1024 * 1024
SETTLE_S = 30.0
"""How long others on the machine may take to give back what they took meanwhile."""


class Meter:
    """``group`` is the folder of a control group that holds all of the run; None where there is none."""

    def __init__(self, group: Path | None) -> None:
        self.group = group
        self._before = self._read()

    @property
    def source(self) -> str:
        return "cgroup" if self.group else "MemAvailable"

    def verdict(self, variant: str) -> Memory:
        """Compare with the beginning. What others took is waited for, what leaked does not come back."""
        until = time.monotonic() + (0.0 if self.group else SETTLE_S)
        after = self._read()
        while self._before - after > AVAILABLE_TOLERANCE_MIB and time.monotonic() < until:
            time.sleep(1.0)
            after = self._read()
        return judge_memory(variant, self.source, self._before, after)

    def _read(self) -> float:
        if self.group is not None:
            return held_mib(self.group / "memory.stat")
        readings = []
        for _ in range(5):
            readings.append(available_mib())
            time.sleep(0.1)
        return float(statistics.median(readings))


def held_mib(stat: Path) -> float:
    """MiB of anonymous and shared memory in a memory.stat: ``anon`` or, in version 1, ``rss`` (cgroups(7)).

    Shared memory of version 1 is in ``shmem``, too. Cached file pages are nobody's loss.
    """
    fields = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines())
    return (int(fields.get("anon", fields.get("rss", 0))) + int(fields.get("shmem", 0))) / MIB


@contextlib.contextmanager
def own_group(proc: Path = Path("/proc"), top: Path = Path("/sys/fs/cgroup")) -> Iterator[Path | None]:
    """A control group with a memory controller below ours, removed afterwards; None where that cannot be."""
    group = _make(proc, top)
    try:
        yield group
    finally:
        if group is not None:
            with contextlib.suppress(OSError):
                group.rmdir()


def _make(proc: Path, top: Path) -> Path | None:
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder = (top / "memory" if controllers else top) / path.strip("/") / f"qemu-harness-cycles-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / "memory.stat").is_file() and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
        with contextlib.suppress(OSError):
            folder.rmdir()
    return None
