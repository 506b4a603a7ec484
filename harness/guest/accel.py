"""Which accelerator a guest can really run with: asked by running one.

There are KVMs that open and create a machine, yet never run an instruction of it, and others that run
firmware, but no Linux (those that emulate what the processor cannot do). So each payload is tried as it is.
"""

from __future__ import annotations

import contextlib
import platform
import select
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import GuestError
from harness.guest.boot import Boot
from harness.guest.firmware import Firmware
from harness.guest.machine import start
from harness.guest.model import LINUX, Guest, architecture_of, proof_command_line
from harness.guest.spawn import spawn

if TYPE_CHECKING:  # rich is slow to load, and tests under avocado import this package
    from harness.progress import Reporter

PROBE_LIMIT_S = 3.0
LINUX_LIMIT_S = 15.0
"""A tiny guest's Linux is ready in 2 s under KVM on an idle machine."""
LINUX_MIB = 256


@dataclass(frozen=True, kw_only=True)
class Accel:
    """The accelerator for guests of ``target`` with ``payload``, and in one line why. ``runs`` is false when
    KVM makes a machine that never executes an instruction (paused guests are still worth timing)."""

    target: str
    payload: str = "paused"
    name: str
    reason: str
    runs: bool = True


def probe_accel(
    binary: Path,
    target: str,
    wish: str,
    firmware: Firmware,
    reporter: Reporter,
    *,
    logs: Path,
    payload: str = "paused",
    boot: Boot | None = None,
    host: str = "",
) -> Accel:
    """What ``-Daccel=wish`` (auto, kvm, tcg) means for ``target`` with ``payload`` on this machine.

    ``auto`` boots the firmware under KVM and waits up to 3 s for its first output; with a payload that runs
    Linux, ``boot`` is then started in a tiny guest, and has 15 s to be ready. If one does not come, TCG is
    used. ``kvm`` stays KVM for payload ``paused`` as long as QEMU can create a machine. ``host`` is the
    machine's architecture, asked of the kernel if empty. What QEMU says goes below ``logs``.

    Raises GuestError when KVM was asked for and cannot be used, at all or for this payload.
    """
    architecture = architecture_of(target)
    machine = host or platform.machine()

    def found(name: str, reason: str, *, runs: bool = True) -> Accel:
        return Accel(target=target, payload=payload, name=name, reason=reason, runs=runs)

    if wish == "tcg":
        return found("tcg", "asked for")
    if architecture.name != machine:
        reason = f"KVM on {machine} cannot run {architecture.name} guests"
        if wish == "kvm":
            reporter.note(f"{target}: TCG: {reason}")
        return found("tcg", reason)
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
        return found("kvm", f"its {'Linux' if payload in LINUX else 'firmware'} ran under KVM")
    if wish == "kvm":
        if ended:
            raise GuestError(
                f"KVM cannot be used: {failure}", "use -Daccel=tcg, or make /dev/kvm usable for this user"
            )
        if payload in LINUX:
            raise GuestError(
                f"payload {payload} does not run under this machine's KVM: {failure}",
                "use -Daccel=tcg, or -Dpayload=paused",
            )
        reporter.warn(f"{target}: under KVM {failure}; paused guests are timed all the same")
        return found("kvm", f"asked for, although {failure}", runs=False)
    reporter.note(f"{target} {payload}: TCG, because under KVM {failure}")
    return found("tcg", f"under KVM {failure}")


def _try_linux(tiny: Guest, log: Path) -> str | None:
    """Why Linux does not get ready under KVM (None: it does)."""
    try:
        with start(tiny, log=log, timeout_s=LINUX_LIMIT_S):
            return None
    except GuestError as error:
        return error.cause


def _try_kvm(binary: Path, target: str, firmware: Firmware, log: Path) -> tuple[str | None, bool]:
    """Why no instruction ran (None: one did), and whether QEMU gave up by itself."""
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
            return f"QEMU says: {lines[-1]}" if lines else "QEMU ended at once", True
        return f"no guest instruction ran in {PROBE_LIMIT_S:g} s", False


def _output(ours: socket.socket) -> bytes:
    try:
        return ours.recv(64)
    except ConnectionError:  # QEMU ended
        return b""
