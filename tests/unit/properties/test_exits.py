import contextlib
import os
import sys
from pathlib import Path

import pytest

from harness.properties import exits
from harness.properties.bench import Ended
from harness.properties.exits import is_undecided
from harness.properties.outcome import Failed, Parts

from ..programs import started
from .support import make_binary, make_task


@pytest.mark.parametrize(
    ("own", "reference", "undecided"),
    [
        ([0.11, 0.11, 0.11], [0.1, 0.1, 0.1], False),  # within the ratio
        ([0.12, 0.12, 0.11], [0.1, 0.1, 0.1], True),  # missed, the best is within
        ([1.1, 1.2, 1.1], [0.1, 0.1, 0.2], False),  # missed by far
    ],
)
def test_rounds_are_added_only_after_a_narrow_miss(own, reference, undecided):
    assert is_undecided(own, reference, exits.LARGE) is undecided


class FakeBench:
    """Starts no QEMU. Returns the given latencies, alternately of the reference and of the binary."""

    def __init__(self, reference_s, reclaim_s, words=("-x",), memory_mib=16384):
        self.task = make_task(binary=make_binary(words=words), memory_mib=memory_mib)
        self.words = words
        self.reference, self.reclaim = iter(reference_s), iter(reclaim_s)
        self.started = []

    def require_option(self):
        pass

    def start(self, *, memory_mib, on=True, binary=None):
        self.started.append((memory_mib, on))
        bench = self

        class Running:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def helper(self):
                return 77

            def signal(self, number):
                pass

            def end_by(self, number, *, helper_limit_s=3.0):
                whole = next(bench.reclaim if on else bench.reference)
                return Ended(
                    exit_s=0.001 if on else whole, reclaim_s=whole, helpers=int(on), statuses=(), status=0
                )

        return Running()


def endless(*values):
    while True:
        yield from values


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(exits, "MEMORY_WAIT_S", 0.0)
    monkeypatch.setattr(
        exits, "end_first", lambda running, number, **fields: running.end_by(number, **fields)
    )


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.setattr(exits, "memory_shortage", lambda mib: None if mib <= 16384 else "needs more")


def reclaimed(reclaim, **fields):
    """Return the bench and the parts of the row, where the reference takes 0.1 s."""
    bench, parts = FakeBench(endless(0.1), reclaim, **fields), Parts()
    exits.reclaim_without_delay(bench, parts)
    return bench, parts.made


@pytest.mark.usefixtures("memory")
def test_memory_freed_in_time_passes():
    bench, made = reclaimed(endless(0.11))
    assert [part.outcome for part in made] == ["pass", "pass"]
    assert made[1].figures["ratio"] == pytest.approx(1.1)
    assert bench.started[:2] == [(1024, False), (1024, True)]
    assert len(bench.started) == 2 * (5 + 3)
    assert bench.started[-1] == (16384, True)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("reclaim", [[1.1] * 8, [1.1] * 5 + [0.12, 0.11, 0.12] * 3])
def test_failed_row_gets_no_more_rounds(reclaim):
    bench, made = reclaimed(reclaim)
    assert [part.outcome for part in made] == ["fail", "fail"]
    assert made[0].reason == "memory is freed after 1.10 s; a synchronous teardown takes 100 ms"
    assert len(bench.started) == 2 * (5 + 3)


@pytest.mark.usefixtures("memory")
def test_noise_adds_rounds():
    _, made = reclaimed([0.13, 0.11, 0.13, 0.13, 0.11, 0.11, *[0.11] * 20])
    assert [part.outcome for part in made] == ["pass", "pass"]
    assert made[0].figures["rounds"] == 6


def test_largest_size_that_fits_is_used_and_others_are_cancelled(monkeypatch):
    monkeypatch.setattr(exits, "memory_shortage", lambda mib: None if mib <= 5000 else f"needs {mib}")
    _, made = reclaimed(endless(0.1))
    assert [(part.name, part.outcome, part.reason) for part in made[1:]] == [
        ("4 GiB: 1.15 times the exit of base", "pass", ""),
        ("16 GiB", "cancel", "needs 16384"),
    ]


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("allowed", "outcomes"), [(8192, ["pass", "pass", "cancel"]), (512, ["cancel", "cancel", "cancel"])]
)
def test_option_memory_limits_the_guests(allowed, outcomes):
    bench, made = reclaimed(endless(0.1), memory_mib=allowed)
    assert [part.outcome for part in made] == outcomes
    assert made[-1].reason == f"-Dmemory allows {allowed} MiB"
    assert all(size <= allowed for size, _ in bench.started)


@pytest.mark.usefixtures("memory")
def test_each_trigger_is_a_part_and_base_fails(monkeypatch):
    for name in ("_aborted", "_powered_off", "_ended", "_quit"):
        monkeypatch.setattr(
            exits, name, lambda *_, **__: Ended(exit_s=0.1, reclaim_s=0.1, helpers=0, statuses=(), status=0)
        )
    bench, parts = FakeBench(endless(0.1), endless(0.1)), Parts()
    exits.exit_at_once(bench, parts)
    assert [part.outcome for part in parts.made] == ["fail"] * 7
    assert parts.made[-1].reason.startswith("25 of 25 exits take 100 ms by ")
    assert len(bench.started) == 5

    def fails(*_, **__):
        raise Failed("did not boot")

    monkeypatch.setattr(exits, "_powered_off", fails)
    monkeypatch.setattr(
        exits, "_ended", lambda *_: Ended(exit_s=0.001, reclaim_s=None, helpers=1, statuses=(), status=0)
    )
    parts = Parts()
    exits.exit_at_once(bench, parts)
    assert [part.outcome for part in parts.made] == ["pass", "pass", "pass", "fail", "fail", "fail", "fail"]
    assert parts.made[-2].reason == "did not boot"


@pytest.mark.parametrize(("slow", "outcome"), [(1, "pass"), (2, "fail")])
def test_exit_that_is_slow_in_one_of_three_ends_fails(slow, outcome):
    taken = {"SIGTERM": [0.001] * 5, "quit": [0.001] * (5 - slow) + [0.06] * slow}
    parts, figures = Parts(), {}
    with parts.part("worst"):
        exits._check_worst(taken, 0.1, figures)
    assert parts.made[0].outcome == outcome
    assert figures == {"worst_s": 0.06, "limit_s": 0.05, "ends": 10.0, "late": float(slow)}


@pytest.mark.usefixtures("memory")
def test_pause_and_one_late_end_in_three_fail(monkeypatch):
    monkeypatch.setattr(exits, "reference", lambda *_: 0.03)
    monkeypatch.setattr(exits, "reclaim_without_delay", lambda *_: None)
    monkeypatch.setattr(exits, "_threads_on_one_cpu", lambda *_: 1)
    monkeypatch.setattr(exits, "follows", lambda *_: None)
    for reclaim, outcome in (
        (endless(0.04), "pass"),
        (endless(0.06), "fail"),
        (endless(0.03, 0.03, 0.7), "fail"),
    ):
        bench, parts = FakeBench(endless(0.03), reclaim), Parts()
        exits.memory_back(bench, parts)
        assert [part.outcome for part in parts.made] == [outcome, "pass"]
        assert set(bench.started) == {(160, True)}


def test_rows_use_less_memory_if_the_option_allows_no_more(monkeypatch):
    monkeypatch.setattr(exits, "memory_shortage", lambda _: None)
    for name in ("_aborted", "_powered_off", "_quit"):
        monkeypatch.setattr(
            exits, name, lambda *_: Ended(exit_s=0.001, reclaim_s=None, helpers=1, statuses=(), status=0)
        )
    bench, parts = FakeBench(endless(0.1), endless(0.1), memory_mib=256), Parts()
    exits.exit_at_once(bench, parts)
    assert {part.outcome for part in parts.made} == {"pass"}
    assert {size for size, _ in bench.started} == {256}


def test_threads_of_a_process_are_counted_until_its_end():
    code = "import threading, time; threading.Timer(60, print).start(); print(flush=True)"
    with started(sys.executable, "-c", code, ready=True) as process:
        tasks = Path(f"/proc/{process.pid}/task")
        assert exits._entries(tasks) == 2
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert exits._entries(tasks) == 0  # a zombie
    assert exits._entries(tasks) == 0


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("observed", "reason"),
    [([1, 1, 0], ""), ([1, 2, 0], "the helper had 2 threads"), ([0], "the helper exited too soon")],
)
def test_helper_on_one_cpu_must_have_one_thread(monkeypatch, observed, reason):
    counts, allowed = iter(observed), {}
    monkeypatch.setattr(exits, "_entries", lambda _: next(counts))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    monkeypatch.setattr(os, "sched_setaffinity", allowed.__setitem__)
    bench = FakeBench(endless(0.1), endless(0.1))
    with pytest.raises(Failed, match=reason) if reason else contextlib.nullcontext():
        assert exits._threads_on_one_cpu(bench, 1024) == 1
    assert allowed == {77: {3}}
