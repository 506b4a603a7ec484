"""The processes that one cycle made: found below this process, signalled by pidfd, reaped here.

This process is a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)): a daemon, and a helper whose QEMU is gone,
become its children, so that their exit statuses come here too and nothing is lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time

import psutil

POLL_S = 0.002


class ProcessFamily:
    """``roles`` is what each process is (qemu, parent, daemon, helper), as far as it has been seen.

    ``others`` is what a process is that has no name of its own yet: a helper names itself ``cleanup/PID``.
    """

    def __init__(self, root: int, role: str, others: str) -> None:
        self.root = root
        self.others = others
        self.roles = {root: role}
        self.statuses: dict[int, int] = {}

    def living(self) -> list[int]:
        """Every process below us that has not ended."""
        return [pid for pid, ended in self.members().items() if not ended]

    def members(self) -> dict[int, bool]:
        """Every process below us, and whether it is a zombie. Ours are reaped; what each is, is noted."""
        self.reap()
        members = {}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if self.roles.get(process.pid, "daemon") == "daemon":
                    named = process.name().startswith("cleanup/")
                    self.roles[process.pid] = "helper" if named else self.others
                members[process.pid] = process.status() == psutil.STATUS_ZOMBIE
        return members

    def reap(self) -> None:
        """Take the statuses of all children that have ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, raw = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self.statuses[pid] = os.waitstatus_to_exitcode(raw)

    def ended(self, pid: int) -> bool:
        """Whether ``pid`` is gone, or a zombie."""
        self.reap()
        if pid in self.statuses:
            return True
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True

    def zombies_of(self, parent: int) -> list[int]:
        """Children of ``parent`` that it has not reaped."""
        with contextlib.suppress(psutil.Error):
            return [
                child.pid
                for child in psutil.Process(parent).children()
                if _status(child) == psutil.STATUS_ZOMBIE
            ]
        return []

    def send(self, pid: int, number: int) -> None:
        """Signal ``pid`` if it still is one of ours."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid == self.root or pid in {one.pid for one in psutil.Process().children(recursive=True)}:
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)

    def end(self, limit_s: float = 60.0) -> None:
        """Kill what is left, and reap it."""
        until = time.monotonic() + limit_s
        while (left := self.members()) and time.monotonic() < until:
            for pid, ended in left.items():
                if not ended:
                    self.send(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        self.reap()

    def describe(self, pid: int) -> str:
        """What a process is called, in a few words."""
        try:
            process = psutil.Process(pid)
            name = re.sub(r"^cleanup/\d+", "cleanup/PID", process.name())  # one reason, however many cycles
            return f"{self.roles.get(pid, 'process')} {name} ({process.status()})"
        except psutil.Error:
            return self.roles.get(pid, "process")


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:
        return "gone"
