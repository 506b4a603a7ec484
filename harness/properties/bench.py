"""Start a QEMU in an unusual surrounding, watch its helper, end it, and time both ends.

This process becomes a subreaper (prctl(2)): a daemon, and a helper whose QEMU is gone, become its children,
so that their exit statuses are seen here, and what a check has left is found and ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
from qemu.qmp import QMPClient, QMPError

from harness.bench import Subject
from harness.errors import GuestError
from harness.guest import Guest, command_line, connect
from harness.guest.memory import resident_mib
from harness.guest.spawn import Child, spawn, wait_pidfd
from harness.properties.bpf import Insn
from harness.properties.model import Task
from harness.properties.outcome import Cannot, Miss
from harness.teardown.watch import find_sharers, open_sharers

PRELUDE = Path(__file__).with_name("prelude.py")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
HELPER_LIMIT_S = 3.0
"""How long a helper may outlive QEMU before that is told, in seconds: upstream's polls once a second."""
NS = 1e-9


class Surrounding(msgspec.Struct, frozen=True, kw_only=True):
    """What harness.properties.prelude arranges before QEMU is executed. The default is nothing."""

    environment: dict[str, str] = {}
    folder: str = ""
    core: bool = False
    cgroup: str = ""
    copy_of: int = -1
    copies_at: tuple[int, ...] = ()
    """``copy_of`` is duplicated to these descriptors, before ``files`` is set."""
    no_proc: bool = False
    uid: int = 0
    processes: int = 0
    """RLIMIT_NPROC, and ``files`` RLIMIT_NOFILE; 0: as it is."""
    files: int = 0
    filter: tuple[Insn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How QEMU and its helpers ended. Times are seconds from the trigger; ``statuses`` are the helpers' exit
    statuses (minus the signal that ended one), as far as they could be seen."""

    exit_s: float
    reclaim_s: float | None
    helpers: int
    statuses: tuple[int, ...]
    status: int | None
    outlived: int = 0
    """Helpers that were still there when QEMU was gone."""
    dumped: bool = False


@dataclass(frozen=True, kw_only=True)
class Running:
    """A QEMU whose monitor has answered. ``child`` is what was started: another process with -daemonize."""

    pid: int
    pidfd: int
    child: Child
    qmp: QMPClient
    loop: asyncio.Runner
    monitor: socket.socket

    def execute(self, command: str) -> Any:
        """The answer to a QMP command. Raises GuestError."""

        async def ask() -> object:
            return await asyncio.wait_for(self.qmp.execute(command), 20)

        try:
            return self.loop.run(ask())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise GuestError(f"QMP command {command} got no answer: {error!r}", "see QEMU's log") from error

    def send(self, command: str) -> None:
        """Send a QMP command past the client and wait for nothing; no other may follow."""
        self.monitor.sendall(b'{"execute": "%s"}\r\n' % command.encode())

    def signal(self, number: int) -> None:
        """Send a signal to QEMU alone."""
        signal.pidfd_send_signal(self.pidfd, number)

    def signal_group(self, number: int) -> None:
        """Send a signal to QEMU's process group, which is its own: it was started in a new session."""
        os.killpg(self.child.pid, number)

    def helpers(self) -> tuple[int, ...]:
        """The other processes that have QEMU's address space."""
        return find_sharers(self.pid)

    def helper(self) -> int:
        """The one helper. Raises Miss when there is none, or more."""
        found = self.helpers()
        if len(found) != 1:
            raise Miss(f"{len(found) or 'no'} processes share QEMU's memory")
        return found[0]

    def end_by(self, number: int, *, helper_limit_s: float = HELPER_LIMIT_S) -> Ended:
        """Send a signal to QEMU alone, and watch it end (see end)."""
        return self.end(lambda: self.signal(number), wanted=status_of(number), helper_limit_s=helper_limit_s)

    def end(
        self, pull: Callable[[], None], *, wanted: int = 0, helper_limit_s: float = HELPER_LIMIT_S
    ) -> Ended:
        """Pull the trigger, wait for QEMU, then for its helpers; those that stay too long are killed.

        Raises Miss when QEMU had ended before, does not end within 60 s, or ends with another status than
        ``wanted`` (minus the number of a signal).
        """
        with contextlib.ExitStack() as stack:
            helpers = stack.enter_context(open_sharers(self.pid))
            if wait_pidfd(self.pidfd, 0):
                raise Miss("QEMU had ended before the trigger")
            began = time.monotonic_ns()
            pull()
            if not wait_pidfd(self.pidfd, 60):
                raise Miss("QEMU did not end within 60 s")
            exited = last = time.monotonic_ns()
            outlived = sum(not wait_pidfd(pidfd, 0) for pidfd in helpers)
            stuck = False
            for pidfd in helpers:
                left = helper_limit_s - (time.monotonic_ns() - exited) * NS
                if wait_pidfd(pidfd, left):
                    last = max(last, time.monotonic_ns())
                else:
                    stuck = True
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    wait_pidfd(pidfd, 60)
            statuses = [status for status in map(_status, helpers) if status is not None]
            own = _status(self.pidfd, reap=False)
            info = _info(self.pidfd)
        if own is not None and own != wanted:
            raise Miss(f"QEMU ended with {_told(own)}, not with {_told(wanted)}")
        return Ended(
            exit_s=(exited - began) * NS,
            reclaim_s=None if stuck else (last - began) * NS,
            helpers=len(helpers),
            statuses=tuple(statuses),
            status=own,
            outlived=outlived,
            dumped=info is not None and info.si_code == os.CLD_DUMPED,
        )

    def log(self) -> str:
        """All that QEMU wrote."""
        return self.child.log.read_text(encoding="utf-8", errors="replace")


def status_of(number: int) -> int:
    """How QEMU ends by a signal: minus its number, or 0 for those that it catches (os-posix.c)."""
    return 0 if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) else -number


def _told(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _info(pidfd: int, flags: int = os.WNOWAIT) -> Any:
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | flags)
    return None


def _status(pidfd: int, *, reap: bool = True) -> int | None:
    """The exit status of an ended child of ours; minus the signal; None: it is not ours, or has no status."""
    info = _info(pidfd, 0 if reap else os.WNOWAIT)
    if info is None:
        return None
    return int(info.si_status if info.si_code == os.CLD_EXITED else -info.si_status)


class Bench:
    """Starts QEMUs of one task. ``work`` is a folder for what checks make, ``logs`` for what QEMU writes."""

    def __init__(self, task: Task, *, work: Path, logs: Path) -> None:
        self.task = task
        self.work = work
        self.logs = logs
        self.words = task.binary.options
        self._count = 0
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._spared = {process.pid for process in psutil.Process().children(recursive=True)}

    @contextlib.contextmanager
    def start(
        self,
        *extra: str,
        memory_mib: int = 64,
        on: bool = True,
        binary: Subject | None = None,
        surrounding: Surrounding | None = None,
        prefix: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
        pidfile: Path | None = None,
    ) -> Iterator[Running]:
        """A QEMU with stopped vCPUs and ``memory_mib`` MiB of populated memory, while the block runs.

        ``on``: with the words that switch the feature on. ``prefix`` are words of a program that starts QEMU
        as its child. With ``pidfile``, ``extra`` holds -daemonize, and QEMU is who the file names.
        Raises GuestError when it does not get ready.
        """
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.callback(self.sweep)
            stack.enter_context(ours)
            raw = stack.enter_context(ours.dup())
            with theirs:
                child = stack.enter_context(
                    self._spawn(
                        (*prefix, *self._command(binary, on, memory_mib, extra, qmp_fd=theirs.fileno())),
                        surrounding,
                        (*pass_fds, theirs.fileno()),
                    )
                )
            pid = self._daemon(child, pidfile) if pidfile else child.pid
            client, loop = stack.enter_context(connect(ours, child, self.task.timeout_s))
            if prefix:
                pid = self._child_of(pid)
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            if resident_mib(pid) < memory_mib:
                raise GuestError(f"fewer than {memory_mib} MiB are resident", "free memory, turn swap off")
            yield Running(pid=pid, pidfd=pidfd, child=child, qmp=client, loop=loop, monitor=raw)

    @contextlib.contextmanager
    def run(
        self,
        *words: str,
        surrounding: Surrounding | None = None,
        on: bool = True,
        pass_fds: tuple[int, ...] = (),
    ) -> Iterator[Child]:
        """The binary with just these words and those of the feature, while the block runs."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.sweep)
            argv = (self.task.binary.path, *words, *(self.words if on else ()))
            yield stack.enter_context(self._spawn(argv, surrounding, pass_fds))

    def _command(
        self, binary: Subject | None, on: bool, memory_mib: int, extra: tuple[str, ...], *, qmp_fd: int
    ) -> tuple[str, ...]:
        chosen = binary or self.task.binary
        guest = Guest(
            binary=Path(chosen.path),
            target=chosen.target,
            memory_mib=memory_mib,
            # A small buffer for translated code: mem-lock=on would touch all of the usual 1 GiB.
            accel="tcg,tb-size=32",
            firmware=tuple(Path(folder) for folder in self.task.firmware),
            options=("-machine", "dump-guest-core=off", *(chosen.options if on else ()), *extra),
        )
        return command_line(guest, qmp_fd=qmp_fd, threads=len(os.sched_getaffinity(0)))

    def _spawn(
        self, words: tuple[str, ...], surrounding: Surrounding | None, pass_fds: tuple[int, ...]
    ) -> contextlib.AbstractContextManager[Child]:
        self._count += 1
        if surrounding is not None:
            settings = msgspec.json.encode(surrounding).decode()
            words = (sys.executable, "-I", "-S", str(PRELUDE), settings, *words)
        return spawn(words, pages="4k", pass_fds=pass_fds, log=self.logs / f"qemu-{self._count:03}.log")

    def _daemon(self, child: Child, pidfile: Path) -> int:
        if not child.has_ended(self.task.timeout_s):
            raise GuestError("QEMU did not become a daemon", "see the log", log=child.log)
        if child.process.wait() != 0:
            lines = child.last_lines()
            said = f": {lines[-1]}" if lines else ""
            raise GuestError(
                f"QEMU ended with {child.process.returncode}{said}", "see the log", log=child.log
            )
        return int(pidfile.read_text(encoding="ascii"))

    def _child_of(self, pid: int) -> int:
        children = psutil.Process(pid).children()
        if not children:
            raise GuestError("the program that starts QEMU has no child", "see the log")
        return children[0].pid

    def sweep(self) -> None:
        """End and reap all that descends from this process and was not there before."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            left = [
                process
                for process in psutil.Process().children(recursive=True)
                if process.pid not in self._spared
            ]
            if not left:
                return
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for process in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
            time.sleep(0.002)

    def require_option(self) -> None:
        """Raise Cannot for a binary without the feature."""
        if not self.words:
            raise Cannot("the binary has no such option")


def asynchronous(start: Callable[[], Ended], *, attempts: int = 5) -> Ended:
    """An end at which QEMU was gone long before its memory: exit within a quarter of reclaim.

    Only that ratio is tried again: a busy machine can hold QEMU up, nothing makes a synchronous end look so.
    Raises Miss.
    """
    while True:
        ended = start()
        attempts -= 1
        if not ended.helpers:
            raise Miss("no process shares QEMU's memory")
        if ended.reclaim_s is None:
            raise Miss(f"helper still lives {HELPER_LIMIT_S:g} s after QEMU ended")
        killed = [status for status in ended.statuses if status < 0]
        if killed:
            raise Miss(f"the helper was ended by {signal.Signals(-killed[0]).name}")
        if ended.exit_s <= 0.25 * ended.reclaim_s:
            return ended
        if not attempts:
            exit_ms, reclaim_ms = ended.exit_s * 1000, ended.reclaim_s * 1000
            raise Miss(f"exit took {exit_ms:.0f} ms of the {reclaim_ms:.0f} ms of the teardown")


def readable(descriptor: int, timeout_s: float) -> bool:
    """Whether ``descriptor`` can be read (or has reached its end) within ``timeout_s`` seconds."""
    return bool(select.select([descriptor], [], [], max(0.0, timeout_s))[0])
