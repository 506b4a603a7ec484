"""A running guest: start it, wait until its memory is there, talk QMP to it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from harness.errors import GuestError
from harness.guest.memory import huge_pages_off, resident_mib
from harness.guest.model import Guest, command_line
from harness.guest.spawn import Child, spawn

# What it has to say is in our errors; without a handler Python would print it (logging, "lastResort").
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A guest that is ready. It then held ``populated_mib`` MiB and had taken ``started_s`` seconds."""

    guest: Guest
    child: Child
    populated_mib: int
    started_s: float
    _qmp: QMPClient
    _loop: asyncio.Runner
    _raw: socket.socket

    @property
    def pid(self) -> int:
        return self.child.pid

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 30) -> Any:
        """The answer to a QMP command. Raises GuestError: refused, no answer in time, or QEMU has ended."""

        async def ask() -> object:
            return await asyncio.wait_for(self._qmp.execute(command, arguments), timeout_s)

        try:
            return self._loop.run(ask())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise GuestError(
                f"QMP command {command} got no answer: {error or type(error).__name__}",
                "see QEMU's last lines above",
                details=self.child.last_lines(),
                log=self.child.log,
            ) from error

    def send_quit(self) -> None:
        """Send the QMP command ``quit`` and return at once; its answer is not waited for.

        The bytes go straight into the socket, so that whoever times what follows is not slowed down by an
        event loop. No other command may be sent afterwards.
        """
        self._raw.sendall(b'{"execute": "quit"}\r\n')


@contextlib.contextmanager
def start(guest: Guest, *, log: Path, timeout_s: float) -> Iterator[Machine]:
    """A guest that is ready for the life of the block; QEMU never outlives it.

    Ready means: QMP negotiated, vCPUs stopped, and all of the guest's memory resident. Raises GuestError
    with QEMU's last lines when it ends, is silent for ``timeout_s`` seconds, or holds too little memory.
    """
    threads = len(os.sched_getaffinity(0))
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        raw = stack.enter_context(ours.dup())
        began = time.monotonic()
        with theirs:
            words = command_line(guest, qmp_fd=theirs.fileno(), threads=threads)
            child = stack.enter_context(spawn(words, pages=guest.pages, pass_fds=(theirs.fileno(),), log=log))
        qmp, loop = stack.enter_context(_connect(ours, child, timeout_s))
        machine = Machine(
            guest=guest,
            child=child,
            populated_mib=resident_mib(child.pid),
            started_s=time.monotonic() - began,
            _qmp=qmp,
            _loop=loop,
            _raw=raw,
        )
        _check_ready(machine)
        yield machine


@contextlib.contextmanager
def _connect(
    ours: socket.socket, child: Child, timeout_s: float
) -> Iterator[tuple[QMPClient, asyncio.Runner]]:
    client = QMPClient("guest")
    with asyncio.Runner() as loop:

        async def connect() -> None:
            await asyncio.wait_for(client.connect(ours), timeout_s)

        async def disconnect() -> None:
            # It raises what ended the connection (QEMU's exit, as a rule), which is no news here.
            with contextlib.suppress(QMPError, OSError, EOFError, TimeoutError):
                await asyncio.wait_for(client.disconnect(), 5)

        try:
            loop.run(connect())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise _start_failure(child, error, timeout_s) from error
        try:
            yield client, loop
        finally:
            loop.run(disconnect())


def _start_failure(child: Child, error: BaseException, timeout_s: float) -> GuestError:
    # A connection that broke means that QEMU is ending; a limit that ran out does not.
    if child.has_ended(timeout_s=0.0 if isinstance(error, TimeoutError) else 1.0):
        lines = child.last_lines()
        child.process.wait()
        status = child.process.returncode
        how = f"status {status}" if status >= 0 else f"signal {-status}"
        cause = f"QEMU ended while it started, with {how}" + (f": {lines[-1]}" if lines else "")
    elif isinstance(error, TimeoutError):
        cause = f"QEMU was not ready after {timeout_s:g} s"
    else:
        cause = f"QEMU's monitor cannot be used: {error}"
    return GuestError(
        cause,
        "read QEMU's lines above; raise -Dtimeout= for a slow machine",
        details=child.last_lines(),
        log=child.log,
    )


def _check_ready(machine: Machine) -> None:
    guest, log = machine.guest, machine.child.log
    status = machine.execute("query-status")["status"]
    if status not in ("prelaunch", "paused"):
        raise GuestError(f"the guest is {status}, not paused", "report this with the log", log=log)
    if machine.populated_mib < guest.memory_mib:
        raise GuestError(
            f"only {machine.populated_mib} of {guest.memory_mib} MiB are resident: guest not populated",
            "make memory free, turn swap off, and run again",
            details=machine.child.last_lines(),
            log=log,
        )
    if guest.pages == "4k" and huge_pages_off(machine.pid) is False:
        raise GuestError(
            "transparent huge pages are still on for QEMU", "use -Dpages=thp on this kernel", log=log
        )
