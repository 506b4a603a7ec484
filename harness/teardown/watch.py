"""End a guest and watch it go: when its parent's wait returns, and when its memory has no owner left.

All times are CLOCK_MONOTONIC (time.monotonic_ns). Nothing here polls: the wait for QEMU is one blocking
waitid(2), the wait for others is poll(2) on pidfds, which the kernel wakes.

In the kernel (do_exit, kernel/exit.c) a process lets go of its memory (exit_mm) before it tells its parent
and its pidfds (exit_notify). So the address space is torn down by the last process that shares it, before
that process's pidfd becomes readable: when the last one is readable, the memory is back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import select
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TeardownError
from harness.guest import Machine

SIGNALS = {"sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL, "sigabrt": signal.SIGABRT}
TRIGGERS = (*SIGNALS, "quit", "poweroff")
NS = 1e-9
CLOCK_STEP_NS = 1_000_000
"""More than what adjusting a clock's rate does in the seconds that a guest takes to power off."""
KCMP_VM = 1  # linux/kcmp.h
_SYS_KCMP = {"x86_64": 312, "s390x": 343, "aarch64": 272, "ppc64le": 354, "riscv64": 272}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """``helpers`` were there at the trigger; ``stuck`` of them had to be killed after the time limit.
    ``shutdown_s`` is the time that the guest itself took to power off; it is in neither latency."""

    exit_s: float
    reclaim_s: float | None
    helpers: int
    exit_status: int
    stuck: int = 0
    shutdown_s: float | None = None


def shares_memory(pid: int, other: int) -> bool | None:
    """Whether two processes share one address space: kcmp(2), KCMP_VM. None when the kernel won't say."""
    answer = _kcmp_vm(pid, other)
    if answer >= 0:
        return answer == 0
    if answer == -errno.ESRCH:
        return False  # gone meanwhile
    if answer in (-errno.EPERM, -errno.EACCES) and _kcmp_vm(os.getpid(), os.getpid()) == 0:
        return False  # a process that we may not look at and that thus is none of ours
    return None  # unknown to the kernel, or forbidden altogether: a container's filter (seccomp(2))


def _kcmp_vm(pid: int, other: int) -> int:
    """What kcmp(2) says, 0 for one address space; a negative errno."""
    number = _SYS_KCMP.get(platform.machine())
    if number is None:
        return -errno.ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    answer = int(libc.syscall(*(ctypes.c_long(value) for value in (number, pid, other, KCMP_VM, 0, 0))))
    return answer if answer >= 0 else -ctypes.get_errno()


def find_sharers(pid: int, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """The processes, other than ``pid``, that hold its address space.

    Every process of the machine is asked about, so that a helper is found whatever its name and parent are.
    On a kernel without kcmp: children of ``pid`` and processes named ``cleanup/<pid>``.
    """
    others = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and int(entry.name) != pid]
    sharers = []
    for other in others:
        answer = shares_memory(pid, other)
        if answer is None:
            answer = _looks_like_helper(proc, pid, other)
        elif answer:
            # An ending process has no memory, and neither have kernel threads: kcmp calls that equal.
            answer = _has_memory(proc, other)
        if answer:
            sharers.append(other)
    return tuple(sorted(sharers))


def _has_memory(proc: Path, pid: int) -> bool:
    """Whether the process has an address space at all: without one, all of statm is 0 (proc(5))."""
    try:
        return (proc / str(pid) / "statm").read_text(encoding="ascii").split()[0] != "0"
    except (OSError, IndexError):
        return False


def _looks_like_helper(proc: Path, pid: int, other: int) -> bool:
    try:
        stat = (proc / str(other) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 1 :].split()
    # The kernel cuts names at 15 bytes (prctl(2), PR_SET_NAME).
    return int(rest[1]) == pid or name == f"cleanup/{pid}"[:15]


@contextlib.contextmanager
def open_sharers(pid: int) -> Iterator[dict[int, int]]:
    """pidfd → pid of each process that shares the memory of ``pid``; the pidfds close with the block."""
    opened: dict[int, int] = {}
    try:
        for sharer in find_sharers(pid):
            with contextlib.suppress(ProcessLookupError):
                opened[os.pidfd_open(sharer)] = sharer
        yield opened
    finally:
        for pidfd in opened:
            os.close(pidfd)


def measure(machine: Machine, trigger: str, *, timeout_s: float) -> Measured:
    """End the guest by ``trigger`` and time it.

    For ``poweroff`` the clock starts when QEMU says SHUTDOWN: what the guest does before it can turn the
    machine off is none of QEMU's time, and differs from round to round by more than what is measured.

    QEMU and all helpers are gone when this returns. Raises TeardownError when QEMU itself does not end
    within ``timeout_s`` seconds (it is killed then), had ended already, or the trigger is unknown.
    """
    if trigger not in TRIGGERS:
        raise TeardownError(f"trigger {trigger!r} is not known", f"choose from: {' '.join(TRIGGERS)}")
    pidfd = machine.child.pidfd
    with open_sharers(machine.pid) as sharers:
        if machine.child.has_ended():
            raise TeardownError(
                "QEMU had ended before the trigger",
                "look at the log, and at the kernel's for want of memory",
                details=machine.child.last_lines(),
                log=machine.child.log,
            )
        expired = threading.Event()

        def give_up() -> None:
            expired.set()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

        limit = threading.Timer(timeout_s, give_up)
        limit.daemon = True
        limit.start()
        try:
            wall = time.time_ns() - time.monotonic_ns()
            began = _fire(machine, trigger)
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            exited = time.monotonic_ns()
        finally:
            limit.cancel()
        assert ended is not None
        status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        machine.child.process.returncode = status  # reaped here, not by Popen
        last, stuck = _wait_for_last(sharers, exited, timeout_s)
    if expired.is_set():
        raise TeardownError(
            f"QEMU did not end within {timeout_s:g} s of {trigger}",
            "raise -Dtimeout=, or look at the log for what holds it",
            details=machine.child.last_lines(),
            log=machine.child.log,
        )
    shutdown_s = None
    if trigger == "poweroff":
        requested, began = began, _shutdown_time(machine, wall)
        shutdown_s = (began - requested) * NS
    return Measured(
        exit_s=(exited - began) * NS,
        reclaim_s=None if stuck else (last - began) * NS,
        helpers=len(sharers),
        exit_status=status,
        stuck=stuck,
        shutdown_s=shutdown_s,
    )


def _fire(machine: Machine, trigger: str) -> int:
    """Pull the trigger; when that was."""
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
    """When QEMU said SHUTDOWN, by our clock; ``wall`` is how far the wall clock, QEMU's, was ahead of it."""
    said = machine.shutdown_said()
    if said is None:
        raise TeardownError(
            "QEMU ended without an event SHUTDOWN of its guest's",
            "look at the console's last lines",
            details=machine.console.tail() if machine.console else (),
            log=machine.child.log,
        )
    if abs(time.time_ns() - time.monotonic_ns() - wall) > CLOCK_STEP_NS:
        raise TeardownError("the machine's clock was set meanwhile", "run again")
    return int(said * 1e9) - wall


def _wait_for_last(sharers: dict[int, int], exited: int, timeout_s: float) -> tuple[int, int]:
    """When the last of ``sharers`` ended (not before QEMU itself), and how many had to be killed."""
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
                break  # killed and yet there: in the kernel; harness.guard remains
            stuck = len(left)
            for pidfd in left:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            deadline = time.monotonic() + 60
    return last, stuck
