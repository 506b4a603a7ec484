"""Row 10: signals to QEMU's process group, to each process alone, and to all of a control group."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial

from harness.properties import status
from harness.properties.bench import Bench, Ended, soon, status_of
from harness.properties.outcome import Failed, Parts
from harness.properties.tails import asynchronous, end_first, preferred, reference

MEMORY_MIB = 256
ENDING = ("TERM", "INT", "HUP", "QUIT", "KILL")
SIGNAL_S = 0.01
"""Time for a signal to end its process, in seconds."""


def group_signals(bench: Bench, parts: Parts) -> None:
    """Row 10."""
    bench.require_option()
    whole_s = reference(bench, MEMORY_MIB)

    def check(name: str, start: Callable[[], Ended]) -> None:
        with parts.part(name) as figures:
            ended = asynchronous(start, whole_s)
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}

    for name in ENDING:
        check(f"SIG{name}", partial(_group, bench, (), _number(name)))
    for name in ("TSTP", "STOP"):
        check(
            f"SIG{name}, SIGCONT, SIGKILL for QEMU",
            partial(_group, bench, (_number(name), signal.SIGCONT), 0),
        )
    for name in ENDING:
        check(f"SIG{name} for QEMU alone", partial(_alone, bench, _number(name)))
    check("every signal for the helper alone", partial(_helper_alone, bench))
    check("SIGSTOP and SIGCONT for the helper alone", partial(_helper_stopped, bench))
    for name, first in (("QEMU", False), ("the helper", True)):
        # systemd.kill(5): SIGTERM for each process of the group, then SIGCONT, and SIGHUP with SendSIGHUP.
        check(f"SIGTERM, SIGCONT, SIGHUP for each, {name} first", partial(_each, bench, first))


def _number(name: str) -> int:
    return int(signal.Signals[f"SIG{name}"])


def _alone(bench: Bench, number: int) -> Ended:
    with bench.start(memory_mib=MEMORY_MIB) as running:
        running.helper()
        return end_first(running, number)


def _helper_alone(bench: Bench) -> Ended:
    """Send all signals but SIGKILL and SIGSTOP to the helper, one after the other, then end QEMU."""
    with bench.start(memory_mib=MEMORY_MIB) as running:
        helper = running.helper()
        for number in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}):
            os.kill(helper, number)
            time.sleep(SIGNAL_S)
            if running.helpers() != (helper,):
                raise Failed(f"the helper was ended by signal {number}")
            if status.fields(helper).get("State", "").startswith("T"):
                raise Failed(f"the helper was stopped by signal {number}")
        running.execute("query-status")
        if running.warnings():
            raise Failed("QEMU prints a warning")
        return end_first(running, signal.SIGKILL)


def _helper_stopped(bench: Bench) -> Ended:
    """Stop the helper. QEMU works meanwhile, and when the helper continues it does its work."""
    with bench.start(memory_mib=MEMORY_MIB) as running:
        helper = running.helper()
        os.kill(helper, signal.SIGSTOP)
        soon(lambda: status.fields(helper).get("State", "").startswith("T"))
        running.execute("query-status")
        os.kill(helper, signal.SIGCONT)
        soon(lambda: not status.fields(helper).get("State", "").startswith("T"))
        running.execute("query-status")
        return end_first(running, signal.SIGKILL)


def _each(bench: Bench, helper_first: bool) -> Ended:
    """Send what a service manager sends to each process of a control group."""
    with bench.start(memory_mib=MEMORY_MIB) as running:
        pids = (running.helper(), running.pid) if helper_first else (running.pid, running.helper())

        def fire() -> None:
            for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGHUP):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)

        with preferred(running):
            return running.end(fire)


def _group(bench: Bench, before: tuple[int, ...], last: int) -> Ended:
    """Send ``before`` to QEMU's group. Then end QEMU by ``last`` to the group, or by SIGKILL if it is 0."""
    with bench.start(memory_mib=MEMORY_MIB) as running:
        helper = running.helper()
        for number in before:
            running.signal_group(number)
            time.sleep(0.1)
            state = status.fields(helper).get("State", "")
            if number != signal.SIGCONT and state.startswith("T"):
                raise Failed("the helper is stopped")
        if running.helpers() != (helper,):
            raise Failed("the helper has ended")
        if not last:
            return end_first(running, signal.SIGKILL)
        with preferred(running):
            return running.end(lambda: running.signal_group(last), wanted=status_of(last))
