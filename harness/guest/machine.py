"""Start a guest, wait until its memory is populated, send QMP commands, end it."""

import asyncio
import contextlib
import dataclasses
import json
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
from harness.guest.console import Console, open_console
from harness.guest.memory import huge_pages_off, hugetlb_mib, mapped_mib, resident_mib
from harness.guest.model import Guest, command_line
from harness.guest.shortage import end_in_shortage
from harness.guest.spawn import FLOOD_BYTES, Child, spawn

POLL_S = 0.25
"""Seconds between checks of QEMU's output while it starts."""

# The harness's errors contain its messages. Without a handler, Python prints them (logging, "lastResort").
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A guest that became ready after ``started_s`` seconds, with ``populated_mib`` MiB of memory.

    ``console`` is None unless the guest runs Linux.
    """

    guest: Guest
    child: Child
    populated_mib: int
    started_s: float
    console: Console | None
    _qmp: QMPClient
    _loop: asyncio.Runner
    _raw: socket.socket

    @property
    def pid(self) -> int:
        return self.child.pid

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 30) -> Any:
        """Return the answer to a QMP command. Raises GuestError (refused, no answer in time, QEMU ended)."""

        async def ask() -> object:
            return await asyncio.wait_for(self._qmp.execute(command, arguments), timeout_s)

        try:
            return self._loop.run(ask())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise GuestError(
                f"QMP command {command} got no answer: {error or type(error).__name__}",
                "read the last lines of QEMU above",
                details=self.child.last_lines(),
                log=self.child.log,
            ) from error

    def send_quit(self) -> None:
        """Send the QMP command ``quit`` without waiting for an answer.

        The bytes are written directly to the socket, so that no event loop delays a measurement. No other
        command may be sent afterwards.
        """
        self._raw.sendall(b'{"execute": "quit"}\r\n')

    def send_poweroff(self) -> None:
        """Request a poweroff from the guest's Linux without waiting. Raises GuestError without Linux."""
        if self.console is None:
            raise GuestError(
                f"a guest with payload {self.guest.payload} cannot power off", "use -Dpayload=linux"
            )
        self.console.send("poweroff")

    def shutdown_time(self) -> float | None:
        """Return the timestamp of QEMU's event SHUTDOWN if the guest caused it (seconds, time(2)), else None.

        QEMU sends the event when the guest has powered off, before QEMU ends (QEMU QMP reference,
        "SHUTDOWN"). Call this after QEMU has ended: it reads the rest of the socket without the event loop.
        """
        text = b""
        with contextlib.suppress(OSError):  # QEMU's helper may keep the other end open: no end of file
            while data := self._raw.recv(65536, socket.MSG_DONTWAIT):
                text += data
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                message = json.loads(line)
                if message["event"] == "SHUTDOWN" and message["data"]["guest"]:
                    stamp = message["timestamp"]
                    return float(stamp["seconds"]) + float(stamp["microseconds"]) * 1e-6
        return None


@contextlib.contextmanager
def start(guest: Guest, *, log: Path, timeout_s: float, group: Path | None = None) -> Iterator[Machine]:
    """Start a guest and wait until it is ready; QEMU ends with the block.

    A paused guest is ready when QMP is negotiated and all of its memory is resident; its vCPUs are stopped. A
    guest that runs Linux is ready when its init reports it and at least 0.9 of its memory is resident; its
    vCPUs run. QEMU's output is written to ``log``, that of the console to ``<log>.console``.
    QEMU runs in the control group ``group`` (default: the current one).

    Raises GuestError with the last lines of QEMU or of the console if QEMU ends, if the guest is not ready
    after ``timeout_s`` seconds, or if it has too little memory; StorageError.
    """
    threads = len(os.sched_getaffinity(0))
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        raw = stack.enter_context(ours.dup())
        console, fds, console_fd = None, [theirs.fileno()], -1
        if guest.runs_linux:
            console, far = stack.enter_context(open_console(log.with_name(f"{log.name}.console")))
            console_fd = far.fileno()
            fds.append(console_fd)
        began = time.monotonic()
        with theirs:
            words = command_line(guest, qmp_fd=theirs.fileno(), threads=threads, console_fd=console_fd)
            child = stack.enter_context(spawn(words, pages=guest.pages, pass_fds=fds, log=log, group=group))
        if console is not None:
            far.close()
        with end_in_shortage(child):
            qmp, loop = stack.enter_context(connect(ours, child, timeout_s))
            machine = Machine(
                guest=guest,
                child=child,
                populated_mib=resident_mib(child.pid) + hugetlb_mib(child.pid),
                started_s=time.monotonic() - began,
                console=console,
                _qmp=qmp,
                _loop=loop,
                _raw=raw,
            )
            _check_stopped(machine)
            if console is not None:
                machine = _run_until_ready(machine, console, began, timeout_s)
        _check_populated(machine)
        yield machine


def _run_until_ready(machine: Machine, console: Console, began: float, timeout_s: float) -> Machine:
    """Start the vCPUs and wait until init reports that it is ready."""
    machine.execute("cont")
    console.wait_ready(machine.child, timeout_s)
    return dataclasses.replace(
        machine,
        started_s=time.monotonic() - began,
        # QEMU now has much memory besides the guest's: translated code, devices.
        populated_mib=max(mapped_mib(machine.pid, machine.guest.memory_mib), hugetlb_mib(machine.pid)),
    )


@contextlib.contextmanager
def connect(
    ours: socket.socket, child: Child, timeout_s: float
) -> Iterator[tuple[QMPClient, asyncio.Runner]]:
    """Provide a QMP connection over ``ours``, closed after the block.

    Raises GuestError, with the last lines of ``child``, if QEMU ends or does not answer.
    """
    client = QMPClient("guest")
    with asyncio.Runner() as loop:

        async def negotiate() -> None:
            async with asyncio.timeout(timeout_s):
                asking = asyncio.create_task(client.connect(ours))
                try:
                    while not (await asyncio.wait([asking], timeout=POLL_S))[0]:
                        if child.floods():
                            raise TimeoutError
                    await asking
                finally:
                    if not asking.done():
                        asking.cancel()
                        await asyncio.wait([asking])

        async def disconnect() -> None:
            # disconnect() raises the reason why the connection ended, normally QEMU's exit.
            with contextlib.suppress(QMPError, OSError, EOFError, TimeoutError):
                await asyncio.wait_for(client.disconnect(), 5)

        try:
            loop.run(negotiate())
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise _start_failure(child, error, timeout_s) from error
        try:
            yield client, loop
        finally:
            loop.run(disconnect())


def _start_failure(child: Child, error: BaseException, timeout_s: float) -> GuestError:
    # After a broken connection QEMU is about to end; after a timeout it is not.
    if child.has_ended(timeout_s=0.0 if isinstance(error, TimeoutError) else 1.0):
        lines = child.last_lines()
        child.process.wait()
        status = child.process.returncode
        how = f"status {status}" if status >= 0 else f"signal {-status}"
        cause = f"QEMU ended while it started, with {how}" + (f": {lines[-1]}" if lines else "")
    elif child.floods():
        cause = f"QEMU printed more than {FLOOD_BYTES >> 20} MiB before it was ready"
    elif isinstance(error, TimeoutError):
        cause = f"QEMU was not ready after {timeout_s:g} s"
    else:
        cause = f"QEMU's monitor cannot be used: {error}"
    return GuestError(
        cause,
        "read the last lines of QEMU above; on a slow machine, increase -Dtimeout=",
        details=child.last_lines(),
        log=child.log,
    )


def _check_stopped(machine: Machine) -> None:
    status = machine.execute("query-status")["status"]
    if status not in ("prelaunch", "paused"):
        raise GuestError(
            f"the guest is {status}, not paused", "report it with the log", log=machine.child.log
        )


def _check_populated(machine: Machine) -> None:
    guest, log = machine.guest, machine.child.log
    # Linux keeps some pages free, which are never touched.
    wanted = guest.memory_mib * 9 // 10 if guest.runs_linux else guest.memory_mib
    if machine.populated_mib < wanted:
        raise GuestError(
            f"only {machine.populated_mib} of {guest.memory_mib} MiB of the guest's memory are resident",
            "free memory, disable swap, and run again",
            details=machine.console.tail() if machine.console else machine.child.last_lines(),
            log=log,
        )
    if guest.pages == "4k" and huge_pages_off(machine.pid) is False:
        raise GuestError(
            "transparent huge pages are still enabled for QEMU", "use -Dpages=thp on this kernel", log=log
        )
