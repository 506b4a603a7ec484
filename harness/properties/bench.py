"""Start QEMU in an unusual environment, inspect its helper, end QEMU, and time the exit of both.

This process becomes a subreaper (prctl(2)): daemons, and helpers whose QEMU has ended, become its children.
It can therefore read their exit statuses, and end the processes that a check leaves behind.
"""

import asyncio
import contextlib
import os
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
from harness.guest.machine import connect
from harness.guest.memory import hugetlb_mib, resident_mib
from harness.guest.model import Guest, command_line
from harness.guest.spawn import Child, spawn, wait_pidfd
from harness.guest.spelling import respell
from harness.properties.bpf import Insn
from harness.properties.model import Task
from harness.properties.outcome import Cancelled, Failed
from harness.teardown.cpu import adopt_orphans
from harness.teardown.watch import find_sharers, open_sharers

PRELUDE = Path(__file__).with_name("prelude.py")
HELPER_LIMIT_S = 3.0
"""Seconds that a helper may outlive QEMU. Upstream's helper polls once a second."""
NS = 1e-9


class Surrounding(msgspec.Struct, frozen=True, kw_only=True):
    """The environment that harness.properties.prelude sets up before QEMU is executed. Default: unchanged."""

    environment: dict[str, str] = {}
    folder: str = ""
    core: bool = False
    cgroup: str = ""
    copy_of: int = -1
    copies: int = 0
    """``copy_of`` is duplicated so often before ``files`` is set, the last time to the highest number."""
    no_proc: bool = False
    uid: int = 0
    processes: int = 0
    """RLIMIT_NPROC; ``files`` is RLIMIT_NOFILE. 0: unchanged."""
    files: int = 0
    filter: tuple[Insn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of QEMU and its helpers. Times are seconds from the trigger. ``statuses`` are the known exit
    statuses of the helpers, negative for a signal."""

    exit_s: float
    reclaim_s: float | None
    helpers: int
    statuses: tuple[int, ...]
    status: int | None
    outlived: int = 0
    """Number of helpers that ran after QEMU's exit."""
    dumped: bool = False


@dataclass(frozen=True, kw_only=True)
class Running:
    """A QEMU whose monitor has answered. With -daemonize, ``child`` is another process: the one started."""

    pid: int
    pidfd: int
    child: Child
    qmp: QMPClient
    loop: asyncio.Runner
    monitor: socket.socket

    def execute(self, command: str, **arguments: object) -> Any:
        """Execute a QMP command and return its result. Raises GuestError."""

        async def ask() -> object:
            given = {name.replace("_", "-"): value for name, value in arguments.items()}
            return await asyncio.wait_for(self.qmp.execute(command, given), 20)

        try:
            return self.loop.run(ask())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise GuestError(f"no answer to QMP command {command}: {error!r}", "read QEMU's log") from error

    def send(self, command: str) -> None:
        """Send a QMP command without the client, and do not wait. No other command may follow."""
        self.monitor.sendall(b'{"execute": "%s"}\r\n' % command.encode())

    def signal(self, number: int) -> None:
        """Send a signal to QEMU only."""
        signal.pidfd_send_signal(self.pidfd, number)

    def signal_group(self, number: int) -> None:
        """Send a signal to QEMU's process group. QEMU leads it, because it was started in a new session."""
        os.killpg(self.child.pid, number)

    def helpers(self) -> tuple[int, ...]:
        """Return the other processes that share QEMU's address space."""
        return find_sharers(self.pid)

    def helper(self) -> int:
        """Return the only helper. Raises Failed if there is none or more than one."""
        helpers = self.helpers()
        if len(helpers) != 1:
            raise Failed(f"{len(helpers) or 'no'} processes share QEMU's memory")
        return helpers[0]

    @contextlib.contextmanager
    def helper_pidfd(self) -> Iterator[int]:
        """Open a pidfd of the only helper while the block runs. Raises Failed as ``helper``."""
        pidfd = os.pidfd_open(self.helper())
        try:
            yield pidfd
        finally:
            os.close(pidfd)

    def end_by(self, number: int, *, helper_limit_s: float = HELPER_LIMIT_S) -> Ended:
        """Send a signal to QEMU only, and wait for its end (see end)."""
        return self.end(lambda: self.signal(number), wanted=status_of(number), helper_limit_s=helper_limit_s)

    def end(
        self, fire: Callable[[], None], *, wanted: int = 0, helper_limit_s: float = HELPER_LIMIT_S
    ) -> Ended:
        """Fire the trigger, wait for QEMU, then for its helpers. Helpers that exceed the limit are killed.

        Raises Failed if QEMU had ended before, does not end within 60 s, or ends with another status than
        ``wanted`` (negative for a signal).
        """
        with contextlib.ExitStack() as stack:
            helpers = stack.enter_context(open_sharers(self.pid))
            if wait_pidfd(self.pidfd, 0):
                raise Failed("QEMU had ended before the trigger")
            began = time.monotonic_ns()
            fire()
            if not wait_pidfd(self.pidfd, 60):
                raise Failed("QEMU did not end within 60 s")
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
            raise Failed(f"QEMU ended with {_describe(own)}, not with {_describe(wanted)}")
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
        """Return QEMU's output."""
        return self.child.log.read_text(encoding="utf-8", errors="replace")

    def warnings(self) -> int:
        """Return the number of QEMU's warnings."""
        return sum("warning:" in line for line in self.log().splitlines())


def status_of(number: int) -> int:
    """Return QEMU's exit status for a signal: 0 if it handles the signal (os-posix.c), else -``number``."""
    return 0 if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) else -number


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _info(pidfd: int, flags: int = os.WNOWAIT) -> Any:
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | flags)
    return None


def _status(pidfd: int, *, reap: bool = True) -> int | None:
    """Return the exit status of an ended child, negative for a signal; None if it is not a child or runs."""
    info = _info(pidfd, 0 if reap else os.WNOWAIT)
    if info is None:
        return None
    return int(info.si_status if info.si_code == os.CLD_EXITED else -info.si_status)


class Bench:
    """Starts the QEMU processes of one task. ``work`` is for files of the checks, ``logs`` for output."""

    def __init__(self, task: Task, *, work: Path, logs: Path) -> None:
        self.task = task
        self.work = work
        self.logs = logs
        self.words = task.binary.options
        self.references: dict[int, float] = {}
        """Seconds of a synchronous teardown by MiB of memory, see harness.properties.tails."""
        self._count = 0
        adopt_orphans()
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
        backend: str = "ram",
        timeout_s: float | None = None,
    ) -> Iterator[Running]:
        """Run QEMU with stopped vCPUs and ``memory_mib`` MiB of populated memory until the block ends.

        ``on``: with the arguments that enable the feature. ``prefix`` is the command of a program that starts
        QEMU as its child. With ``pidfile``, ``extra`` contains -daemonize, and the file contains QEMU's pid.
        ``backend`` is that of harness.guest. ``timeout_s`` replaces the time limit of the task.
        Raises GuestError if QEMU does not become ready.
        """
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.callback(self.sweep)
            stack.enter_context(ours)
            raw = stack.enter_context(ours.dup())
            with theirs:
                fd = theirs.fileno()
                words = self._command(binary, on, extra, memory_mib=memory_mib, backend=backend, fd=fd)
                child = stack.enter_context(self._spawn((*prefix, *words), surrounding, (*pass_fds, fd)))
            pid = self._daemon(child, pidfile) if pidfile else child.pid
            client, loop = stack.enter_context(connect(ours, child, timeout_s or self.task.timeout_s))
            if prefix:
                pid = self._child_of(pid)
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            if resident_mib(pid) + hugetlb_mib(pid) < memory_mib:
                raise GuestError(f"less than {memory_mib} MiB are resident", "free memory, turn swap off")
            yield Running(pid=pid, pidfd=pidfd, child=child, qmp=client, loop=loop, monitor=raw)

    @contextlib.contextmanager
    def run(
        self,
        *words: str,
        surrounding: Surrounding | None = None,
        on: bool = True,
        pass_fds: tuple[int, ...] = (),
    ) -> Iterator[Child]:
        """Run the binary with only these arguments and those of the feature, until the block ends."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.sweep)
            path = self.task.binary.path
            argv = (path, *respell(words, Path(path)), *(self.words if on else ()))
            yield stack.enter_context(self._spawn(argv, surrounding, pass_fds))

    def _command(
        self,
        binary: Subject | None,
        on: bool,
        extra: tuple[str, ...],
        *,
        memory_mib: int,
        backend: str,
        fd: int,
    ) -> tuple[str, ...]:
        chosen = binary or self.task.binary
        confined = respell(extra, Path(chosen.path))
        guest = Guest(
            binary=Path(chosen.path),
            target=chosen.target,
            memory_mib=memory_mib,
            backend=backend,
            # A small buffer for translated code, because mem-lock=on touches all of it (default 1 GiB).
            accel="tcg,tb-size=32",
            firmware=tuple(Path(folder) for folder in self.task.firmware),
            options=("-machine", "dump-guest-core=off", *(chosen.options if on else ()), *confined),
        )
        return command_line(guest, qmp_fd=fd, threads=len(os.sched_getaffinity(0)))

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
            raise GuestError("QEMU did not become a daemon", "read the log", log=child.log)
        if child.process.wait() != 0:
            lines = child.last_lines()
            message = f": {lines[-1]}" if lines else ""
            raise GuestError(
                f"QEMU ended with {child.process.returncode}{message}", "read the log", log=child.log
            )
        return int(pidfile.read_text(encoding="ascii"))

    def _child_of(self, pid: int) -> int:
        children = psutil.Process(pid).children()
        if not children:
            raise GuestError("the program that starts QEMU has no child process", "read the log")
        return children[0].pid

    def sweep(self) -> None:
        """End and reap all descendants of this process that were started after the bench."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            remaining = [
                process
                for process in psutil.Process().children(recursive=True)
                if process.pid not in self._spared
            ]
            if not remaining:
                return
            for process in remaining:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for process in remaining:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
            time.sleep(0.002)

    def require_option(self) -> None:
        """Raise Cancelled for a binary that runs without the feature."""
        if not self.words:
            able = self.task.binary.able
            raise Cancelled("it runs without its option" if able else "the binary lacks the option")


def soon(holds: Callable[[], bool], timeout_s: float = 2.0) -> bool:
    """Return whether ``holds`` becomes true within ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
