"""A libvirtd and one connection to it, driven by lines of JSON. Run as a file, never imported by the harness:

    virt.py BINDING DESCRIPTOR

BINDING is the folder of libvirt's binding, DESCRIPTOR a connected socket. It is run inside the namespaces
that harness.clients.namespaces makes, by Debian's Python: the binding (python3-libvirt) is made for it;
so it uses nothing of the harness. Each line that is read is a request, {"do": NAME, ...}; each that is
written a reply, {"did": NAME, ...}, or an event, {"event": NAME, ...}. Instants are CLOCK_MONOTONIC in
nanoseconds, taken around the call of the library, and in the callback of the event. At the end of input
libvirtd is ended; the domains end with the PID namespace.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

sys.path.append(sys.argv[1])
import libvirt

talk = socket.socket(fileno=int(sys.argv[2]))
SOCKET = "/run/libvirt/libvirt-sock"
START_LIMIT_S = 30.0
_lock = threading.Lock()


def say(**message: Any) -> None:
    """One line; events and replies come from two threads."""
    line = json.dumps(message).encode() + b"\n"
    with _lock:
        talk.sendall(line)


def on_lifecycle(_connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
    """virConnectDomainEventCallback."""
    say(at=time.monotonic_ns(), event="lifecycle", name=domain.name(), kind=event, detail=detail)


def connect(log: str) -> tuple[subprocess.Popen[bytes], Any]:
    """Start libvirtd and wait until it answers. Raises RuntimeError with its last words."""
    with open(log, "wb") as sink:  # noqa: PTH123 - as the launcher of guests does
        daemon = subprocess.Popen(
            ["libvirtd", "--config", "/etc/libvirt/libvirtd.conf"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        if daemon.poll() is not None:
            raise RuntimeError(f"libvirtd ended with status {daemon.returncode}")
        try:
            if os.path.exists(SOCKET):  # noqa: PTH110
                return daemon, libvirt.open("qemu:///system")
        except libvirt.libvirtError as error:
            problem = str(error)
        else:
            problem = "its socket is not there"
        if time.monotonic() > deadline:
            raise RuntimeError(f"libvirtd did not answer within {START_LIMIT_S:g} s: {problem}")
        time.sleep(0.05)


def loop() -> None:
    """Deliver events for ever."""
    while True:
        libvirt.virEventRunDefaultImpl()


def main() -> int:
    """0 at the end of input, 1 when libvirtd cannot be had."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print what we report
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=loop, daemon=True).start()
    try:
        daemon, connection = connect("/var/log/libvirt/libvirtd.out")
    except RuntimeError as error:
        say(did="connect", error=str(error))
        return 1
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle, None)
    connection.setKeepAlive(0, 0)
    calls: dict[str, Callable[[dict[str, Any]], Any]] = {
        "define": lambda asked: connection.defineXML(asked["xml"]).name(),
        "create": lambda asked: named(asked).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED),
        "resume": lambda asked: named(asked).resume(),
        "destroy": lambda asked: named(asked).destroy(),
        "undefine": lambda asked: named(asked).undefine(),
        "state": lambda asked: named(asked).state()[0],
    }

    def named(asked: dict[str, Any]) -> Any:
        return connection.lookupByName(asked["name"])

    version = connection.getLibVersion()
    say(did="connect", error="", value=f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}")
    for line in talk.makefile("rb"):
        asked = json.loads(line)
        value, problem, began = None, "", time.monotonic_ns()
        try:
            value = calls[asked["do"]](asked)
        except libvirt.libvirtError as error:
            problem = str(error)
        say(did=asked["do"], began=began, ended=time.monotonic_ns(), error=problem, value=value)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
