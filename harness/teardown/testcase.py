"""The base class of every avocado test of the harness. Only processes of avocado import this module.

A test ends when the process that drives the run ends, for any reason. QEMU dies with the thread that started
it (PR_SET_PDEATHSIG), so a test only has to end itself. It also ends its parent, avocado's runner, which
would wait forever for the test's last message.
"""

import contextlib
import os
import select
import signal
import threading
from typing import TypeVar

import msgspec
from avocado import Test

from harness.teardown.cpu import adopt_orphans

Given = TypeVar("Given")


class HarnessTest(Test):  # type: ignore[misc]
    """A test that gets the ``task`` of its harness.job.JobItem, and writes its result to the whiteboard."""

    def setUp(self) -> None:
        exit_with(int(self.params.get("driver")))
        adopt_orphans()

    def task(self, kind: type[Given]) -> Given:
        """Return the task."""
        return msgspec.json.decode(self.params.get("task"), type=kind)

    def write(self, result: object) -> None:
        """Write the result, for harness.job.run_plan."""
        self.whiteboard = msgspec.json.encode(result).decode()


def exit_with(driver: int) -> None:
    """Watch the process ``driver`` from a thread. When it ends, kill our parent and this process at once."""
    parent = os.getppid()
    try:
        pidfd = os.pidfd_open(driver)
    except ProcessLookupError:
        _end(parent)
        return
    threading.Thread(target=_watch, args=(pidfd, parent), daemon=True, name="driver-watch").start()


def _watch(pidfd: int, parent: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    _end(parent)


def _end(parent: int) -> None:
    if parent > 1 and parent == os.getppid():
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
