"""Determine which accelerator works, by running a small guest.

Some KVMs create a machine but never run an instruction of it. Others, which emulate missing features of the
processor, run firmware but not Linux. Therefore each payload is tried.
"""

import contextlib
import platform
import select
import socket
from dataclasses import dataclass
from pathlib import Path

from harness.errors import GuestError
from harness.guest.boot import Boot
from harness.guest.firmware import Firmware
from harness.guest.machine import start
from harness.guest.model import LINUX, Guest, architecture_of, proof_command_line
from harness.guest.spawn import spawn
from harness.progress import Reporter

PROBE_LIMIT_S = 3.0
LINUX_LIMIT_S = 15.0
"""Under KVM on an idle machine, a tiny guest's Linux is ready in 2 s."""
LINUX_MIB = 256


@dataclass(frozen=True, kw_only=True)
class Accel:
    """Accelerator for guests of ``target`` with ``payload``, and the reason in one line.

    ``runs`` is false if KVM creates a machine but never executes an instruction; paused guests can still be
    timed then.
    """

    target: str
    payload: str = "paused"
    name: str
    reason: str
    runs: bool = True


def probe_accel(
    binary: Path,
    target: str,
    requested: str,
    firmware: Firmware,
    reporter: Reporter,
    *,
    logs: Path,
    payload: str = "paused",
    boot: Boot | None = None,
    host: str = "",
) -> Accel:
    """Choose the accelerator of ``-Daccel=`` (``requested``: auto, kvm, tcg) for ``target`` and ``payload``.

    ``auto`` boots the firmware under KVM and waits up to 3 s for its first output. For a payload that runs
    Linux, it also starts ``boot`` in a tiny guest, which must be ready in 15 s. If either fails, TCG is used.
    ``kvm`` with payload ``paused`` only requires that QEMU can create a machine. ``host`` is this machine's
    architecture (default: from uname). QEMU's output is written below ``logs``.

    Raises GuestError if KVM was requested and cannot be used, in general or for this payload.
    """
    architecture = architecture_of(target)
    machine = host or platform.machine()

    def accel(name: str, reason: str, *, runs: bool = True) -> Accel:
        return Accel(target=target, payload=payload, name=name, reason=reason, runs=runs)

    if requested == "tcg":
        return accel("tcg", "requested")
    if architecture.name != machine:
        reason = f"KVM on {machine} cannot run {architecture.name} guests"
        if requested == "kvm":
            reporter.note(f"{target}: using TCG, because {reason}")
        return accel("tcg", reason)
    failure, ended = _try_kvm(binary, target, firmware, logs / f"accel-{architecture.name}.log")
    if failure is None and payload in LINUX:
        tiny = Guest(
            binary=binary,
            target=target,
            memory_mib=LINUX_MIB,
            pages="thp",
            accel="kvm",
            payload=payload,
            firmware=firmware.folders,
            kernel=boot.kernel if boot else None,
            initrd=boot.initrd if boot else None,
        )
        failure = _try_linux(tiny, logs / "accel-linux.log")
    if failure is None:
        return accel("kvm", f"its {'Linux' if payload in LINUX else 'firmware'} ran under KVM")
    if requested == "kvm":
        if ended:
            raise GuestError(
                f"KVM cannot be used: {failure}", "use -Daccel=tcg, or give this user access to /dev/kvm"
            )
        if payload in LINUX:
            raise GuestError(
                f"payload {payload} does not run under this machine's KVM: {failure}",
                "use -Daccel=tcg or -Dpayload=paused",
            )
        reporter.warn(f"{target}: under KVM {failure}; paused guests can still be timed")
        return accel("kvm", f"requested, although {failure}", runs=False)
    reporter.note(f"{target} {payload}: using TCG, because under KVM {failure}")
    return accel("tcg", f"under KVM {failure}")


def _try_linux(tiny: Guest, log: Path) -> str | None:
    """Return why Linux does not become ready under KVM, or None if it does."""
    try:
        with start(tiny, log=log, timeout_s=LINUX_LIMIT_S):
            return None
    except GuestError as error:
        return error.cause


def _try_kvm(binary: Path, target: str, firmware: Firmware, log: Path) -> tuple[str | None, bool]:
    """Return why no instruction ran (None if one did), and whether QEMU ended by itself."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        with theirs:
            words = proof_command_line(binary, target, "kvm", firmware.folders, proof_fd=theirs.fileno())
            child = stack.enter_context(spawn(words, pages="thp", pass_fds=(theirs.fileno(),), log=log))
        ready, _, _ = select.select([ours], [], [], PROBE_LIMIT_S)
        if ready and _output(ours):
            return None, False
        if ready or child.has_ended():
            child.has_ended(timeout_s=1.0)
            lines = child.last_lines()
            return f"QEMU reports: {lines[-1]}" if lines else "QEMU ended at once", True
        return f"no guest instruction ran in {PROBE_LIMIT_S:g} s", False


def _output(ours: socket.socket) -> bytes:
    try:
        return ours.recv(64)
    except ConnectionError:  # QEMU has ended
        return b""
