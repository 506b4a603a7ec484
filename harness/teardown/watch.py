"""End a guest and time it: until its parent's wait returns, and until the last process with its memory ends.

All times are CLOCK_MONOTONIC (time.monotonic_ns). Nothing polls at intervals: the wait for QEMU is one
blocking wait4(2), and the wait for helpers is poll(2) on pidfds, which the kernel wakes.

In the kernel (do_exit, kernel/exit.c) a process releases its memory (exit_mm) before it notifies its parent
and its pidfds (exit_notify). The last process that shares an address space therefore frees it before its own
pidfd becomes readable. When the last pidfd is readable, the memory is free. A pidfd becomes readable when the
last thread of its process has ended (pidfd_open(2)), so a helper may free memory with several threads.
"""

import contextlib
import ctypes
import dataclasses
import errno
import os
import platform
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TeardownError
from harness.guest.machine import Machine
from harness.guest.spawn import Child
from harness.machine import text_of
from harness.teardown.cpu import children, cpu_clock_s, reap
from harness.teardown.meter import Meter

SIGNALS = {"sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL, "sigabrt": signal.SIGABRT}
TRIGGERS = (*SIGNALS, "quit", "poweroff")
NS = 1e-9
CLOCK_STEP_NS = 1_000_000
"""A larger difference means that the clock was set. Slewing changes it less while a guest powers off."""
KCMP_VM = 1  # linux/kcmp.h
_SYS_KCMP = {"x86_64": 312, "s390x": 343, "aarch64": 272, "ppc64le": 354, "riscv64": 272}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one teardown. CPU seconds count from the trigger.

    ``helpers``: number at the trigger. ``stuck``: number of processes killed at the time limit.
    ``shutdown_s``: time of the guest itself to power off, in neither latency. ``held_at_exit_mib`` and
    ``returned_mib``: MiB not yet freed when the wait for QEMU returned, and MiB freed when the last process
    with its memory ended.
    """

    exit_s: float
    reclaim_s: float | None
    helpers: int
    exit_status: int
    stuck: int = 0
    shutdown_s: float | None = None
    threads: int = 0
    qemu_cpu_s: float | None = None
    helper_cpu_s: float | None = None
    held_at_exit_mib: float | None = None
    returned_mib: float | None = None


def shares_memory(pid: int, other: int) -> bool | None:
    """Return whether two processes share an address space (kcmp(2), KCMP_VM); None if the kernel refuses."""
    answer = kcmp(pid, other, KCMP_VM)
    if answer >= 0:
        return answer == 0
    if answer == -errno.ESRCH:
        return False  # it has ended
    if answer in (-errno.EPERM, -errno.EACCES) and kcmp(os.getpid(), os.getpid(), KCMP_VM) == 0:
        return False  # kcmp works, but not for this process, so it is not a helper of ours
    return None  # the kernel lacks kcmp, or the filter of a container forbids it (seccomp(2))


def kcmp(pid: int, other: int, kind: int, mine: int = 0, its: int = 0) -> int:
    """Return the result of kcmp(2), 0 for the same object, or a negative errno."""
    number = _SYS_KCMP.get(platform.machine())
    if number is None:
        return -errno.ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    answer = int(libc.syscall(*map(ctypes.c_long, (number, pid, other, kind, mine, its))))
    return answer if answer >= 0 else -ctypes.get_errno()


def find_sharers(pid: int, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Return the pids, except ``pid``, of processes that share its address space.

    All processes of the machine are checked, so a helper may have any name and parent. On a kernel without
    kcmp, the result is the children of ``pid`` and the processes named ``cleanup/<pid>``.
    """
    others = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and int(entry.name) != pid]
    sharers = []
    for other in others:
        answer = shares_memory(pid, other)
        if answer is None:
            answer = _looks_like_helper(proc, pid, other)
        elif answer:
            # Exiting processes and kernel threads have no memory, which kcmp reports as equal.
            answer = _has_memory(proc, other)
        if answer:
            sharers.append(other)
    return tuple(sorted(sharers))


def _has_memory(proc: Path, pid: int) -> bool:
    """Return whether the process has an address space. Without one, statm contains only zeros (proc(5))."""
    return text_of(proc / str(pid) / "statm").partition(" ")[0] not in ("", "0")


def _looks_like_helper(proc: Path, pid: int, other: int) -> bool:
    before, _, rest = text_of(proc / str(other) / "stat").rpartition(")")
    # The kernel truncates names to 15 bytes (prctl(2), PR_SET_NAME).
    return rest.split()[1:2] == [str(pid)] or before.partition("(")[2] == f"cleanup/{pid}"[:15]


@contextlib.contextmanager
def open_sharers(pid: int) -> Iterator[dict[int, int]]:
    """Map pidfd → pid for each process that shares the memory of ``pid``. The block closes the pidfds."""
    opened: dict[int, int] = {}
    try:
        for sharer in find_sharers(pid):
            with contextlib.suppress(ProcessLookupError):
                opened[os.pidfd_open(sharer)] = sharer
        yield opened
    finally:
        for pidfd in opened:
            os.close(pidfd)


def measure(
    machine: Machine,
    trigger: str,
    *,
    timeout_s: float,
    meter: Meter | None = None,
    then: Callable[[], None] | None = None,
) -> Measured:
    """End the guest by ``trigger`` and time it.

    For ``poweroff`` the time starts at QEMU's event SHUTDOWN: the guest's own shutdown is not QEMU's time,
    and varies by more than the latencies. ``then`` is called as soon as QEMU has ended, while a thread
    waits for the helpers.

    QEMU and all helpers have ended when this returns. Raises TeardownError if QEMU does not end within
    ``timeout_s`` seconds (it is then killed), if it had ended before, or for an unknown trigger; also the
    errors of ``then``.
    """
    if trigger not in TRIGGERS:
        raise TeardownError(f"unknown trigger {trigger!r}", f"choose from: {' '.join(TRIGGERS)}")
    wall = time.time_ns() - time.monotonic_ns()
    began, measured = watch_end(
        machine.child, lambda: _fire(machine, trigger), trigger, timeout_s=timeout_s, meter=meter, then=then
    )
    if trigger != "poweroff":
        return measured
    late_s = (_shutdown_time(machine, wall) - began) * NS
    return dataclasses.replace(
        measured,
        exit_s=measured.exit_s - late_s,
        reclaim_s=None if measured.reclaim_s is None else measured.reclaim_s - late_s,
        shutdown_s=late_s,
    )


def watch_end(
    child: Child,
    fire: Callable[[], int],
    what: str,
    *,
    timeout_s: float,
    meter: Meter | None = None,
    then: Callable[[], None] | None = None,
) -> tuple[int, Measured]:
    """Call ``fire``, which triggers the end of the child and returns its time (monotonic_ns); see measure.

    Returns that time and the figures. ``what`` names the trigger in the error if the child does not end.
    """
    with open_sharers(child.pid) as sharers:
        if child.has_ended():
            raise TeardownError(
                "QEMU had ended before the trigger",
                "read QEMU's log, and the kernel's log in case memory ran out",
                details=child.last_lines(),
                log=child.log,
            )
        spared, threads = children(), _threads(child.pid)
        clocks = {pid: cpu_clock_s(pid) for pid in sharers.values()}
        free = meter.free_mib() if meter else 0.0
        clock = cpu_clock_s(child.pid)
        with _limit(child, timeout_s) as expired:
            began = fire()
            _, status, usage = os.wait4(child.pid, 0)
            exited = time.monotonic_ns()
        at_exit = meter.free_mib() if meter else 0.0
        child.process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
        if then is None:
            last, stuck = _wait_for_last(sharers, exited, timeout_s)
            last, more = _wait_for_strays(spared, last, timeout_s)
            stuck += more
        else:
            last, stuck = _wait_during(sharers, exited, timeout_s, then)
        at_last = meter.free_mib() if meter else 0.0
        used = [_used(pid, before) for pid, before in clocks.items()]
    if expired.is_set():
        raise TeardownError(
            f"QEMU did not end within {timeout_s:g} s of {what}",
            "increase -Dtimeout=, or read the log for the cause",
            details=child.last_lines(),
            log=child.log,
        )
    returned = round(at_last - free, 1)
    return began, Measured(
        exit_s=(exited - began) * NS,
        reclaim_s=None if stuck else (last - began) * NS,
        helpers=len(clocks),
        exit_status=child.process.returncode,
        stuck=stuck,
        threads=threads,
        qemu_cpu_s=round(max(0.0, usage.ru_utime + usage.ru_stime - clock), 6),
        helper_cpu_s=None if None in used else round(sum(each or 0.0 for each in used), 6),
        held_at_exit_mib=round(max(0.0, at_last - at_exit), 1) if meter else None,
        returned_mib=returned if meter else None,
    )


@contextlib.contextmanager
def _limit(child: Child, timeout_s: float) -> Iterator[threading.Event]:
    """Kill the child after ``timeout_s`` seconds. The event is set if that happened."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    return 0


def _used(pid: int, before: float) -> float | None:
    """Return the CPU seconds of an ended helper since ``before``; None if this process cannot reap it."""
    total = reap(pid)
    return None if total is None else max(0.0, total - before)


def _wait_during(
    sharers: dict[int, int], exited: int, timeout_s: float, then: Callable[[], None]
) -> tuple[int, int]:
    """Run _wait_for_last in a thread while ``then`` is called."""
    results: list[tuple[int, int]] = []
    waiter = threading.Thread(target=lambda: results.append(_wait_for_last(sharers, exited, timeout_s)))
    waiter.start()
    try:
        then()
    finally:
        waiter.join()
    return results[0]


def _wait_for_strays(spared: set[int], last: int, timeout_s: float) -> tuple[int, int]:
    """Wait for processes that QEMU or its helpers started after the trigger: orphans, now our children.

    Returns when the last one ended, and how many were killed. Without adopt_orphans there are none.
    """
    strays: dict[int, int] = {}
    try:
        for pid in children() - spared:
            if _has_memory(Path("/proc"), pid):
                with contextlib.suppress(ProcessLookupError):
                    strays[os.pidfd_open(pid)] = pid
        ended = _wait_for_last(strays, last, timeout_s)
        for pid in strays.values():
            reap(pid)
        return ended
    finally:
        for pidfd in strays:
            os.close(pidfd)


def _fire(machine: Machine, trigger: str) -> int:
    """Fire the trigger and return its time."""
    if trigger in SIGNALS:
        number = SIGNALS[trigger]
        began = time.monotonic_ns()
        signal.pidfd_send_signal(machine.child.pidfd, number)
        return began
    send = machine.send_quit if trigger == "quit" else machine.send_poweroff
    began = time.monotonic_ns()
    send()
    return began


def _shutdown_time(machine: Machine, wall: int) -> int:
    """Return the time of the event SHUTDOWN, monotonic; ``wall`` is the offset of QEMU's, the wall clock."""
    shutdown = machine.shutdown_time()
    if shutdown is None:
        raise TeardownError(
            "QEMU ended without an event SHUTDOWN from the guest",
            "read the last lines of the console",
            details=machine.console.tail() if machine.console else (),
            log=machine.child.log,
        )
    if abs(time.time_ns() - time.monotonic_ns() - wall) > CLOCK_STEP_NS:
        raise TeardownError("the machine's clock was set during the sample", "run again")
    return int(shutdown * 1e9) - wall


def _wait_for_last(sharers: dict[int, int], exited: int, timeout_s: float) -> tuple[int, int]:
    """Return when the last of ``sharers`` ended (not before QEMU itself), and how many were killed."""
    last, stuck = exited, 0
    poller = select.poll()
    for pidfd in sharers:
        poller.register(pidfd, select.POLLIN)
    left = set(sharers)
    deadline = time.monotonic() + timeout_s
    while left:
        ready = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        now = time.monotonic_ns()
        for pidfd, _ in ready:
            poller.unregister(pidfd)
            left.discard(pidfd)
            last = now
        if not ready:
            if stuck:
                break  # killed, but stuck in the kernel; harness.guard will reap it
            stuck = len(left)
            for pidfd in left:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            deadline = time.monotonic() + 60
    return last, stuck
