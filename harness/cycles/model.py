"""The plan of a cycle (Cycle), its observations (Seen), and its result (CycleRow).

CycleRow is part of ``build/results/cycles.json``; docs/results.md is generated from it.
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from harness.jsonfile import about

_T = TypeVar("_T")

LIVES = {
    "start": "before QEMU is ready, after a random share of the start time of this binary",
    "daemonize": "with -daemonize, at a random moment after a second process appears",
    "prealloc": "when a random share of the guest's memory is resident",
    "paused": "ready, with populated memory and stopped vCPUs",
    "running": "ready, with running firmware",
}
"""Phase of QEMU at its end → description."""

SIGNALS = ("sigterm", "sigkill", "sigint", "sigabrt")
TRIGGERS = (*SIGNALS, "quit")


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One start and end of QEMU."""

    number: Annotated[int, about("number in the plan, from 1; --only NUMBER runs it alone")]
    life: str = "paused"
    """phase of QEMU at its end: start, daemonize, prealloc, paused or running"""
    trigger: Annotated[str, about("what ends QEMU: sigterm, sigkill, sigint, sigabrt or quit (QMP)")]
    scope: Annotated[str, about("recipient of the signal: process or group")] = "process"
    helper: str = "let be"
    """helper before the trigger: let be (left running), killed, or stopped (and continued after QEMU's
    exit)"""
    confinement: Annotated[str, about("none, sandbox, runas, or both")] = "none"
    victim: str = "qemu"
    """with daemonize: daemon, parent or both receive the signal; otherwise qemu"""
    backend: Annotated[str, about("memory backend: ram or memfd")]
    accel: Annotated[str, about("kvm or tcg")]
    memory_mib: Annotated[int, about("guest memory in MiB, preallocated")]
    moment: Annotated[float, about("the random instant, from 0 to 1, within the duration of the phase")] = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report of a sanitizer."""

    tool: Annotated[str, about("AddressSanitizer, UndefinedBehaviorSanitizer, or another name")]
    summary: Annotated[str, about("the finding, one line")]
    ours: Annotated[bool, about("whether it names a file of the series")]


class CycleRow(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one cycle."""

    variant: str
    """name of the binary: pristine, base, patched, or the name given with --binary"""
    target: Annotated[str, about("guest architecture")]
    cycle: Annotated[Cycle, about("the parameters of the cycle")]
    outcome: Annotated[str, about("pass or fail")]
    reasons: Annotated[tuple[str, ...], about("reasons of the failure, one a line")] = ()
    statuses: tuple[str, ...] = ()
    """end of each process: its role, and its exit status or signal"""
    helpers: int = 0
    """processes that shared QEMU's memory at the trigger, if QEMU was ready"""
    gone_s: Annotated[float, about("seconds from the trigger until the exit of the last process")] = 0.0
    reports: Annotated[tuple[Report, ...], about("sanitizer reports, about the series and others")] = ()
    kept: Annotated[str, about("folder with log and sanitizer reports of a failed cycle")] = ""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory before the first and after the last cycle of a binary."""

    variant: Annotated[str, about("name of the binary")]
    source: str
    """cgroup (anonymous and shared memory of all processes of the cycles) or MemAvailable"""
    before_mib: Annotated[float, about("used (cgroup) or available (MemAvailable) before, MiB")]
    after_mib: Annotated[float, about("the same afterwards")]
    peak_mib: Annotated[float, about("peak of the cgroup, MiB; 0 for MemAvailable")]
    lost_mib: Annotated[float, about("memory that was not freed, MiB")]
    tolerance_mib: Annotated[float, about("largest accepted loss, MiB")]

    @property
    def leaked(self) -> bool:
        """Whether the loss exceeds the tolerance."""
        return self.lost_mib > self.tolerance_mib


class Seen(msgspec.Struct, kw_only=True):
    """Observations of one cycle, for harness.cycles.judge.

    ``statuses`` are (role, status as from os.waitstatus_to_exitcode). Roles are qemu, parent, daemon and
    helper. ``left`` describes the processes that remained after the time limit, ``zombies`` the children
    that a running QEMU had not reaped. ``ended_early``: QEMU ended before the trigger. ``held``: a stopped
    helper delayed QEMU's exit.
    """

    statuses: list[tuple[str, int]] = []
    left: list[str] = []
    zombies: list[str] = []
    helpers: int = 0
    helper_missing: bool = False
    ended_early: bool = False
    never_ready: bool = False
    held: bool = False
    gone_s: float = 0.0
    last_line: str = ""
    reports: list[Report] = []


def dealt(cycle: Cycle, targets: Sequence[_T]) -> _T:
    """Return the target of ``cycle``: cycles use the ``targets`` in turn."""
    return targets[(cycle.number - 1) % len(targets)]


class DriverJob(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the driver: cycles of one variant. ``binaries`` are (target, path, firmware folders)."""

    variant: str
    binaries: tuple[tuple[str, str, tuple[str, ...]], ...]
    options: tuple[str, ...]
    cycles: tuple[Cycle, ...]
    lanes: int
    limit_s: float
    folder: str
