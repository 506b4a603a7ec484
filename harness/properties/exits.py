"""Rows 1, 2 and 14: how long QEMU's exit takes, and when the memory is back."""

from __future__ import annotations

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
from harness.guest import memory_shortage
from harness.properties.bench import Bench, Ended, Surrounding
from harness.properties.outcome import Cannot, Miss, Parts, arranged
from harness.properties.poweroff import guest_that_powers_off

ROUNDS = 3
SPARE = 3
"""How many times as many rounds may be taken when the medians miss a limit narrowly."""
LARGE_MIB = (16384, 8192, 4096)
SETTLED_S = 10.0
"""After which a helper is looked at no longer, in seconds."""
MEMORY_WAIT_S = 10.0
"""How long to wait for memory that another process may be about to give back."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a latency may be: ``ratio`` times that of the reference, and ``extra_s`` seconds."""

    ratio: float = 1.0
    extra_s: float = 0.0

    def of(self, reference_s: float) -> float:
        """The longest that is allowed, in seconds."""
        return self.ratio * reference_s + self.extra_s


AT_ONCE = Limit(ratio=0.25)
"""Exit with the feature, against the teardown that the same binary does without it."""
LARGE, SMALL = Limit(ratio=1.15), Limit(extra_s=0.020)


def is_undecided(own: Sequence[float], reference: Sequence[float], limit: Limit) -> bool:
    """Whether more rounds may help: the medians miss the limit, yet the best of ``own`` is within what the
    worst of ``reference`` allows."""
    missed = statistics.median(own) > limit.of(statistics.median(reference))
    return missed and min(own) <= limit.of(max(reference))


def exit_at_once(bench: Bench, parts: Parts) -> None:
    """Row 1. One interleaved run: the binary without its option, then each trigger with it; medians.

    A trigger that misses narrowly gets more rounds, as in row 2.
    """
    memory = 1024
    _require_memory(bench, memory)
    triggers: dict[str, Callable[[], Ended]] = {
        "SIGTERM": lambda: _ended(bench, memory, signal.SIGTERM),
        "SIGKILL": lambda: _ended(bench, memory, signal.SIGKILL),
        "SIGABRT, no core file": lambda: _ended(bench, memory, signal.SIGABRT),
        "SIGABRT, core file": lambda: _aborted(bench, memory),
        "quit": lambda: _quit(bench, memory),
        "power-off": lambda: _powered_off(bench, memory),
    }
    whole: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in triggers}
    problems: dict[str, Exception] = {}
    pending = list(triggers)
    for done in range(1, SPARE * ROUNDS + 1):
        whole.append(_synchronous(bench, memory))
        for name in pending:
            try:
                taken[name].append(triggers[name]().exit_s)
            except (Miss, Cannot, HarnessError) as problem:
                problems[name] = problem
        pending = [
            name
            for name in pending
            if name not in problems and (done < ROUNDS or is_undecided(taken[name], whole, AT_ONCE))
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
            if exit_s > AT_ONCE.of(teardown_s):
                raise Miss(f"exit takes {_ms(exit_s)}, the whole teardown {_ms(teardown_s)}")


def _require_memory(bench: Bench, memory_mib: int) -> None:
    reason = _why_not(bench, memory_mib)
    if reason:
        raise Cannot(reason)


def _synchronous(bench: Bench, memory_mib: int) -> float:
    """Exit latency of the binary without its option, in seconds."""
    with bench.start(memory_mib=memory_mib, on=False) as running:
        return running.end_by(signal.SIGKILL).exit_s


def _ended(bench: Bench, memory_mib: int, number: int) -> Ended:
    with bench.start(memory_mib=memory_mib) as running:
        # Only the exit is of interest in this row: a helper that is slow to go is not waited for.
        return running.end_by(number, helper_limit_s=0)


def _quit(bench: Bench, memory_mib: int) -> Ended:
    with bench.start(memory_mib=memory_mib) as running:
        return running.end(lambda: running.send("quit"), helper_limit_s=0)


def _aborted(bench: Bench, memory_mib: int) -> Ended:
    folder = bench.work / "core"
    folder.mkdir(exist_ok=True)
    surrounding = Surrounding(core=True, folder=str(folder))
    try:
        with arranged(), bench.start(memory_mib=memory_mib, surrounding=surrounding) as running:
            ended = running.end_by(signal.SIGABRT, helper_limit_s=0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not ended.dumped:
        raise Cannot("this machine writes no core files")
    return ended


def _powered_off(bench: Bench, memory_mib: int) -> Ended:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest = guest_that_powers_off(bench.task.binary.target, bench.work, serial_fd=theirs.fileno())
        with bench.start(*guest.words, memory_mib=memory_mib, pass_fds=(theirs.fileno(),)) as running:
            if not guest.has_serial:
                return running.end(lambda: running.send("cont"), helper_limit_s=0)
            running.execute("cont")
            ours.settimeout(60)
            try:
                ours.recv(1)
            except OSError as error:
                raise Miss("the guest that should power off did not boot") from error
            return running.end(lambda: ours.sendall(b"x"), helper_limit_s=0)


def memory_back(bench: Bench, parts: Parts) -> None:
    """Row 2."""
    reclaim_without_delay(bench, parts)
    with parts.part("one CPU allowed: one thread") as figures:
        figures["threads"] = _threads_on_one_cpu(bench, 1024)


def reclaim_without_delay(bench: Bench, parts: Parts) -> None:
    """Against base's exit, or that of the same binary without its option, in one interleaved run."""
    bench.require_option()
    with parts.part("1 GiB: exit of base + 20 ms") as figures:
        _compare(bench, 1024, 5, SMALL, figures)
    # A row that has failed gets no further rounds: they could not change it.
    spare = 1 if parts.made[-1].outcome == "fail" else SPARE
    refused = ""
    for size in LARGE_MIB:
        reason = _why_not(bench, size)
        refused = refused or reason
        if not reason or size == LARGE_MIB[-1]:
            with parts.part(f"{size // 1024} GiB: 1.15 times the exit of base") as figures:
                _compare(bench, size, 3, LARGE, figures, spare=spare)
            break
    if size != LARGE_MIB[0]:
        with parts.part(f"{LARGE_MIB[0] // 1024} GiB"):
            raise Cannot(refused)


def _threads_on_one_cpu(bench: Bench, memory_mib: int) -> int:
    """How many threads a helper has that may use one CPU, at the most. Raises Miss when they are several.

    With as many CPUs as there are it may have more, to free memory together.
    """
    _require_memory(bench, memory_mib)
    with bench.start(memory_mib=memory_mib) as running:
        helper = running.helper()
        os.sched_setaffinity(helper, {min(os.sched_getaffinity(helper))})
        running.signal(signal.SIGKILL)
        most, tasks, deadline = 0, Path(f"/proc/{helper}/task"), time.monotonic() + SETTLED_S
        while (found := _entries(tasks)) and time.monotonic() < deadline:
            most = max(most, found)
    if most != 1:
        raise Miss(f"the helper had {most} threads" if most else "the helper was gone at once")
    return most


def _entries(folder: Path) -> int:
    """Entries of a folder below /proc; 0 when its process has ended, or is a zombie."""
    try:
        if (folder.parent / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX":
            return 0
        return len(os.listdir(folder))  # noqa: PTH208 - names only, read at once
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _why_not(bench: Bench, memory_mib: int) -> str:
    """The reason why a guest of that size is not started; empty when there is none."""
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
    """Raise Miss unless the median of reclaim is within what the limit makes of the reference's.

    Rounds are added, up to ``spare`` times as many, while it is not and could be (is_undecided): the medians
    of all of them count. Raises Cannot when there is no memory for the guest.
    """
    reference, reclaim = [], []
    for done in range(1, spare * rounds + 1):
        _require_memory(bench, memory_mib)
        with bench.start(memory_mib=memory_mib, on=False, binary=bench.task.reference) as running:
            reference.append(running.end_by(signal.SIGKILL).exit_s)
        _require_memory(bench, memory_mib)
        with bench.start(memory_mib=memory_mib) as running:
            ended = running.end_by(signal.SIGKILL, helper_limit_s=60)
        if not ended.helpers:
            raise Miss("no process shares QEMU's memory")
        if ended.reclaim_s is None:
            raise Miss("helper still lives 60 s after QEMU ended")
        reclaim.append(ended.reclaim_s)
        if done < rounds:
            continue
        own, base = statistics.median(reclaim), statistics.median(reference)
        figures |= {"reclaim_s": own, "reference_exit_s": base, "ratio": own / base, "rounds": float(done)}
        if own <= limit.of(base):
            return
        if not is_undecided(reclaim, reference, limit):
            break
    raise Miss(f"memory is back after {_ms(own)}, a synchronous teardown takes {_ms(base)}")


def pid_one(bench: Bench, parts: Parts) -> None:
    """Row 14. The kernel kills all others of the namespace before process 1 is gone (pid_namespaces(7))."""
    bench.require_option()
    unshare = shutil.which("unshare")
    with parts.part("exit waits for the helper") as figures:
        if not unshare:
            raise Cannot("unshare(1) is not installed")
        if os.geteuid() != 0:
            raise Cannot("making a PID namespace needs root")
        words = (unshare, "--pid", "--fork", "--mount-proc")
        _require_memory(bench, 1024)
        whole, exits = [], []
        for _ in range(ROUNDS):
            whole.append(_synchronous(bench, 1024))
            with arranged(), bench.start(memory_mib=1024, prefix=words) as running:
                running.helper()
                ended = running.end_by(signal.SIGKILL)
            exits.append(ended.exit_s)
            if ended.outlived:
                raise Miss("the helper outlives process 1 of its namespace: not as documented")
        exit_s, teardown_s = statistics.median(exits), statistics.median(whole)
        figures |= {"exit_s": exit_s, "teardown_s": teardown_s}
        if exit_s <= AT_ONCE.of(teardown_s):
            raise Miss(f"exit takes {_ms(exit_s)} only, the teardown {_ms(teardown_s)}: not as documented")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
