"""Start the QEMU of a cycle, and use its monitor."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cycles.model import Cycle, DriverJob, dealt
from harness.cycles.sanitizer import environment
from harness.guest.model import Guest, command_line
from harness.guest.spelling import respell
from harness.process import clean_environment

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None).prctl

CONFINEMENTS = {
    "none": (),
    "sandbox": ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
    "runas": ("-runas", "nobody"),
    # elevateprivileges=deny would refuse the calls that -runas needs.
    "both": ("-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny", "-runas", "nobody"),
}


@dataclass(frozen=True, kw_only=True)
class Started:
    """A QEMU process, with our end of its monitor."""

    process: subprocess.Popen[bytes]
    monitor: socket.socket
    log: Path
    reports: Path
    began: float

    def wait_ready(self, timeout_s: float) -> bool:
        """Return whether the monitor answers the first command within ``timeout_s`` seconds."""
        self.monitor.settimeout(timeout_s)
        try:
            with self.monitor.makefile("rb", buffering=0) as lines:
                if b"QMP" not in lines.readline():
                    return False
                self.monitor.sendall(b'{"execute": "qmp_capabilities"}\r\n')
                return "return" in json.loads(lines.readline() or b"{}")
        except (OSError, ValueError):
            return False

    def quit(self) -> None:
        """Send the command quit without waiting."""
        with contextlib.suppress(OSError):
            self.monitor.sendall(b'{"execute": "quit"}\r\n')

    def last_line(self) -> str:
        """Return the last line of QEMU's output."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1][:200] if lines else ""


def words_of(cycle: Cycle, guest: Guest, *, qmp_fd: int) -> tuple[str, ...]:
    """Return QEMU's command line for ``cycle``."""
    words = command_line(guest, qmp_fd=qmp_fd, threads=1)
    if cycle.life == "running":
        words = tuple(word for word in words if word != "-S")
    return (
        *words,
        *respell(CONFINEMENTS[cycle.confinement], guest.binary),
        *(("-daemonize",) if cycle.life == "daemonize" else ()),
        # Firmware without a boot device must not end QEMU: that of s390x stops the only CPU.
        *(("-action", "panic=none,shutdown=pause") if cycle.life == "running" else ()),
    )


@contextlib.contextmanager
def started(job: DriverJob, cycle: Cycle, folder: Path) -> Iterator[Started]:
    """Start QEMU in a new session. harness.cycles.family ends it."""
    target, binary, firmware = dealt(cycle, job.binaries)
    guest = Guest(
        binary=Path(binary),
        target=target,
        memory_mib=cycle.memory_mib,
        backend=cycle.backend,
        accel=cycle.accel,
        firmware=tuple(map(Path, firmware)),
        options=job.options,
    )
    reports, log = folder / "reports", folder / "qemu.log"
    folder.mkdir(parents=True, mode=0o755)
    reports.mkdir()
    reports.chmod(0o777)  # after -runas, another user writes the reports
    ours, theirs = socket.socketpair()
    lane = os.getpid()

    def die_with_lane() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != lane:
            os._exit(127)

    with ours:
        with theirs, log.open("wb") as sink:
            began = time.monotonic()
            process = subprocess.Popen(
                words_of(cycle, guest, qmp_fd=theirs.fileno()),
                cwd="/",
                env=clean_environment(environment(reports)),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_lane,  # noqa: PLW1509 - a lane has one thread
            )
        try:
            yield Started(process=process, monitor=ours, log=log, reports=reports, began=began)
        finally:
            process.returncode = process.returncode or 0  # reaped by the family, not by Popen
