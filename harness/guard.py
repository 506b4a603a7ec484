"""A guard process that ends all processes that a run leaves behind.

The guard is the process that the user started. It forks a worker that does all work, and is the subreaper
(PR_SET_CHILD_SUBREAPER, prctl(2)) of the worker's descendants: orphans, daemons and processes in other
sessions become its children. After the worker's end, even by kill -9, the guard ends the rest. If the guard
itself is killed, the kernel kills the worker (PR_SET_PDEATHSIG), and its child processes follow in turn
(harness.process, harness.guest, harness.teardown.testcase).
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
UNWIND_LIMIT_S = 60.0
"""Time limit for the worker to unwind after a signal, before it is killed."""
GRACE_S = 3.0
"""Time limit for remaining processes to end after SIGTERM."""
KILL_LIMIT_S = 60.0
"""Time limit for a killed process to exit: the kernel frees its memory first."""


def guarded(main: Callable[[], int], *, die_with_parent: bool = False) -> int:
    """Run ``main`` in a worker, then end every remaining descendant of it.

    Returns the value of main, 128 + n if signal n killed the worker, 130 if main raised KeyboardInterrupt.
    SIGTERM, SIGHUP and SIGINT sent to the guard reach the worker, where the first raises KeyboardInterrupt.
    With ``die_with_parent``, the guard gets SIGTERM when the process that started it ends.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if die_with_parent:
        parent = os.getppid()
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            return 128 + signal.SIGTERM
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    guard = os.getpid()
    # Processes that the shell started before its exec are children of this process, but not of the run.
    before_us = frozenset(_descendants())
    # With SIGCHLD ignored, the kernel reaps children silently (wait(2)), also those of the worker.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Blocked before the fork, so no signal is lost before the loop that waits for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, signal.SIGCHLD))
    try:
        worker = os.fork()
        if worker == 0:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard:
                os._exit(128 + signal.SIGKILL)
            _Interrupt().install()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _work(main)
        try:
            status = _wait_for(worker)
        finally:
            end_descendants(before_us)
            # A Ctrl-C during the clean-up has no effect.
            while signal.sigtimedwait(FORWARDED, 0) is not None:
                pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return status if status >= 0 else 128 - status


class _Interrupt:
    """Signal handler of the worker: KeyboardInterrupt unwinds it, and no ``except Exception`` swallows that.

    One request often arrives twice, from the sender (to the whole process group) and from the guard, and the
    second must not disturb the unwinding. Only SIGINT more than a second later is a new request of the user.
    """

    def __init__(self) -> None:
        self._first: float | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            raise KeyboardInterrupt
        if number == signal.SIGINT and now - self._first > 1:
            raise KeyboardInterrupt

    def install(self) -> None:
        """Install for SIGTERM, SIGHUP and SIGINT, unless the signal is ignored, as by nohup(1)."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self)


def _work(main: Callable[[], int]) -> NoReturn:
    status = 1
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the last frame of this process
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Not sys.exit: the frames and exit handlers below belong to the guard.
    os._exit(status & 0xFF)


def _wait_for(worker: int) -> int:
    """Return the worker's exit status, or minus the signal that killed it. Reaps every child meanwhile."""
    deadline: float | None = None
    while True:
        status = _reap(worker)
        if status is not None:
            return status
        if deadline is None:
            seen = signal.sigwaitinfo((*FORWARDED, signal.SIGCHLD))
        else:
            found = signal.sigtimedwait((*FORWARDED, signal.SIGCHLD), max(0.0, deadline - time.monotonic()))
            if found is None:
                os.kill(worker, signal.SIGKILL)  # an unreaped child: its pid is not reused
                deadline = time.monotonic() + KILL_LIMIT_S
                continue
            seen = found
        # A code above 0 means that the kernel sent it (sigaction(2), si_code), for Ctrl-C or a hang-up. The
        # worker is in the same process group and received it too. Blocked signals arrive even if ignored.
        if seen.si_signo != signal.SIGCHLD and signal.getsignal(seen.si_signo) is not signal.SIG_IGN:
            if seen.si_code <= 0:
                os.kill(worker, seen.si_signo)
            deadline = deadline or time.monotonic() + UNWIND_LIMIT_S


def _reap(worker: int) -> int | None:
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, raw = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == worker:
                status = os.waitstatus_to_exitcode(raw)
    return status


def end_descendants(spared: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """End every process that descends from this one: SIGTERM, a grace period, SIGKILL. Returns their pids.

    Processes in ``spared`` are left running. The search repeats until no process remains, so it also finds
    processes that are forked meanwhile.
    """
    found: dict[int, None] = {}
    begun = time.monotonic()
    asked: set[int] = set()
    while time.monotonic() - begun < GRACE_S + KILL_LIMIT_S:
        _reap(-1)
        left = [pid for pid in _descendants() if pid not in spared]
        if not left:
            break
        late = time.monotonic() - begun >= GRACE_S
        for pid in left:
            found[pid] = None
            if late or pid not in asked:
                asked.add(pid)
                _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
        # The end of a child interrupts the wait; the next iteration sees the end of grandchildren.
        signal.sigtimedwait((signal.SIGCHLD,), 0.05)
    return tuple(found)


def _descendants() -> Iterator[int]:
    """Yield the running descendants of this process; zombies are left to their parents."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(entry.name) if state not in b"ZX" else -1)
    queue = [os.getpid()]
    while queue:
        for pid in children.get(queue.pop(), ()):
            if pid > 0:
                yield pid
                queue.append(pid)


def _signal(pid: int, number: int) -> None:
    """Signal ``pid`` if it is still a descendant; its number may have been reused."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if pid in _descendants():
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
