"""Clients without a daemon. Each starts QEMU, ends it, and is notified in its own way."""

import contextlib
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.clients.domains import held_mib
from harness.clients.groups import Group, unified_group
from harness.clients.model import CLIENTS, ClientRow, Trial, row_of
from harness.clients.moments import (
    ExitWatch,
    check_populated,
    find_qemu,
    seconds,
    stuck_words,
    watched,
    watching,
)
from harness.errors import GuestError
from harness.guest.group import make_group
from harness.guest.machine import connect
from harness.guest.model import Guest, command_line
from harness.guest.shortage import end_in_shortage
from harness.guest.spawn import Child, spawn, wait_pidfd
from harness.process import run
from harness.teardown.meter import Meter, choose_meter
from harness.teardown.watch import find_sharers

PREFIX, SERVICE = "qemu-harness-clients-", "qemu-harness-service-"
STOPPED_LIMIT_S, END_LIMIT_S = 5.0, 60.0

# 148 is 128 + SIGTSTP: the status of wait while the job is stopped (bash(1), "JOB CONTROL"). This is a
# function, because bash leaves a loop if a job in it is stopped.
JOB = 'set -m; again() { wait %1; s=$?; if [ $s = 148 ]; then sleep 0.02; again; fi; }; "$@" & again; exit $s'
PIPELINE = 'set -o pipefail; "$@" | cat'
_BWRAP = ("bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--die-with-parent")
PREFIXES: Mapping[str, tuple[str, ...]] = {
    "shell": ("bash", "-c", JOB, "bash"),
    "pipeline": ("bash", "-c", PIPELINE, "bash"),
    "timeout": ("timeout", "-k", "30", "86400"),
    "bwrap": _BWRAP,
    "bwrap pid 1": (*_BWRAP, "--as-pid-1"),
    "bwrap kill": _BWRAP,
}
"""Commands that start QEMU, by client."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A QEMU that a client has started. ``child`` is the client's process; without a prefix it is QEMU."""

    child: Child
    pid: int
    monitor: socket.socket
    group: Group | None
    meter: Meter


class NotHereError(Exception):
    """The client cannot run on this machine. The text is the reason."""


def check_namespace() -> str:
    """Return the reason if bubblewrap cannot create a PID namespace, as in some containers; else ""."""
    program = shutil.which("bwrap")
    if program is None:
        return "bwrap is not installed"
    ended = run([program, *_BWRAP[1:], "true"], check=False, timeout_s=60)
    if ended.returncode == 0:
        return ""
    lines = ended.output.strip().splitlines()
    return f"bubblewrap does not work: {lines[-1] if lines else f'status {ended.returncode}'}"


def try_client(trial: Trial, *, firmware: Sequence[Path], pages: str, log: Path) -> ClientRow:
    """Return the row of the only client of ``trial``. Raises GuestError, and the errors of spawn."""
    (client,) = trial.clients
    try:
        with make_group(PREFIX) as joined, _served(trial, client, firmware, pages, log, joined) as served:
            return _end(trial, client, served)
    except NotHereError as problem:
        return row_of(trial, client, outcome="cancelled", reason=str(problem))


@contextlib.contextmanager
def _served(  # noqa: PLR0917 - one step of try_client
    trial: Trial, client: str, firmware: Sequence[Path], pages: str, log: Path, joined: Path | None
) -> Iterator[Served]:
    """Start a populated QEMU in the way of ``client``. End it with the block."""
    prefix = list(PREFIXES.get(client, ()))
    if prefix:
        program = shutil.which(prefix[0])
        if program is None:
            raise NotHereError(f"{prefix[0]} is not installed")
        prefix[0] = program
    guest = Guest(
        binary=Path(trial.binary.path),
        target=trial.binary.target,
        memory_mib=trial.memory_mib,
        backend=trial.backend,
        accel=trial.accel,
        firmware=tuple(firmware),
        options=trial.binary.options,
    )
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        stack.enter_context(theirs)
        monitor = stack.enter_context(ours.dup())
        group = None
        if CLIENTS[client].group == "cgroup":
            group = stack.enter_context(unified_group(SERVICE))
            if group is None:
                raise NotHereError("cannot create a cgroup of version 2")
        words = command_line(guest, qmp_fd=theirs.fileno(), threads=len(os.sched_getaffinity(0)))
        child = stack.enter_context(
            spawn([*prefix, *words], pages=pages, pass_fds=(theirs.fileno(),), log=log, group=joined)
        )
        theirs.close()
        stack.callback(_end_all, child)
        if group is not None:
            group.add(child.pid)  # while the launcher starts; verified below
        with end_in_shortage(child):
            stack.enter_context(connect(ours, child, trial.timeout_s))
        pid = find_qemu(child.pid, guest.binary)
        check_populated(pid, trial.memory_mib, "guest", log)
        if group is not None and not {pid, *find_sharers(pid)} <= set(group.members()):
            raise GuestError("a process of QEMU is not in its cgroup", "run again", log=log)
        has_memory = group is not None and (group.folder / "memory.current").is_file()
        meter = choose_meter(group.folder if group is not None and has_memory else joined, trial.backend)
        yield Served(child=child, pid=pid, monitor=monitor, group=group, meter=meter)


def _end_all(child: Child) -> None:
    """End the processes that a shell or timeout has started. They do not end with it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(child.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _end(trial: Trial, client: str, served: Served) -> ClientRow:
    """End QEMU in the way of the client, and record when the client is notified."""
    with contextlib.ExitStack() as stack:
        fence = _open_fence(served.pid)
        stack.callback(os.close, fence)
        watch = stack.enter_context(watching(served.pid))
        _listen(client, served, watch, fence)
        if client == "shell":
            _suspend(served.pid)
        fire = _trigger(client, served, watch)
        free = served.meter.free_mib()
        watch.start(trial.timeout_s)
        began = time.monotonic_ns()
        fire()
        watch.wait("notified", trial.timeout_s)
        held = held_mib(served.meter, trial, free)
        watch.finish()
        moments = {"shutdown_s": seconds(watch, "shutdown", began)} if client == "qmp quit" else {}
        notified = seconds(watch, "notified", began)
        reason = stuck_words(watch)
        if not reason and notified is None:
            reason = f"the client was not notified within {trial.timeout_s:g} s: {CLIENTS[client].notified}"
        return row_of(
            trial,
            client,
            told_s=notified,
            held_mib=held,
            **watched(watch, began),
            moments={name: value for name, value in moments.items() if value is not None},
            outcome="failed" if reason else "ok",
            reason=reason,
        )


def _open_fence(pid: int) -> int:
    """Open the pidfd that becomes readable when memory and I/O are over, as QEMU's manual describes."""
    for child in psutil.Process(pid).children():
        if child.name() == f"cleanup/{pid}"[:15]:
            return os.pidfd_open(child.pid)
    return os.pidfd_open(pid)


def _listen(client: str, served: Served, watch: ExitWatch, fence: int) -> None:
    """Watch the event that notifies the client."""
    if client == "fence":
        watch.add("notified", fence, select.POLLIN, lambda: True)
    elif CLIENTS[client].group == "qmp":
        watch.add("notified", served.monitor.fileno(), select.POLLIN, _Monitor(served.monitor, watch))
    elif served.group is not None:
        watch.add("notified", served.group.events, select.POLLPRI, served.group.is_empty)
    else:
        watch.add("notified", served.child.pidfd, select.POLLIN, lambda: True)


class _Monitor:
    """Reads the monitor to its end, and records the time of the event SHUTDOWN."""

    def __init__(self, monitor: socket.socket, watch: ExitWatch) -> None:
        self._monitor = monitor
        self._watch = watch
        self._text = b""

    def __call__(self) -> bool:
        try:
            data = self._monitor.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True  # connection reset: QEMU had not read all input
        self._text += data
        if b'"SHUTDOWN"' in self._text:
            self._watch.at.setdefault("shutdown", time.monotonic_ns())
        return not data


def _trigger(client: str, served: Served, watch: ExitWatch) -> Callable[[], None]:
    """Return the function that ends QEMU."""
    group = served.group
    if client == "qmp quit":
        return lambda: served.monitor.sendall(b'{"execute": "quit"}\r\n')
    if client in {"qmp kill", "fence"}:
        return lambda: signal.pidfd_send_signal(watch.pidfd, signal.SIGKILL)
    if client == "cgroup all" and group is not None:
        return group.terminate
    if client == "cgroup mixed" and group is not None:
        return lambda: _mixed(watch.pidfd, group)
    if client == "cgroup kill" and group is not None:
        return group.kill
    if client == "shell":
        leader = os.getpgid(served.pid)
        return lambda: os.killpg(leader, signal.SIGTERM)  # equivalent to kill %1
    if client == "timeout":
        # timeout uses SIGALRM as its timer (timer_settime(2)), so the signal makes it expire.
        return lambda: signal.pidfd_send_signal(served.child.pidfd, signal.SIGALRM)
    if client == "bwrap kill":
        return lambda: signal.pidfd_send_signal(served.child.pidfd, signal.SIGKILL)
    return lambda: signal.pidfd_send_signal(watch.pidfd, signal.SIGTERM)


def _mixed(pidfd: int, group: Group) -> None:
    """End QEMU, then kill the remaining processes, as KillMode=mixed of systemd.kill(5)."""
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    if wait_pidfd(pidfd, END_LIMIT_S):
        group.kill()


def _suspend(pid: int) -> None:
    """Stop and continue the job, like Ctrl-Z and fg. Raises GuestError if that fails."""
    leader = os.getpgid(pid)
    if leader != pid:
        raise GuestError("the shell's job is not a process group", "read the log")
    os.killpg(leader, signal.SIGTSTP)
    deadline = time.monotonic() + STOPPED_LIMIT_S
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        if time.monotonic() > deadline:
            raise GuestError("the shell's job did not stop", "read the log")
        time.sleep(0.001)
    time.sleep(0.1)  # until the shell has noticed it and waits again
    os.killpg(leader, signal.SIGCONT)
    time.sleep(0.1)
