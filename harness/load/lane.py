"""One lane: start guests, end them at random, and start them again. This process is their subreaper.

There is one thread, because QEMU dies with the thread that started it. During every wait, poll(2) also
watches the pidfds of the helpers whose QEMU has ended, so that their exit is recorded at once.
"""

import contextlib
import os
import random
import select
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from harness.cycles.family import zombies_of
from harness.cycles.judge import describe_status, sent_signal
from harness.cycles.model import TRIGGERS, Cycle
from harness.cycles.qemu import Started, started
from harness.guest.memory import available_mib
from harness.guest.shortage import SHORTAGE_MIB
from harness.load.model import LoadJob, LoadRow, Remains
from harness.load.plan import each_mib
from harness.teardown.watch import find_sharers

PAUSE_S = 0.1
AT_ONCE = 0.8
"""Share of a crowd's ends that are followed by a restart at once. Other places stay empty for some time."""
ROOM_POLL_S = 0.02
GONE_LIMIT_S = 10.0


@dataclass(kw_only=True)
class Live:
    """A running guest. Closing ``stack`` closes its pidfd and removes its folder."""

    stack: contextlib.ExitStack
    qemu: Started
    pidfd: int

    @property
    def pid(self) -> int:
        return self.qemu.process.pid


@dataclass(kw_only=True)
class End:
    """The end of a guest. ``helpers`` are those that still run: pidfd → pid."""

    row: LoadRow
    began: float
    helpers: dict[int, int]
    last: float
    pids: tuple[int, ...]


class Lane:
    """Calls ``emit`` with each row as soon as it is complete."""

    def __init__(self, load: LoadJob, index: int, places: int, emit: Callable[[LoadRow], None]) -> None:
        self._load, self._index, self._emit = load, index, emit
        self._draw = random.Random(f"{load.seed}/{index}")  # noqa: S311 - a plan, not a secret
        self._places: list[Live | None] = [None] * places
        self._pending: list[End] = []
        self._statuses: dict[int, tuple[int, float]] = {}
        self._current: End | None = None
        self._starts = self._names = 0

    def run(self, seconds: float, restarts: int) -> Remains:
        """Run the load for ``seconds`` after all guests have started, or for ``restarts`` restarts.

        No process remains afterwards.
        """
        fds = _open_fds()
        try:
            for place in range(len(self._places)):
                self._places[place], failure = self._start()
                if failure:
                    self._emit(_failed_start(failure))
            until, done = time.monotonic() + seconds, 0
            while done < restarts if restarts else time.monotonic() < until:
                self._step()
                done += 1
            zombies = tuple(name for live in self._places if live for name in zombies_of(live.pid).values())
            for place in range(len(self._places)):
                self._finish(place)
        finally:
            left = self._clear()
        return Remains(starts=self._starts, left=left, zombies=zombies, fds_before=fds, fds_after=_open_fds())

    def _step(self) -> None:
        crowd = not self._load.restarts
        place = self._draw.randrange(len(self._places))
        if self._places[place] is None:
            self._places[place], failure = self._start()
            if failure:
                self._emit(_failed_start(failure))
        elif not crowd or self._draw.random() < AT_ONCE:
            self._restart(place)
        else:
            self._finish(place)
        if crowd:
            self._watch({}, time.monotonic() + self._draw.random() * PAUSE_S)

    def _restart(self, place: int) -> None:
        end = self._end(place)
        if end is None:
            return
        since = time.monotonic()
        self._current = end
        self._wait_for_memory()
        waited, room = time.monotonic() - since, available_mib()
        self._places[place], failure = self._start()
        end.row = msgspec.structs.replace(
            end.row,
            restart_s=None if failure else round(time.monotonic() - end.began, 6),
            waited_s=round(waited, 6),
            available_mib=room,
            failure=end.row.failure or failure,
        )
        self._current = None
        self._settle()

    def _finish(self, place: int) -> None:
        self._end(place)
        self._settle()

    def _wait_for_memory(self) -> None:
        wait, until = self._load.plan.wait, time.monotonic() + self._load.job.limit_s
        while wait == "memory" and any(end.helpers for end in self._pending) and time.monotonic() < until:
            self._watch({}, until, any_end=True)
        if wait != "none":
            needed = each_mib(self._load.plan.memory_mib) + SHORTAGE_MIB
            while available_mib() < needed and time.monotonic() < until:
                self._watch({}, time.monotonic() + ROOM_POLL_S)

    def _start(self) -> tuple[Live | None, str]:
        """Start a guest. Return it when it is ready, or the reason if it failed."""
        plan, limit_s = self._load.plan, self._load.job.limit_s
        if plan.wait != "none":
            self._wait_for_memory()
            if available_mib() < each_mib(plan.memory_mib):
                return None, "not started: the guest does not fit into memory"
        self._names += 1
        folder = Path(self._load.job.folder) / f"{self._index}-{self._names:06}"
        stack = contextlib.ExitStack()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        qemu = stack.enter_context(started(self._load.job, self._cycle("sigkill"), folder))
        pidfd = os.pidfd_open(qemu.process.pid)
        stack.callback(os.close, pidfd)
        live = Live(stack=stack, qemu=qemu, pidfd=pidfd)
        event = self._watch({qemu.monitor.fileno(): "output", pidfd: "ended"}, time.monotonic() + limit_s)
        if event and qemu.wait_ready(limit_s):
            self._starts += 1
            return live, ""
        return None, self._end_failed(live, limit_s)

    def _end_failed(self, live: Live, limit_s: float) -> str:
        """End a guest that did not become ready. Return the reason."""
        ended = bool(self._watch({live.pidfd: "ended"}, time.monotonic() + 1.0))
        if not ended:
            signal.pidfd_send_signal(live.pidfd, signal.SIGKILL)
            self._watch({live.pidfd: "ended"}, time.monotonic() + limit_s)
        self._reap()
        status = self._statuses.pop(live.pid, (0, 0.0))[0]
        reason = (
            f"QEMU ended during its start, {describe_status(status)}"
            if ended
            else f"not ready within {limit_s:g} s"
        )
        line = live.qemu.last_line()
        live.stack.close()
        return f"{reason}: {line}" if line else reason

    def _cycle(self, trigger: str) -> Cycle:
        """Return a cycle that describes the guest for harness.cycles.qemu."""
        plan, accel = self._load.plan, self._load.accel
        return Cycle(number=1, trigger=trigger, backend=plan.backend, accel=accel, memory_mib=plan.memory_mib)

    def _end(self, place: int) -> End | None:
        """Fire a trigger and wait for QEMU's exit, not for its memory."""
        live, self._places[place] = self._places[place], None
        if live is None:
            return None
        trigger = "sigkill" if self._load.restarts else self._draw.choice(TRIGGERS)
        helpers: dict[int, int] = {}
        for pid in find_sharers(live.pid):
            with contextlib.suppress(ProcessLookupError):
                helpers[os.pidfd_open(pid)] = pid
        failures = ["no process shares QEMU's memory"] if self._load.job.options and not helpers else []
        number = sent_signal(self._cycle(trigger))
        began = time.monotonic()
        if self._watch({live.pidfd: "ended"}, began):
            failures.append(f"QEMU ended before the trigger: {live.qemu.last_line() or 'no message'}")
        elif number is None:
            live.qemu.quit()
        else:
            signal.pidfd_send_signal(live.pidfd, number)
        ended = self._watch({live.pidfd: "ended"}, began + self._load.job.limit_s)
        now = time.monotonic()
        if not ended:
            failures.append("QEMU did not end")
            signal.pidfd_send_signal(live.pidfd, signal.SIGKILL)
            self._watch({live.pidfd: "ended"}, now + self._load.job.limit_s)
        self._reap()
        status, cpu = self._statuses.pop(live.pid, (0, 0.0))
        if status not in (0, -(number or 0)) and not failures:
            failures.append(f"QEMU: {describe_status(status)}: {live.qemu.last_line()}")
        row = LoadRow(
            trigger=trigger,
            exit_s=round(now - began, 6) if ended else None,
            reclaim_s=None,
            restart_s=None,
            helpers=len(helpers),
            qemu_cpu_s=round(cpu, 6),
            failure="; ".join(failures),
        )
        end = End(row=row, began=began, helpers=helpers, last=now, pids=tuple(helpers.values()))
        self._pending.append(end)
        live.stack.close()
        return end

    def _watch(self, fds: dict[int, str], until: float, *, any_end: bool = False) -> str:
        """Wait until one of ``fds`` is readable, and return its name; "" at the time ``until``.

        Exits of helpers are recorded during the wait. With ``any_end``, the first of them ends the wait.
        """
        poller = select.poll()
        for fd in (*fds, *(fd for end in self._pending for fd in end.helpers)):
            poller.register(fd, select.POLLIN)
        while True:
            ready = poller.poll(max(0.0, until - time.monotonic()) * 1000)
            now = time.monotonic()
            names = [fds[fd] for fd, _ in ready if fd in fds]
            for fd, _ in ready:
                if fd not in fds:
                    poller.unregister(fd)
                    self._record_exit(fd, now)
            if names or not ready or any_end:
                self._settle()
                return names[0] if names else ""

    def _record_exit(self, fd: int, now: float) -> None:
        for end in self._pending:
            if fd in end.helpers:
                del end.helpers[fd]
                end.last = max(end.last, now)
                os.close(fd)

    def _settle(self) -> None:
        """Emit the rows of ends without running helpers, except for a restart in progress."""
        self._reap()
        for end in [end for end in self._pending if not end.helpers and end is not self._current]:
            self._pending.remove(end)
            cpu = sum(self._statuses.pop(pid, (0, 0.0))[1] for pid in end.pids)
            self._emit(
                msgspec.structs.replace(
                    end.row,
                    reclaim_s=None if end.row.exit_s is None else round(end.last - end.began, 6),
                    helper_cpu_s=round(cpu, 6),
                )
            )

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, raw, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._statuses[pid] = (os.waitstatus_to_exitcode(raw), usage.ru_utime + usage.ru_stime)

    def _clear(self) -> tuple[str, ...]:
        """End all remaining processes. Return the names of those that should have ended."""
        for live in filter(None, self._places):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(live.pidfd, signal.SIGKILL)
            live.stack.close()
        until = time.monotonic() + GONE_LIMIT_S
        while (remaining := psutil.Process().children(recursive=True)) and time.monotonic() < until:
            self._watch({}, time.monotonic() + ROOM_POLL_S)
        left: list[str] = []
        for one in remaining:
            with contextlib.suppress(psutil.Error):  # it has just ended
                left.append(f"{one.name()} ({one.status()})")
                one.kill()
        self._watch({}, time.monotonic())
        for end in self._pending:
            for fd in end.helpers:
                os.close(fd)
            self._emit(end.row)
        return tuple(left)


def _open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _failed_start(failure: str) -> LoadRow:
    """Return the row of a guest that did not start."""
    return LoadRow(trigger="", exit_s=None, reclaim_s=None, restart_s=None, failure=failure)
