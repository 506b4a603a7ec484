"""Row 2, QEMU is moved after its start: its helper follows, or frees the memory with a single thread.

libvirt pins QEMU, and puts it into other control groups, when its helper exists. Several threads would then
run on the processors of other guests.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from harness.properties import status
from harness.properties.bench import Bench, Running
from harness.properties.failures import pids_cgroup
from harness.properties.outcome import Cancelled, Failed, Parts

SETTLED_S = 5.0
"""Time limit for observing the threads of a helper, in seconds."""


def follows(bench: Bench, parts: Parts, memory_mib: int) -> None:
    """Add the parts of row 2 about a QEMU that was moved."""
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        with parts.part(f"pinned to another CPU, {name}: the helper follows, or has one thread") as figures:
            cpus = os.sched_getaffinity(0)
            if len(cpus) < 2:
                raise Cancelled("this process may use only one CPU")
            with bench.start(memory_mib=memory_mib) as running:
                os.sched_setaffinity(running.pid, {max(cpus)})
                figures["threads"] = float(_check_threads(running, number, {max(cpus)}))
    with parts.part("in another control group: one thread") as figures, pids_cgroup() as (folder, limit):
        limit.write_text("max", encoding="ascii")
        with bench.start(memory_mib=memory_mib) as running:
            (folder / "cgroup.procs").write_text(str(running.pid), encoding="ascii")
            figures["threads"] = float(_check_threads(running, signal.SIGTERM, set()))


def _check_threads(running: Running, number: int, allowed: set[int]) -> int:
    """End QEMU, and raise Failed if its helper has several threads, not all of them on the CPUs ``allowed``.

    Return the largest number of its threads.
    """
    helper = running.helper()
    running.signal(number)
    most = 0
    for threads in _observed(helper):
        most = max(most, len(threads))
        others = set().union(*threads) - allowed
        if len(threads) > 1 and others:
            where = f"on CPU {min(others)}" if allowed else "in its own control group"
            raise Failed(f"QEMU was moved, and {len(threads)} threads of its helper run {where}")
    if not most:
        raise Failed("the helper exited too soon")
    return most


def _observed(helper: int) -> Iterator[list[frozenset[int]]]:
    """Yield the CPUs that each thread of a process may use, until the process ends."""
    deadline = time.monotonic() + SETTLED_S
    while time.monotonic() < deadline:
        threads = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{helper}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
                    if not status.fields(int(task.name))["State"].startswith(("Z", "X")):
                        threads.append(frozenset(os.sched_getaffinity(int(task.name))))
        if not threads:
            return
        yield threads
