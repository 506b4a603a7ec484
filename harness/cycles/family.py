"""The processes of one cycle: find them below this process, signal them by pidfd, and reap them.

This process is a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)): daemons, and helpers whose QEMU has ended,
become its children. It therefore receives all exit statuses.
"""

import contextlib
import os
import re
import signal
import time

import psutil

POLL_S = 0.002


class ProcessFamily:
    """``roles`` contains the known role of each process: qemu, parent, daemon or helper.

    ``others`` is the role of a process that has not renamed itself. A helper is named ``cleanup/PID``.
    """

    def __init__(self, root: int, role: str, others: str) -> None:
        self.root = root
        self.others = others
        self.roles = {root: role}
        self.statuses: dict[int, int] = {}

    def living(self) -> list[int]:
        """Return all descendants that have not ended."""
        return [pid for pid, ended in self.members().items() if not ended]

    def members(self) -> dict[int, bool]:
        """Return all descendants, with true for zombies. Reap our own children, and record the roles."""
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
        """Reap all ended children, and record their statuses."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, raw = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self.statuses[pid] = os.waitstatus_to_exitcode(raw)

    def ended(self, pid: int) -> bool:
        """Return whether ``pid`` has ended, also if it is a zombie."""
        self.reap()
        if pid in self.statuses:
            return True
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True

    def send(self, pid: int, number: int) -> None:
        """Signal ``pid`` if it still is a descendant."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid == self.root or pid in {one.pid for one in psutil.Process().children(recursive=True)}:
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)

    def end(self, limit_s: float = 60.0) -> None:
        """Kill and reap the remaining processes."""
        until = time.monotonic() + limit_s
        while (remaining := self.members()) and time.monotonic() < until:
            for pid, ended in remaining.items():
                if not ended:
                    self.send(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        self.reap()

    def describe(self, pid: int) -> str:
        """Describe a process by role, name and state."""
        try:
            process = psutil.Process(pid)
            name = re.sub(r"^cleanup/\d+", "cleanup/PID", process.name())  # the same text in all cycles
            return f"{self.roles.get(pid, 'process')} {name} ({process.status()})"
        except psutil.Error:
            return self.roles.get(pid, "process")


def zombies_of(parent: int) -> dict[int, str]:
    """Return the children of ``parent`` that it has not reaped, with their names."""
    found: dict[int, str] = {}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(parent).children():
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_ZOMBIE:
                    found[child.pid] = child.name()
    return found
