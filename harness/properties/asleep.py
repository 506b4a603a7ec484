"""Row 17: a helper that waits for QEMU does not wake up, and keeps nothing busy."""

import time
from pathlib import Path

from harness.properties import sandbox, status
from harness.properties.bench import Bench, Surrounding
from harness.properties.outcome import Failed, Parts, arranged

AWAKE_S = 2.5
"""How long a helper is observed. One that polls usually does so at least once a second."""


def asleep(bench: Bench, parts: Parts) -> None:
    """Row 17."""
    bench.require_option()
    folder = bench.work / "cwd"
    folder.mkdir(exist_ok=True)
    with arranged(), bench.start(surrounding=Surrounding(folder=str(folder))) as running:
        helper = running.helper()
        with parts.part("waits without a time limit"):
            _check_waits(helper)
        with parts.part("does not wake up") as figures:
            before = _switches(helper)
            deadline = time.monotonic() + AWAKE_S
            while time.monotonic() < deadline:
                running.execute("query-status")  # QEMU's work does not wake it up either
                time.sleep(0.1)
            figures["wakeups"] = awake = float(_switches(helper) - before)
            if awake:
                raise Failed(f"the helper wakes up {awake:g} times in {AWAKE_S:g} s")
        with parts.part("keeps no working directory busy"):
            root = Path(f"/proc/{helper}/root/.").stat()
            work = Path(f"/proc/{helper}/cwd/.").stat()
            if (root.st_dev, root.st_ino) != (work.st_dev, work.st_ino):
                raise Failed(f"the helper's working directory is {Path(f'/proc/{helper}/cwd').readlink()}")
        with parts.part("keeps no file system busy"):
            kept = status.open_paths(helper)
            if kept:
                raise Failed(f"the helper has {kept[0]} open")


_LIMITS = {
    name: argument
    for argument, names in {
        0: "nanosleep",
        2: "ppoll poll rt_sigtimedwait clock_nanosleep",
        3: "epoll_wait epoll_pwait epoll_pwait2 futex",
        4: "select pselect6",
    }.items()
    for name in names.split()
}
"""Calls that may have a time limit, and its argument: a pointer, or milliseconds as a C int. Others wait
without one."""
_MILLISECONDS = ("poll", "epoll_wait", "epoll_pwait")


def _check_waits(helper: int) -> None:
    """Raise Failed if the helper waits in a call with a time limit. Raises Cancelled."""
    words: list[str] = []
    for _ in range(20):
        words = Path(f"/proc/{helper}/syscall").read_text(encoding="ascii").split()
        if len(words) >= 7:
            break
        time.sleep(0.02)
    if len(words) < 7:
        raise Failed("the helper does not sleep")
    names = sandbox.numbers().names
    name = names.get(int(words[0]), words[0])
    if name not in _LIMITS:
        return
    limit = int(words[1 + _LIMITS[name]], 16)
    if limit and not (name in _MILLISECONDS and limit & 0x80000000):
        raise Failed(f"the helper waits in {name}() with a time limit")


def _switches(pid: int) -> int:
    """Return how often a process has slept or was interrupted (proc(5))."""
    found = status.fields(pid)
    return int(found["voluntary_ctxt_switches"]) + int(found["nonvoluntary_ctxt_switches"])
