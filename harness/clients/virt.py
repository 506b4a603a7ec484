"""Run libvirtd and one connection to it, controlled by lines of JSON. Nothing imports this file:

    virt.py BINDING DESCRIPTOR

BINDING is the folder of libvirt's binding, DESCRIPTOR a connected socket. Debian's Python runs this file in
the namespaces of harness.clients.namespaces, because the binding (python3-libvirt) is built for it. The file
therefore imports nothing from the harness. Each input line is a request, {"do": NAME, ...}. Each output line
is a reply, {"did": NAME, ...}, or an event, {"event": NAME, ...}. Times are CLOCK_MONOTONIC in nanoseconds,
taken before and after the library call, and in the callback of the event. At the end of input, libvirtd is
ended; the domains end with the PID namespace.
"""

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


def write(**message: Any) -> None:
    """Write one line. Events and replies come from two threads."""
    line = json.dumps(message).encode() + b"\n"
    with _lock:
        talk.sendall(line)


def on_lifecycle(_connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
    """Write an event; a virConnectDomainEventCallback."""
    write(at=time.monotonic_ns(), event="lifecycle", name=domain.name(), kind=event, detail=detail)


def connect(log: str) -> tuple[subprocess.Popen[bytes], Any]:
    """Start libvirtd and wait until it answers. Raises RuntimeError with the reason."""
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
            problem = "its socket does not exist"
        if time.monotonic() > deadline:
            raise RuntimeError(f"libvirtd did not answer within {START_LIMIT_S:g} s: {problem}")
        time.sleep(0.05)


def loop() -> None:
    """Deliver events forever."""
    while True:
        libvirt.virEventRunDefaultImpl()


def main() -> int:
    """Execute requests until the end of input. Return 0, or 1 if libvirtd cannot start."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # replies contain the errors
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=loop, daemon=True).start()
    try:
        daemon, connection = connect("/var/log/libvirt/libvirtd.out")
    except RuntimeError as error:
        write(did="connect", error=str(error))
        return 1
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle, None)
    connection.setKeepAlive(0, 0)
    calls: dict[str, Callable[[dict[str, Any]], Any]] = {
        "define": lambda request: connection.defineXML(request["xml"]).name(),
        "create": lambda request: named(request).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED),
        "resume": lambda request: named(request).resume(),
        "destroy": lambda request: named(request).destroy(),
        "undefine": lambda request: named(request).undefine(),
        "state": lambda request: named(request).state()[0],
    }

    def named(request: dict[str, Any]) -> Any:
        return connection.lookupByName(request["name"])

    version = connection.getLibVersion()
    write(did="connect", error="", value=f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}")
    for line in talk.makefile("rb"):
        request = json.loads(line)
        value, problem, began = None, "", time.monotonic_ns()
        try:
            value = calls[request["do"]](request)
        except libvirt.libvirtError as error:
            problem = str(error)
        write(did=request["do"], began=began, ended=time.monotonic_ns(), error=problem, value=value)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
