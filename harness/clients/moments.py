"""Record when QEMU and its helpers end, by their pidfds, and when other descriptors become ready.

The client started QEMU, so the harness is not its parent and cannot wait for it. A pidfd becomes readable
when the parent's wait can return (pidfd_open(2)). All times are CLOCK_MONOTONIC in nanoseconds.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from harness.errors import GuestError
from harness.guest.memory import resident_mib
from harness.guest.spawn import wait_pidfd
from harness.teardown.watch import open_sharers

NS = 1e-9
Source = Callable[[], bool]
"""Called when its descriptor is ready; returns whether the expected event has happened."""


class ExitWatch:
    """Records times in ``at``: ``exit`` of QEMU, ``back`` (exit of the last process with its memory), and one
    for each source. ``stuck`` is the number of processes killed at the time limit."""

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
        """Also wait until ``descriptor`` has ``events`` (poll(2)) and ``source`` returns true."""
        self._sources[descriptor] = (name, events, source)

    def start(self, limit_s: float) -> None:
        """Start a thread that records until all events have happened, or until ``limit_s`` is over."""
        self._thread = threading.Thread(target=self._run, args=(limit_s,), daemon=True, name="moments")
        self._thread.start()

    def wait(self, name: str, limit_s: float) -> int | None:
        """Wait for the event ``name`` and return its time; None after ``limit_s`` seconds."""
        deadline = time.monotonic() + limit_s
        while name not in self.at and time.monotonic() < deadline:
            time.sleep(0.0005)
        return self.at.get(name)

    def finish(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End the thread, even if events are missing."""
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
                    return  # killed, but stuck in the kernel; harness.guard will reap it
                self.stuck = len(living)
                for descriptor in living:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                waiting.clear()
                deadline = time.monotonic() + 60


@contextlib.contextmanager
def watching(pid: int) -> Iterator[ExitWatch]:
    """Watch QEMU ``pid`` and the processes that share its memory, until the block ends.

    Raises GuestError if QEMU has ended.
    """
    with contextlib.ExitStack() as stack:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise GuestError("QEMU had ended before the trigger", "read its log") from error
        stack.callback(os.close, pidfd)
        sharers = stack.enter_context(open_sharers(pid))
        if wait_pidfd(pidfd, 0):
            raise GuestError("QEMU had ended before the trigger", "read its log")
        watch = ExitWatch(pid, pidfd, sharers)
        stack.callback(watch.stop)
        yield watch


def find_qemu(root: int, binary: Path) -> int:
    """Return the process at or below ``root`` that runs ``binary`` and whose parent does not.

    Helpers are excluded, because their parent is QEMU. Raises GuestError if there is not exactly one.
    """
    wanted = _identity(binary)
    running = {}
    for process in _family(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            if _identity(Path(f"/proc/{process.pid}/exe")) == wanted:
                running[process.pid] = process.ppid()
    pids = [pid for pid, parent in running.items() if parent not in running]
    if len(pids) != 1:
        raise GuestError(f"{len(pids)} processes run {binary.name}, expected 1", "read the log")
    return pids[0]


def _family(root: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(root)
        return [top, *top.children(recursive=True)]
    return []


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode. A path may be a different file in another mount namespace."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def watched(watch: ExitWatch, began: int) -> dict[str, Any]:
    """Return the fields of a row about the end of QEMU and its helpers, from ``began`` on."""
    return {
        "helpers": len(watch.sharers),
        "exit_s": seconds(watch, "exit", began),
        "back_s": None if watch.stuck else seconds(watch, "back", began),
    }


def stuck_words(watch: ExitWatch) -> str:
    """Return the failure of processes that did not end; empty if all did."""
    if not watch.stuck:
        return ""
    return f"{watch.stuck} processes with the guest's memory were killed at the time limit"


def check_populated(pid: int, memory_mib: int, what: str, log: Path | None = None) -> None:
    """Raise GuestError if less than ``memory_mib`` MiB of QEMU, of a ``what``, are resident."""
    held = resident_mib(pid)
    if held < memory_mib:
        raise GuestError(
            f"only {held} of {memory_mib} MiB are resident: {what} not populated",
            "free memory, turn swap off, and run again",
            log=log,
        )


def seconds(watch: ExitWatch, name: str, began: int) -> float | None:
    """Return the seconds from ``began`` until the event ``name``; None if it did not happen."""
    at = watch.at.get(name)
    return None if at is None else round((at - began) * NS, 6)
