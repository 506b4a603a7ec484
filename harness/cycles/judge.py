"""What is wrong with what a cycle showed. Pure: nothing is started or read here."""

from __future__ import annotations

import signal

from harness.cycles.model import Cycle, Memory, Seen

READY = ("paused", "running")
CGROUP_TOLERANCE_MIB = 32.0
"""Less than the smallest guest (64 MiB); more than what Python grows by in a thousand cycles."""
AVAILABLE_TOLERANCE_MIB = 128.0
"""Half of a common guest (256 MiB): what else the machine does is in MemAvailable, too."""


def judge(cycle: Cycle, seen: Seen) -> tuple[str, ...]:
    """Why the cycle failed, a line each; none when all is well."""
    reasons = [f"left after QEMU's end: {what}" for what in seen.left]
    reasons += [f"zombie while QEMU lived: {what}" for what in seen.zombies]
    if seen.never_ready:
        reasons.append(f"QEMU did not get ready: {seen.last_line or 'it says nothing'}")
    elif seen.ended_early:
        reasons.append(f"QEMU ended before the trigger: {seen.last_line or 'it says nothing'}")
    if seen.helper_missing:
        reasons.append("no process shares QEMU's memory")
    if seen.held:
        reasons.append("a stopped helper held up QEMU's end")
    for role, status in seen.statuses:
        if not expected(cycle, role, status):
            said = f": {seen.last_line}" if seen.last_line and status > 0 else ""
            reasons.append(f"{role}: {describe_status(status)}{said}")
    reasons += [f"{report.tool}: {report.summary}" for report in seen.reports if report.ours]
    return tuple(dict.fromkeys(reasons))


def expected(cycle: Cycle, role: str, status: int) -> bool:
    """Whether a process in ``role`` may end so (``status`` as os.waitstatus_to_exitcode gives it).

    A signal is expected when it is the one that was sent. QEMU's way to answer SIGTERM, SIGINT and quit is
    exit status 0. 1 is the daemon's or its parent's answer to the end of the other (os_daemonize(),
    os_setup_post()), and the helper's to that of a QEMU which was still talking to it.
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
    """The signal of the trigger; None for quit."""
    return None if cycle.trigger == "quit" else int(signal.Signals[cycle.trigger.upper()])


def describe_status(status: int) -> str:
    """``exit 1``, ``SIGSEGV``."""
    if status >= 0:
        return f"exit {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def judge_memory(
    variant: str, source: str, before_mib: float, after_mib: float, *, peak_mib: float = 0.0
) -> Memory:
    """The verdict on memory: ``source`` cgroup counts what is used, MemAvailable what is free."""
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
