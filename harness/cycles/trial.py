"""One cycle: start QEMU, wait for the moment, end QEMU, and wait until all its processes have ended."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import psutil

from harness.cycles.family import POLL_S, ProcessFamily, zombies_of
from harness.cycles.judge import READY, describe_status, judge, sent_signal
from harness.cycles.model import Cycle, CycleRow, DriverJob, Seen, dealt
from harness.cycles.qemu import Started, started
from harness.cycles.sanitizer import collect
from harness.guest.memory import resident_mib
from harness.teardown.watch import find_sharers

REAP_LIMIT_S = 2.0
"""Seconds that QEMU may take to reap a killed helper. It is notified at once; a busy machine delays it."""
GONE_LIMIT_S = 5.0
"""Seconds that a helper may outlive QEMU. It frees 512 MiB in 50 ms; upstream's takes one second more."""
STRAGGLER_S = 0.5
"""After this time, remaining processes of a daemonizing QEMU get the signal too: one may be the daemon."""
HOLD_S = 0.05
AFTER_READY_S = 0.1
START_SPAN = 1.2
DAEMON_SPAN = 1.5


def run_cycle(job: DriverJob, cycle: Cycle, ready_s: dict[str, float]) -> CycleRow:
    """Run ``cycle`` and return its row. When this returns or raises, no process of the cycle remains."""
    folder = Path(job.folder) / f"{cycle.number:06}"
    shutil.rmtree(folder, ignore_errors=True)
    seen = Seen()
    target = dealt(cycle, job.binaries)[0]
    with started(job, cycle, folder) as qemu:
        roles = ("parent", "daemon") if cycle.life == "daemonize" else ("qemu", "helper")
        family = ProcessFamily(qemu.process.pid, *roles)
        try:
            main = _live(cycle, qemu, family, seen, ready_s[target], job.limit_s)
            helpers = _treat_helper(job, cycle, family, main, seen)
            _end(cycle, qemu, family, main, helpers, seen, job.limit_s)
        finally:
            seen.left = [family.describe(pid) for pid in family.members()]
            ended = dict(family.statuses)  # without the processes that the next line kills
            family.end()
    seen.statuses = [(family.roles.get(pid, family.others), status) for pid, status in ended.items()]
    seen.last_line = qemu.last_line()
    seen.reports = list(collect(qemu.reports, qemu.log))
    reasons = judge(cycle, seen)
    if not reasons and not seen.reports:
        shutil.rmtree(folder, ignore_errors=True)
    return CycleRow(
        variant=job.variant,
        target=target,
        cycle=cycle,
        outcome="fail" if reasons else "pass",
        reasons=reasons,
        statuses=tuple(f"{role}: {describe_status(status)}" for role, status in seen.statuses),
        helpers=seen.helpers,
        gone_s=round(seen.gone_s, 4),
        reports=tuple(seen.reports),
        kept=str(folder) if folder.exists() else "",
    )


def _live(  # noqa: PLR0917 - one step of run_cycle
    cycle: Cycle, qemu: Started, family: ProcessFamily, seen: Seen, ready_s: float, limit_s: float
) -> int:
    """Wait for the moment of the cycle. Return the process to end."""
    root = family.root
    if cycle.life == "start":
        _sleep_until(qemu.began + cycle.moment * START_SPAN * ready_s)
    elif cycle.life == "prealloc":
        until = qemu.began + limit_s
        while resident_mib(root) < cycle.moment * cycle.memory_mib and time.monotonic() < until:
            if family.ended(root):
                break
            time.sleep(0.0005)
    elif cycle.life == "daemonize":
        return _await_daemon(cycle, qemu, family, ready_s, limit_s)
    elif qemu.wait_ready(limit_s):
        time.sleep(cycle.moment * AFTER_READY_S)
    else:
        seen.never_ready = True
    seen.ended_early = family.ended(root)
    return root


def _await_daemon(cycle: Cycle, qemu: Started, family: ProcessFamily, ready_s: float, limit_s: float) -> int:
    """Wait for a second process, then for the random moment. Return the process that is the daemon then."""
    until = qemu.began + limit_s
    while not (others := [pid for pid in family.living() if pid != family.root]):
        if family.ended(family.root) or time.monotonic() > until:
            return family.root
        time.sleep(0.0005)
    _sleep_until(time.monotonic() + cycle.moment * DAEMON_SPAN * ready_s)
    others = [pid for pid in family.living() if family.roles[pid] == "daemon"]
    # The last one: the first child only creates the session, and exits.
    return others[-1] if others else family.root


def _treat_helper(
    job: DriverJob, cycle: Cycle, family: ProcessFamily, main: int, seen: Seen
) -> tuple[int, ...]:
    """Kill or stop the helper as the cycle requires. Return the helpers; empty if QEMU was not ready."""
    if cycle.life not in READY or seen.never_ready or seen.ended_early:
        return ()
    helpers = find_sharers(main)
    seen.helpers = len(helpers)
    seen.helper_missing = bool(job.options) and not helpers
    for helper in helpers:
        family.roles[helper] = "helper"
        if cycle.helper == "killed":
            family.send(helper, signal.SIGKILL)
        elif cycle.helper == "stopped":
            family.send(helper, signal.SIGSTOP)
    # QEMU gets time to reap the helper.
    until = time.monotonic() + REAP_LIMIT_S
    while cycle.helper == "killed" and helpers and time.monotonic() < until:
        if not any(map(psutil.pid_exists, helpers)):  # zombies exist too
            break
        time.sleep(POLL_S)
    seen.zombies = [family.describe(pid) for pid in zombies_of(main)]
    seen.ended_early = family.ended(main)
    return helpers


def _end(  # noqa: PLR0917 - one step of run_cycle
    cycle: Cycle,
    qemu: Started,
    family: ProcessFamily,
    main: int,
    helpers: tuple[int, ...],
    seen: Seen,
    limit_s: float,
) -> None:
    """Fire the trigger, then wait until all processes of the cycle have ended, or for the time limit."""
    began = time.monotonic()
    number = sent_signal(cycle)
    if number is None:
        qemu.quit()
    else:
        victims = {"parent": (family.root,), "both": (family.root, main)}.get(cycle.victim, (main,))
        for victim in dict.fromkeys(victims):
            _signal(cycle, family, victim, number)
    if cycle.helper == "stopped" and helpers:
        until = began + limit_s
        while not family.ended(main) and time.monotonic() < until:
            time.sleep(POLL_S)
        seen.held = not family.ended(main)
        time.sleep(cycle.moment * HOLD_S)
        for helper in helpers:
            family.send(helper, signal.SIGCONT)
    again: set[int] = set()
    alone: float | None = None
    # Zombies count too: an orphan becomes our child, and must not be attributed to the next cycle.
    while remaining := family.members():
        late = time.monotonic() - began
        if alone is None and family.ended(main) and family.ended(family.root):
            alone = late
        if late > limit_s or (alone is not None and late > alone + GONE_LIMIT_S):
            return
        if number is not None and cycle.life == "daemonize" and late > STRAGGLER_S:
            for pid, ended in remaining.items():
                if not ended and family.roles[pid] != "helper" and pid not in again:
                    again.add(pid)
                    family.send(pid, number)
        time.sleep(POLL_S)
    seen.gone_s = time.monotonic() - began


def _signal(cycle: Cycle, family: ProcessFamily, pid: int, number: int) -> None:
    if cycle.scope == "group":
        # QEMU has its own session, so none of our processes is in that group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group != os.getpgid(0):
                os.killpg(group, number)
    else:
        family.send(pid, number)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
