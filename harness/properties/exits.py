"""Rows 1, 2 and 14: the latencies of QEMU's exit and of the memory."""

import itertools
import os
import shutil
import signal
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.guest.memory import memory_shortage
from harness.properties.bench import Bench, Ended, Surrounding
from harness.properties.moved import follows
from harness.properties.outcome import Cancelled, Failed, Parts, arranged
from harness.properties.poweroff import guest_that_powers_off
from harness.properties.tails import (
    AT_ONCE_RATIO,
    EXCUSED,
    PAUSE_S,
    check_end,
    check_tail,
    end_first,
    ms,
    preferred,
    reference,
)

BY_ITSELF = "power-off"
MEMORY_MIB = 1024
"""Memory of the guests of rows 1 and 14, or what -Dmemory allows."""
TAIL_MIB = 160
"""Enough for a helper to free memory in parallel, and so little that this hides no pause."""
ROUNDS = 3
EXIT_ROUNDS = 5
"""Rounds of row 1: 25 ends by the triggers that do not depend on a running guest."""
SPARE = 3
"""Factor by which rounds may be added if the medians miss a limit narrowly."""
LARGE_MIB = (16384, 8192, 4096)
SETTLED_S = 10.0
"""Time limit for observing the threads of a helper, in seconds."""
MEMORY_WAIT_S = 10.0
"""Seconds to wait for memory that other processes may free."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The limit of a latency: ``ratio`` times that of the reference, plus ``extra_s`` seconds."""

    ratio: float = 1.0
    extra_s: float = 0.0

    def of(self, reference_s: float) -> float:
        """Return the longest allowed latency, in seconds."""
        return self.ratio * reference_s + self.extra_s


AT_ONCE = Limit(ratio=AT_ONCE_RATIO)
"""Exit with the feature, compared with the synchronous teardown of the same binary."""
BY_GUEST = Limit(ratio=AT_ONCE_RATIO, extra_s=0.010)
"""The same for a guest that powers itself off, which takes a few milliseconds before QEMU ends."""
AT_WORST = Limit(ratio=0.5)
"""The same for the worst of all exits."""
LARGE, SMALL = Limit(ratio=1.15), Limit(extra_s=PAUSE_S)


def is_undecided(own: Sequence[float], reference: Sequence[float], limit: Limit) -> bool:
    """Return whether more rounds can change the result: the medians miss the limit, but the best of ``own``
    is within the limit for the worst of ``reference``."""
    missed = statistics.median(own) > limit.of(statistics.median(reference))
    return missed and min(own) <= limit.of(max(reference))


def exit_at_once(bench: Bench, parts: Parts) -> None:
    """Row 1. Compare medians of interleaved rounds: the binary without its option, then each trigger with it.

    Triggers that miss the limit narrowly get more rounds, as in row 2. Of all exits but those of the guest
    that powers itself off, which runs, the worst counts too.
    """
    memory = min(MEMORY_MIB, bench.task.memory_mib)
    _require_memory(bench, memory)
    triggers: dict[str, Callable[[], Ended]] = {
        "SIGTERM": lambda: _ended(bench, memory, signal.SIGTERM),
        "SIGKILL": lambda: _ended(bench, memory, signal.SIGKILL),
        "SIGABRT, no core file": lambda: _ended(bench, memory, signal.SIGABRT),
        "SIGABRT, core file": lambda: _aborted(bench, memory),
        "quit": lambda: _quit(bench, memory),
        BY_ITSELF: lambda: _powered_off(bench, memory),
    }
    whole: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in triggers}
    problems: dict[str, Exception] = {}
    pending = list(triggers)
    for done in range(1, SPARE * EXIT_ROUNDS + 1):
        whole.append(_synchronous(bench, memory))
        for name in pending:
            try:
                taken[name].append(triggers[name]().exit_s)
            except (Failed, Cancelled, HarnessError) as problem:
                problems[name] = problem
        pending = [
            name
            for name in pending
            if name not in problems and (done < EXIT_ROUNDS or is_undecided(taken[name], whole, _limit(name)))
        ]
        if not pending:
            break
    teardown_s = statistics.median(whole)
    for name in triggers:
        with parts.part(name) as figures:
            if name in problems:
                raise problems[name]
            exit_s = statistics.median(taken[name])
            figures |= {"exit_s": exit_s, "teardown_s": teardown_s}
            if exit_s > _limit(name).of(teardown_s):
                raise Failed(f"exit takes {ms(exit_s)}, a synchronous teardown {ms(teardown_s)}")
    with parts.part("worst exit of all") as figures:
        _check_worst({name: taken[name] for name in triggers if name != BY_ITSELF}, teardown_s, figures)


def _limit(name: str) -> Limit:
    return BY_GUEST if name == BY_ITSELF else AT_ONCE


def _check_worst(taken: dict[str, list[float]], teardown_s: float, figures: dict[str, float]) -> None:
    """Raise Failed if more than EXCUSED exits take longer than half of a synchronous teardown."""
    exits = sorted(((exit_s, name) for name, each in taken.items() for exit_s in each), reverse=True)
    if not exits:
        raise Cancelled("no exit was timed")
    limit_s = AT_WORST.of(teardown_s)
    late = sum(exit_s > limit_s for exit_s, _ in exits)
    figures |= {"worst_s": exits[0][0], "limit_s": limit_s, "ends": float(len(exits)), "late": float(late)}
    if late > EXCUSED:
        text = ", ".join(f"{ms(exit_s)} by {name}" for exit_s, name in exits[: min(late, 3)])
        raise Failed(f"{late} of {len(exits)} exits take {text}; a synchronous teardown {ms(teardown_s)}")


def _require_memory(bench: Bench, memory_mib: int) -> None:
    shortage = _shortage(bench, memory_mib)
    if shortage:
        raise Cancelled(shortage)


def _synchronous(bench: Bench, memory_mib: int) -> float:
    """Return the exit latency of the binary without its option, in seconds."""
    with bench.start(memory_mib=memory_mib, on=False) as running:
        return end_first(running, signal.SIGKILL).exit_s


def _ended(bench: Bench, memory_mib: int, number: int) -> Ended:
    with bench.start(memory_mib=memory_mib) as running:
        # This row measures only the exit, so it does not wait for the helper.
        return end_first(running, number, helper_limit_s=0)


def _quit(bench: Bench, memory_mib: int) -> Ended:
    with bench.start(memory_mib=memory_mib) as running, preferred(running):
        return running.end(lambda: running.send("quit"), helper_limit_s=0)


def _aborted(bench: Bench, memory_mib: int) -> Ended:
    folder = bench.work / "core"
    folder.mkdir(exist_ok=True)
    surrounding = Surrounding(core=True, folder=str(folder))
    try:
        with arranged(), bench.start(memory_mib=memory_mib, surrounding=surrounding) as running:
            ended = end_first(running, signal.SIGABRT, helper_limit_s=0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not ended.dumped:
        raise Cancelled("this machine does not write core files")
    return ended


def _powered_off(bench: Bench, memory_mib: int) -> Ended:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest = guest_that_powers_off(bench.task.binary.target, bench.work, serial_fd=theirs.fileno())
        with bench.start(*guest.words, memory_mib=memory_mib, pass_fds=(theirs.fileno(),)) as running:
            if not guest.has_serial:
                with preferred(running):
                    return running.end(lambda: running.send("cont"), helper_limit_s=0)
            running.execute("cont")
            ours.settimeout(60)
            try:
                ours.recv(1)
            except OSError as error:
                raise Failed("the guest that should power off did not boot") from error
            with preferred(running):
                return running.end(lambda: ours.sendall(b"x"), helper_limit_s=0)


def memory_back(bench: Bench, parts: Parts) -> None:
    """Row 2."""
    bench.require_option()
    memory = min(TAIL_MIB, bench.task.memory_mib)
    with parts.part(f"{memory} MiB: each end within a synchronous teardown + 20 ms") as figures:
        _each_in_time(bench, memory, figures)
    reclaim_without_delay(bench, parts)
    with parts.part("one CPU allowed: one thread") as figures:
        figures["threads"] = _threads_on_one_cpu(bench, min(MEMORY_MIB, bench.task.memory_mib))
    follows(bench, parts, min(MEMORY_MIB, bench.task.memory_mib))


def _each_in_time(bench: Bench, memory_mib: int, figures: dict[str, float]) -> None:
    """Check the time from QEMU's exit to the end of the memory, in many ends."""
    triggers = itertools.cycle((signal.SIGKILL, signal.SIGTERM))

    def end() -> float:
        with bench.start(memory_mib=memory_mib) as running:
            return check_end(end_first(running, next(triggers)))

    _require_memory(bench, memory_mib)
    limit_s = SMALL.of(reference(bench, memory_mib))
    check_tail(end, limit_s, "memory is freed after QEMU's exit:", figures)


def reclaim_without_delay(bench: Bench, parts: Parts) -> None:
    """Compare reclaim with the exit of base, or of the same binary without its option, interleaved."""
    with parts.part("1 GiB: exit of base + 20 ms") as figures:
        _compare(bench, 1024, 5, SMALL, figures)
    # More rounds cannot change a row that has failed.
    spare = 1 if parts.made[-1].outcome == "fail" else SPARE
    refused = ""
    for size in LARGE_MIB:
        shortage = _shortage(bench, size)
        refused = refused or shortage
        if not shortage or size == LARGE_MIB[-1]:
            with parts.part(f"{size // 1024} GiB: 1.15 times the exit of base") as figures:
                _compare(bench, size, 3, LARGE, figures, spare=spare)
            break
    if size != LARGE_MIB[0]:
        with parts.part(f"{LARGE_MIB[0] // 1024} GiB"):
            raise Cancelled(refused)


def _threads_on_one_cpu(bench: Bench, memory_mib: int) -> int:
    """Return the largest number of threads of a helper restricted to one CPU. Raises Failed if it is not 1.

    With several CPUs, a helper may have more threads to free memory in parallel.
    """
    _require_memory(bench, memory_mib)
    with bench.start(memory_mib=memory_mib) as running:
        helper = running.helper()
        os.sched_setaffinity(helper, {min(os.sched_getaffinity(helper))})
        running.signal(signal.SIGKILL)
        most, tasks, deadline = 0, Path(f"/proc/{helper}/task"), time.monotonic() + SETTLED_S
        while (count := _entries(tasks)) and time.monotonic() < deadline:
            most = max(most, count)
    if most != 1:
        raise Failed(f"the helper had {most} threads" if most else "the helper exited too soon")
    return most


def _entries(folder: Path) -> int:
    """Return the number of entries of a folder below /proc; 0 if its process has ended or is a zombie."""
    try:
        if (folder.parent / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX":
            return 0
        return len(os.listdir(folder))  # noqa: PTH208 - names only, read at once
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _shortage(bench: Bench, memory_mib: int) -> str:
    """Return the reason if a guest of that size cannot be started, else an empty string."""
    if memory_mib > bench.task.memory_mib:
        return f"-Dmemory allows {bench.task.memory_mib} MiB"
    deadline = time.monotonic() + MEMORY_WAIT_S
    while (reason := memory_shortage(memory_mib)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return reason or ""


def _compare(
    bench: Bench,
    memory_mib: int,
    rounds: int,
    limit: Limit,
    figures: dict[str, float],
    *,
    spare: int = SPARE,
) -> None:
    """Raise Failed if the median of reclaim exceeds the limit for the median of the reference.

    While the result is undecided (is_undecided), rounds are added, up to ``spare`` times as many. The medians
    of all rounds count. Raises Cancelled if there is no memory for the guest.
    """
    base, reclaim = [], []
    for done in range(1, spare * rounds + 1):
        _require_memory(bench, memory_mib)
        with bench.start(memory_mib=memory_mib, on=False, binary=bench.task.reference) as running:
            base.append(end_first(running, signal.SIGKILL).exit_s)
        _require_memory(bench, memory_mib)
        with bench.start(memory_mib=memory_mib) as running:
            ended = end_first(running, signal.SIGKILL, helper_limit_s=60)
        if not ended.helpers:
            raise Failed("no process shares QEMU's memory")
        if ended.reclaim_s is None:
            raise Failed("helper still runs 60 s after QEMU's exit")
        reclaim.append(ended.reclaim_s)
        if done < rounds:
            continue
        own, whole = statistics.median(reclaim), statistics.median(base)
        figures |= {"reclaim_s": own, "reference_exit_s": whole, "ratio": own / whole, "rounds": float(done)}
        if own <= limit.of(whole):
            return
        if not is_undecided(reclaim, base, limit):
            break
    raise Failed(f"memory is freed after {ms(own)}; a synchronous teardown takes {ms(whole)}")


def pid_one(bench: Bench, parts: Parts) -> None:
    """Row 14. The kernel kills all processes of the namespace before process 1 ends (pid_namespaces(7))."""
    bench.require_option()
    unshare = shutil.which("unshare")
    with parts.part("exit waits for the helper") as figures:
        if not unshare:
            raise Cancelled("unshare(1) is not installed")
        if os.geteuid() != 0:
            raise Cancelled("creating a PID namespace needs root")
        words = (unshare, "--pid", "--fork", "--mount-proc")
        memory = min(MEMORY_MIB, bench.task.memory_mib)
        _require_memory(bench, memory)
        whole, exits = [], []
        for _ in range(ROUNDS):
            whole.append(_synchronous(bench, memory))
            with arranged(), bench.start(memory_mib=memory, prefix=words) as running:
                running.helper()
                ended = running.end_by(signal.SIGKILL)
            exits.append(ended.exit_s)
            if ended.outlived:
                raise Failed("the helper outlives process 1 of its namespace, contrary to the documentation")
        exit_s, teardown_s = statistics.median(exits), statistics.median(whole)
        figures |= {"exit_s": exit_s, "teardown_s": teardown_s}
        if exit_s <= AT_ONCE.of(teardown_s):
            raise Failed(f"exit takes only {ms(exit_s)} of {ms(teardown_s)}, contrary to the documentation")
