"""Judge ends of QEMU: exit at once, memory in time, also in the worst of many ends."""

import contextlib
import os
import signal
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence

from harness.properties.bench import HELPER_LIMIT_S, Bench, Ended, Running
from harness.properties.outcome import Failed

ENDS = 24
"""Ends of a tail. A helper that is late in one of three is in time in all of them once in 17,000 runs."""
EXCUSED = 1
"""Late ends that a busy machine may cause. The first one adds ENDS more ends."""
PAUSE_S = 0.020
"""Time that the helper may need in addition to a synchronous teardown of the same memory, in seconds."""
AT_ONCE_RATIO = 0.25
"""Longest exit, as a share of a synchronous teardown."""
LATE_S = 0.100
"""The same for a single end, which cannot be compared with others."""
REFERENCE_ROUNDS = 5


def check_end(ended: Ended) -> float:
    """Return the seconds from QEMU's exit to the end of its memory. Raises Failed if no helper ends."""
    if not ended.helpers:
        raise Failed("no process shares QEMU's memory")
    if ended.reclaim_s is None:
        raise Failed(f"helper still runs {HELPER_LIMIT_S:g} s after QEMU's exit")
    killed = [status for status in ended.statuses if status < 0]
    if killed:
        raise Failed(f"helper was killed by {signal.Signals(-killed[0]).name}")
    return ended.reclaim_s - ended.exit_s


def asynchronous(start: Callable[[], Ended], reference_s: float, *, attempts: int = 5) -> Ended:
    """Return an end with asynchronous teardown: exit takes at most a quarter of reclaim.

    Only that ratio, and a helper that is later than ``reference_s`` + LATE_S, are measured again: a busy
    machine can delay both, but nothing makes a synchronous teardown look asynchronous, and a helper that is
    late again is not delayed by the machine. Raises Failed.
    """
    late = 0
    while True:
        ended = start()
        attempts -= 1
        after_s = check_end(ended)
        if after_s > reference_s + LATE_S:
            late += 1
            if late > EXCUSED or not attempts:
                raise Failed(f"memory is freed {ms(after_s)} after QEMU's exit, twice")
        elif ended.exit_s <= AT_ONCE_RATIO * (ended.reclaim_s or 0):
            return ended
        elif not attempts:
            raise Failed(f"exit took {ms(ended.exit_s)} of {ms(ended.reclaim_s or 0)} of the teardown")


def check_tail(
    measure: Callable[[], float], limit_s: float, what: str, figures: dict[str, float], *, ends: int = ENDS
) -> None:
    """Raise Failed if more than EXCUSED of the latencies that ``measure`` returns exceed ``limit_s``.

    ``ends`` are taken, and as many again after the first late one. ``what`` names the latency.
    """
    taken: list[float] = []
    late = 0
    while len(taken) < (2 if late else 1) * ends and late <= EXCUSED:
        _use_pids(len(taken) % 3)
        taken.append(measure())
        late += taken[-1] > limit_s
    judge_tail(taken, limit_s, what, figures)


def judge_tail(taken: Sequence[float], limit_s: float, what: str, figures: dict[str, float]) -> None:
    """Raise Failed if more than EXCUSED of ``taken`` exceed ``limit_s``; see check_tail."""
    late = [latency for latency in taken if latency > limit_s]
    figures |= {"median_s": statistics.median(taken), "worst_s": max(taken), "limit_s": limit_s}
    figures |= {"ends": float(len(taken)), "late": float(len(late))}
    if len(late) > EXCUSED:
        times = " and ".join(map(ms, sorted(late)[-2:]))
        raise Failed(f"{what} {times} in {len(taken)} ends; the limit is {ms(limit_s)}")


def reference(bench: Bench, memory_mib: int) -> float:
    """Return the median time of a synchronous teardown in seconds: of base, or without the option."""
    known = bench.references.get(memory_mib)
    if known is None:
        taken = []
        for _ in range(REFERENCE_ROUNDS):
            with bench.start(memory_mib=memory_mib, on=False, binary=bench.task.reference) as running:
                taken.append(end_first(running, signal.SIGKILL).exit_s)
        known = bench.references[memory_mib] = statistics.median(taken)
    return known


@contextlib.contextmanager
def preferred(running: Running) -> Iterator[None]:
    """Run QEMU, its helpers and this process before other work, where permitted (sched(7), SCHED_RR).

    A busy machine then delays the end by little. Not while a guest runs for long.
    """
    first = os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
    try:
        with contextlib.suppress(OSError):
            for pid in (running.pid, *running.helpers()):
                for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names only
                    os.sched_setscheduler(int(task), os.SCHED_RR, first)
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, first)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def end_first(running: Running, number: int, *, helper_limit_s: float = HELPER_LIMIT_S) -> Ended:
    """End QEMU by a signal, before other work of the machine (see preferred)."""
    with preferred(running):
        return running.end_by(number, helper_limit_s=helper_limit_s)


def _use_pids(number: int) -> None:
    """Use some process ids, so that a fault that depends on the id of QEMU shows."""
    for _ in range(number):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


def ms(seconds: float) -> str:
    """Write a latency for a reason."""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"
