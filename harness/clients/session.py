"""Talk to the libvirtd of a cell: requests and replies, and the events that come between them."""

from __future__ import annotations

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

STOPPED, SHUT_OFF = 5, 5  # VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_SHUTOFF, libvirt-domain.h
CONNECT_LIMIT_S = 60.0
GRACE_S, EMPTY_LIMIT_S = 10.0, 60.0
"""What libvirtd may take to end, and then the kernel to take down what the cell still holds."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request. ``began`` and ``ended`` are around the call, CLOCK_MONOTONIC, ns."""

    did: str
    error: str = ""
    value: Any = None
    began: int = 0
    ended: int = 0


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a domain's life cycle (virDomainEventType, and its detail), and when it came, ns."""

    event: str
    name: str
    kind: int
    detail: int
    at: int


class Session:
    """One connection. ``version`` is libvirt's, such as 9.0.0."""

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
        """Send a request and wait for nothing. Those sent behind it are carried out in turn."""
        self._talk.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def reply(self, do: str) -> Reply:
        """The answer to the oldest request without one, which was ``do``. Raises LibvirtError: refused, no
        answer in time."""
        return self._reply(do, self._limit_s)

    def ask(self, do: str, **arguments: object) -> Reply:
        """Both. Raises LibvirtError."""
        self.send(do, **arguments)
        return self.reply(do)

    def event(self, name: str, kind: int, since: int, limit_s: float) -> DomainEvent | None:
        """The first event of ``kind`` of domain ``name`` at or after ``since`` (ns); None after a while."""
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
            raise self._failure(f"libvirtd was gone before it answered {do}")
        if reply.error:
            raise self._failure(f"{do}: {' '.join(reply.error.split())}")
        return reply

    def _failure(self, cause: str) -> LibvirtError:
        lines = self.child.last_lines() or _last_lines(self.namespaces.log)
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


def _last_lines(log: Path) -> tuple[str, ...]:
    try:
        return tuple(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    except OSError:
        return ()


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
    """A private libvirtd for the life of the block, and what it has started; see harness.clients.namespaces.

    ``folder`` is its own; ``needed`` are files and folders that domains use. ``limit_s`` is what one request
    may take. With ``controlled``, libvirt puts each domain into a cgroup of its own below ``group``, which
    has the memory controller of version 1. Everything is ended when the machine is about to run out of
    memory. Raises LibvirtError, MissingError, and what harness.guest.spawn raises.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise MissingError(
            "bwrap is needed to keep libvirtd apart", "run: nox -s doctor (package bubblewrap)"
        )
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
        # Closed first, so that libvirtd is ended in order; then the cell is killed with all that is left.
        stack.callback(_hang_up, ours, child)
        session = Session(namespaces, child, ours, limit_s)
        stack.enter_context(end_in_shortage(child))
        session.connect()
        yield session


def _hang_up(talk: socket.socket, child: Child) -> None:
    """End the session, and wait until the cell is empty: bwrap may end before its process 1 has."""
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
