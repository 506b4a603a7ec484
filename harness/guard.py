"""Nothing survives a run: a guard process that outlives the work and ends whatever the work has left.

The guard is the process that the user started. It forks a worker that does everything, and is the subreaper
(PR_SET_CHILD_SUBREAPER, prctl(2)) of all that the worker starts: an orphan, a daemon, a process in
another session all come back to it. However the worker ends, kill -9 included, the guard then ends the rest.
When the guard itself is killed, the kernel kills the worker (PR_SET_PDEATHSIG), and what it started follows
in turn (harness.process, harness.guest, harness.teardown.parent_death).
"""

from __future__ import annotations

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
"""How long the worker may take to unwind after a signal before it is killed."""
GRACE_S = 3.0
"""How long what the worker left may take to end after SIGTERM."""
KILL_LIMIT_S = 60.0
"""How long a killed process may take to be gone: the kernel tears its memory down first."""


def guarded(main: Callable[[], int], *, die_with_parent: bool = False) -> int:
    """Run ``main`` in a worker; when it has ended, end every process that descends from it.

    Returns main's value, 128 + n when signal n killed the worker, 130 when main let KeyboardInterrupt out.
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
    # What the shell started before it exec'ed us is a child of ours, and none of our business.
    before_us = frozenset(_descendants())
    # Ignored children are reaped by the kernel, and nobody is told (wait(2)); the worker's subprocesses too.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Blocked before the fork: no signal is lost between it and the loop that waits for them.
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
            # A Ctrl-C during the clean-up has nothing left to stop.
            while signal.sigtimedwait(FORWARDED, 0) is not None:
                pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return status if status >= 0 else 128 - status


class _Interrupt:
    """Signal handler of the worker: KeyboardInterrupt unwinds it, and no ``except Exception`` swallows that.

    One request often comes twice, from whoever signals the whole process group and from the guard, and the
    second must not disturb the unwinding. Only SIGINT, a second later, is a user who is in a hurry.
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
        """For SIGTERM, SIGHUP and SIGINT, unless it came to us ignored, as from nohup(1)."""
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
    # Not sys.exit: the guard's frames and exit handlers below us are not the worker's.
    os._exit(status & 0xFF)


def _wait_for(worker: int) -> int:
    """The worker's exit status, or minus the signal that killed it. Reaps every child on the way."""
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
                os.kill(worker, signal.SIGKILL)  # our child, not reaped: the pid is its own
                deadline = time.monotonic() + KILL_LIMIT_S
                continue
            seen = found
        # A code above 0: the kernel sent it (sigaction(2), si_code), for a terminal's Ctrl-C or hang-up. The
        # worker, in the same process group, has got it as well. A blocked signal comes even if it is ignored.
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

    Those in ``spared`` are left alone.
    New ones are looked for until none is left, so a process that forks while it is being ended is found too.
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
        # A child's end wakes us; grandchildren's is seen at the next look.
        signal.sigtimedwait((signal.SIGCHLD,), 0.05)
    return tuple(found)


def _descendants() -> Iterator[int]:
    """Living processes below this one; zombies are left to their parents."""
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
    """Signal ``pid`` if it still is below us: its number may have become another's meanwhile."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if pid in _descendants():
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
