"""Judge the observations of a cycle. This module does no I/O."""

import signal

from harness.cycles.model import Cycle, Memory, Seen

READY = ("paused", "running")
CGROUP_TOLERANCE_MIB = 32.0
"""Less than the smallest guest (64 MiB), and more than Python grows in a thousand cycles."""
AVAILABLE_TOLERANCE_MIB = 128.0
"""Half of a common guest (256 MiB), because other processes change MemAvailable too."""


def judge(cycle: Cycle, seen: Seen) -> tuple[str, ...]:
    """Return the reasons of a failure, one a line; empty if the cycle passed."""
    reasons = [f"process remains after QEMU's exit: {process}" for process in seen.left]
    reasons += [f"zombie while QEMU was running: {process}" for process in seen.zombies]
    if seen.never_ready:
        reasons.append(f"QEMU did not become ready: {seen.last_line or 'no message'}")
    elif seen.ended_early:
        reasons.append(f"QEMU ended before the trigger: {seen.last_line or 'no message'}")
    if seen.helper_missing:
        reasons.append("no process shares QEMU's memory")
    if seen.held:
        reasons.append("a stopped helper delayed QEMU's exit")
    for role, status in seen.statuses:
        if not expected(cycle, role, status):
            message = f": {seen.last_line}" if seen.last_line and status > 0 else ""
            reasons.append(f"{role}: {describe_status(status)}{message}")
    reasons += [f"{report.tool}: {report.summary}" for report in seen.reports if report.ours]
    return tuple(dict.fromkeys(reasons))


def expected(cycle: Cycle, role: str, status: int) -> bool:
    """Return whether ``status`` (as from os.waitstatus_to_exitcode) is expected of a process in ``role``.

    The signal that was sent is expected. QEMU exits with 0 on SIGTERM, SIGINT and quit. A daemon and its
    parent exit with 1 if the other one ends (os_daemonize(), os_setup_post()). So does a helper whose QEMU
    ends during its setup.
    """
    if status == 0:
        return True
    if status < 0:
        sent = {sent_signal(cycle)}
        if role == "helper" and cycle.helper == "killed":
            sent = {signal.SIGKILL}
        return -status in sent
    if status == 1:
        return cycle.life == "daemonize" or (role == "helper" and cycle.life not in READY)
    return False


def sent_signal(cycle: Cycle) -> int | None:
    """Return the signal of the trigger; None for quit."""
    return None if cycle.trigger == "quit" else int(signal.Signals[cycle.trigger.upper()])


def describe_status(status: int) -> str:
    """Describe a status: ``exit 1``, ``SIGSEGV``."""
    if status >= 0:
        return f"exit {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def judge_memory(
    variant: str, source: str, before_mib: float, after_mib: float, *, peak_mib: float = 0.0
) -> Memory:
    """Compare memory before and after. The source ``cgroup`` counts used memory, MemAvailable free memory."""
    cgroup = source == "cgroup"
    return Memory(
        variant=variant,
        source=source,
        before_mib=round(before_mib, 1),
        after_mib=round(after_mib, 1),
        peak_mib=round(peak_mib, 1),
        lost_mib=round(after_mib - before_mib if cgroup else before_mib - after_mib, 1),
        tolerance_mib=CGROUP_TOLERANCE_MIB if cgroup else AVAILABLE_TOLERANCE_MIB,
    )
