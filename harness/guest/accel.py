"""Which accelerator a guest can really run with: asked by running one."""

from __future__ import annotations

import contextlib
import platform
import select
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import GuestError
from harness.guest.firmware import Firmware
from harness.guest.model import architecture_of, proof_command_line
from harness.guest.spawn import spawn

if TYPE_CHECKING:  # rich is slow to load, and tests under avocado import this package
    from harness.progress import Reporter

PROBE_LIMIT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Accel:
    """The accelerator for guests of ``target``, and in one line why. ``runs`` is false when KVM makes a
    machine that never executes an instruction (paused guests are still worth timing)."""

    target: str
    name: str
    reason: str
    runs: bool = True


def probe_accel(
    binary: Path, target: str, wish: str, firmware: Firmware, reporter: Reporter, *, host: str = ""
) -> Accel:
    """What ``-Daccel=wish`` (auto, kvm, tcg) means for ``target`` on this machine.

    ``auto`` boots the firmware under KVM and waits up to 3 s for its first output; if none comes, TCG is
    used. ``kvm`` stays KVM as long as QEMU can create a machine. Raises GuestError when KVM was asked for
    and cannot be used at all. ``host`` is the machine's architecture, asked of the kernel if empty.
    """
    architecture = architecture_of(target)
    machine = host or platform.machine()
    if wish == "tcg":
        return Accel(target=target, name="tcg", reason="asked for")
    if architecture.name != machine:
        found = Accel(
            target=target, name="tcg", reason=f"KVM on {machine} cannot run {architecture.name} guests"
        )
        if wish == "kvm":
            reporter.note(f"{target}: TCG: {found.reason}")
        return found
    failure, ended = _try_kvm(binary, target, firmware)
    if failure is None:
        return Accel(target=target, name="kvm", reason="its firmware ran under KVM")
    if wish == "kvm":
        if ended:
            raise GuestError(
                f"KVM cannot be used: {failure}", "use -Daccel=tcg, or make /dev/kvm usable for this user"
            )
        reporter.warn(f"{target}: under KVM {failure}; paused guests are timed all the same")
        return Accel(target=target, name="kvm", reason=f"asked for, although {failure}", runs=False)
    reporter.note(f"{target}: TCG, because under KVM {failure}")
    return Accel(target=target, name="tcg", reason=f"under KVM {failure}")


def _try_kvm(binary: Path, target: str, firmware: Firmware) -> tuple[str | None, bool]:
    """Why no instruction ran (None: one did), and whether QEMU gave up by itself."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="accel-"))
        stack.enter_context(ours)
        with theirs:
            words = proof_command_line(binary, target, "kvm", firmware.folders, proof_fd=theirs.fileno())
            log = Path(folder) / "qemu.log"
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
