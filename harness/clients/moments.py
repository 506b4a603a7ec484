"""When a QEMU and those that share its memory end, seen by their pidfds, and what else becomes readable.

QEMU is here a process that somebody else has started, so nobody here can wait for it. A pidfd becomes
readable when the parent's wait can return (pidfd_open(2)). All times are CLOCK_MONOTONIC in nanoseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from harness.errors import GuestError
from harness.guest.spawn import wait_pidfd
from harness.teardown.watch import open_sharers

NS = 1e-9
Source = Callable[[], bool]
"""Called when its descriptor is ready; whether what was waited for has come."""


class ExitWatch:
    """``at`` is when each thing was seen: ``exit`` (QEMU), ``back`` (the last process with its memory), and
    each of the sources. ``stuck`` processes had to be killed after the limit."""

    def __init__(self, pid: int, pidfd: int, sharers: Mapping[int, int]) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sharers = dict(sharers)
        self.at: dict[str, int] = {}
        self.stuck = 0
        self._sources: dict[int, tuple[str, int, Source]] = {}
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def add(self, name: str, descriptor: int, events: int, source: Source) -> None:
        """Also wait until ``descriptor`` has ``events`` (poll(2)) and ``source`` says that this was it."""
        self._sources[descriptor] = (name, events, source)

    def start(self, limit_s: float) -> None:
        """Look, from a thread, until all has been seen or ``limit_s`` is over."""
        self._thread = threading.Thread(target=self._run, args=(limit_s,), daemon=True, name="moments")
        self._thread.start()

    def wait(self, what: str, limit_s: float) -> int | None:
        """When ``what`` was seen; None if it is not within ``limit_s`` seconds."""
        deadline = time.monotonic() + limit_s
        while what not in self.at and time.monotonic() < deadline:
            time.sleep(0.0005)
        return self.at.get(what)

    def finish(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End the thread, whatever has been seen."""
        self._over.set()
        self.finish()

    def _run(self, limit_s: float) -> None:
        poller = select.poll()
        living = {self.pidfd, *self.sharers}
        for descriptor in living:
            poller.register(descriptor, select.POLLIN)
        for descriptor, (_, events, _) in self._sources.items():
            poller.register(descriptor, events)
        waiting = set(self._sources)
        deadline = time.monotonic() + limit_s
        while (living or waiting) and not self._over.is_set():
            ready = poller.poll(100)
            now = time.monotonic_ns()
            for descriptor, _ in ready:
                if descriptor in living:
                    living.discard(descriptor)
                    poller.unregister(descriptor)
                    if descriptor == self.pidfd:
                        self.at["exit"] = now
                    if not living:
                        self.at["back"] = now
                elif descriptor in waiting:
                    name, _, source = self._sources[descriptor]
                    if source():
                        waiting.discard(descriptor)
                        poller.unregister(descriptor)
                        self.at[name] = now
            if time.monotonic() > deadline:
                if self.stuck:
                    return  # killed and yet there: in the kernel; harness.guard remains
                self.stuck = len(living)
                for descriptor in living:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                waiting.clear()
                deadline = time.monotonic() + 60


@contextlib.contextmanager
def watching(pid: int) -> Iterator[ExitWatch]:
    """A Watch of QEMU ``pid`` and of those that share its memory now, for the life of the block.

    Raises GuestError when it has gone already.
    """
    with contextlib.ExitStack() as stack:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise GuestError("QEMU had ended before the trigger", "see its log") from error
        stack.callback(os.close, pidfd)
        sharers = stack.enter_context(open_sharers(pid))
        if wait_pidfd(pidfd, 0):
            raise GuestError("QEMU had ended before the trigger", "see its log")
        watch = ExitWatch(pid, pidfd, sharers)
        stack.callback(watch.stop)
        yield watch


def find_qemu(root: int, binary: Path) -> int:
    """The process at or below ``root`` that runs ``binary`` and whose parent does not: helpers are QEMU's.

    Raises GuestError when there is not just one.
    """
    wanted = _identity(binary)
    running = {}
    for process in _family(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            if _identity(Path(f"/proc/{process.pid}/exe")) == wanted:
                running[process.pid] = process.ppid()
    found = [pid for pid, parent in running.items() if parent not in running]
    if len(found) != 1:
        raise GuestError(f"{len(found)} processes run {binary.name}, not one", "see the log")
    return found[0]


def _family(root: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(root)
        return [top, *top.children(recursive=True)]
    return []


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode: a path may be another's in another mount namespace."""
    with contextlib.suppress(OSError):
        seen = path.stat()
        return seen.st_dev, seen.st_ino
    return None


def seconds(watch: ExitWatch, name: str, began: int) -> float | None:
    """From ``began`` until ``name`` was seen; None if it was not."""
    at = watch.at.get(name)
    return None if at is None else round((at - began) * NS, 6)
