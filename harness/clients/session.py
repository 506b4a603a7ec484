"""Communication with the private libvirtd: requests, replies and events."""

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from harness.clients.namespaces import Namespaces, driver_folder, make_namespaces, namespace_words
from harness.errors import LibvirtError, MissingError
from harness.guest.shortage import end_in_shortage
from harness.guest.spawn import Child, signal_child, spawn, wait_pidfd
from harness.machine import text_of

STOPPED, SHUT_OFF = 5, 5  # VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_SHUTOFF, libvirt-domain.h
CONNECT_LIMIT_S = 60.0
GRACE_S, EMPTY_LIMIT_S = 10.0, 60.0
"""Time limits for the exit of libvirtd, and for the kernel to end the remaining processes."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a request. ``began`` and ``ended`` are the times of the call, CLOCK_MONOTONIC, ns."""

    did: str
    error: str = ""
    value: Any = None
    began: int = 0
    ended: int = 0


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a domain's life cycle (virDomainEventType, and its detail), and its time in ns."""

    event: str
    name: str
    kind: int
    detail: int
    at: int


class Session:
    """One connection. ``version`` is the version of libvirt, such as 9.0.0."""

    def __init__(self, namespaces: Namespaces, child: Child, talk: socket.socket, limit_s: float) -> None:
        self.namespaces = namespaces
        self.child = child
        self.version = ""
        self._limit_s = limit_s
        self._talk = talk
        self._replies: queue.Queue[Reply | None] = queue.Queue()
        self._events: list[DomainEvent] = []
        threading.Thread(target=self._read, daemon=True, name="libvirt").start()

    def connect(self) -> None:
        """Wait until libvirtd answers. Raises LibvirtError."""
        self.version = str(self._reply("connect", CONNECT_LIMIT_S).value)

    def send(self, do: str, **arguments: object) -> None:
        """Send a request without waiting. Requests are executed in order."""
        self._talk.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def reply(self, do: str) -> Reply:
        """Return the reply to the oldest unanswered request, which was ``do``.

        Raises LibvirtError: an error of libvirt, or no reply in time.
        """
        return self._reply(do, self._limit_s)

    def ask(self, do: str, **arguments: object) -> Reply:
        """Send a request and return its reply. Raises LibvirtError."""
        self.send(do, **arguments)
        return self.reply(do)

    def event(self, name: str, kind: int, since: int, limit_s: float) -> DomainEvent | None:
        """Return the first event ``kind`` of domain ``name`` since ``since`` (ns); None after ``limit_s``."""
        deadline = time.monotonic() + limit_s
        while True:
            for event in list(self._events):
                if (event.name, event.kind) == (name, kind) and event.at >= since:
                    return event
            if time.monotonic() > deadline:
                return None
            time.sleep(0.001)

    def _reply(self, do: str, limit_s: float) -> Reply:
        try:
            reply = self._replies.get(timeout=limit_s)
        except queue.Empty:
            raise self._failure(f"libvirt did not answer {do} within {limit_s:g} s") from None
        if reply is None:
            raise self._failure(f"libvirtd ended before it answered {do}")
        if reply.error:
            raise self._failure(f"{do}: {' '.join(reply.error.split())}")
        return reply

    def _failure(self, cause: str) -> LibvirtError:
        lines = self.child.last_lines() or tuple(text_of(self.namespaces.log).splitlines()[-5:])
        return LibvirtError(cause, "read the log of libvirtd", details=lines, log=self.namespaces.log)

    def _read(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := self._talk.recv(65536):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._take(line)
        self._replies.put(None)

    def _take(self, line: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            self._events.append(msgspec.json.decode(line, type=DomainEvent))
            return
        with contextlib.suppress(msgspec.MsgspecError):
            self._replies.put(msgspec.json.decode(line, type=Reply))


@contextlib.contextmanager
def libvirt_session(
    folder: Path,
    needed: Sequence[Path],
    *,
    log: Path,
    pages: str,
    group: Path | None,
    limit_s: float,
    controlled: bool = False,
) -> Iterator[Session]:
    """Run a private libvirtd until the block ends; see harness.clients.namespaces.

    ``folder`` is for its files. ``needed`` are files and folders that domains use. ``limit_s`` is the time
    limit of one request. With ``controlled``, libvirt puts each domain into its own cgroup below ``group``,
    which has the memory controller of version 1. If the machine runs out of memory, libvirtd and its domains
    are ended. Raises LibvirtError, MissingError, and the errors of spawn.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise MissingError("a private libvirtd needs bwrap", "run `nox -s doctor` (package bubblewrap)")
    namespaces = make_namespaces(folder, controllers='"memory"' if controlled else "")
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        with theirs:
            _, *words = namespace_words(
                namespaces,
                driver_folder(),
                needed,
                talk_fd=theirs.fileno(),
                group=group if controlled else None,
            )
            child = stack.enter_context(
                spawn([program, *words], pages=pages, pass_fds=(theirs.fileno(),), log=log, group=group)
            )
        # Closed first, so that libvirtd ends normally. Then all remaining processes are killed.
        stack.callback(_hang_up, ours, child)
        session = Session(namespaces, child, ours, limit_s)
        stack.enter_context(end_in_shortage(child))
        session.connect()
        yield session


def _hang_up(talk: socket.socket, child: Child) -> None:
    """End the session, and wait for process 1 of the PID namespace, which may end after bwrap."""
    with contextlib.ExitStack() as stack:
        first = []
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            for process in psutil.Process(child.pid).children():
                first.append(os.pidfd_open(process.pid))
                stack.callback(os.close, first[-1])
        with contextlib.suppress(OSError):
            talk.shutdown(socket.SHUT_WR)
        if not child.has_ended(timeout_s=GRACE_S):
            signal_child(child, signal.SIGKILL)
        for pidfd in first:
            wait_pidfd(pidfd, EMPTY_LIMIT_S)
