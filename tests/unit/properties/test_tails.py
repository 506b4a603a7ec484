"""harness.properties.tails: single ends, and the worst of many."""

import os
import signal
from types import SimpleNamespace

import pytest

from harness.properties import tails
from harness.properties.bench import Ended
from harness.properties.outcome import Failed
from harness.properties.tails import asynchronous, check_tail, judge_tail

from .support import make_task


def ended(exit_s, reclaim_s, helpers=1, statuses=(0,)):
    return Ended(exit_s=exit_s, reclaim_s=reclaim_s, helpers=helpers, statuses=statuses, status=0)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (ended(0.1, 0.1, helpers=0, statuses=()), "no process shares"),
        (ended(0.1, None), "still runs 3 s"),
        (ended(0.001, 0.1, statuses=(-9,)), "killed by SIGKILL"),
        (ended(0.1, 0.12), "exit took 100 ms of 120 ms"),
        (ended(0.001, 0.501), "freed 500 ms after QEMU's exit, twice"),
    ],
)
def test_synchronous_or_late_teardown_fails_with_its_reason(result, reason):
    with pytest.raises(Failed, match=reason):
        asynchronous(lambda: result, 0.1)


@pytest.mark.parametrize("first", [ended(0.1, 0.12), ended(0.001, 0.9)])
def test_slow_exit_or_late_helper_is_measured_again(first):
    results = [first, ended(0.01, 0.12)]
    assert asynchronous(lambda: results.pop(0), 0.1).exit_s == 0.01


def taken(*latencies, limit_s=0.03):
    """Return the figures of a tail with these latencies, then endless good ones."""
    left, figures = list(latencies), {}
    check_tail(lambda: left.pop(0) if left else 0.01, limit_s, "freed after", figures)
    return figures


def test_worst_of_all_ends_is_judged():
    assert taken() == {"median_s": 0.01, "worst_s": 0.01, "limit_s": 0.03, "ends": 24.0, "late": 0.0}
    with pytest.raises(Failed, match="freed after 700 ms and 710 ms in 6 ends; the limit is 30 ms"):
        taken(0.01, 0.01, 0.71, 0.01, 0.01, 0.7)


def test_one_late_end_adds_as_many_ends_and_is_excused():
    figures = taken(*[0.01] * 23, 0.7)
    assert (figures["ends"], figures["late"], figures["worst_s"]) == (48.0, 1.0, 0.7)
    with pytest.raises(Failed, match="in 48 ends"):
        taken(*[0.01] * 23, 0.7, *[0.01] * 23, 0.7)


def test_poll_of_one_second_never_passes_by_chance():
    with pytest.raises(Failed, match="freed after"):
        taken(0.02, 0.01, 0.3, 0.02, 0.9)


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12.3 ms"), (0.9999, "1.00 s"), (1.5, "1.50 s")])
def test_latency_has_a_short_form(seconds, text):
    assert tails.ms(seconds) == text


def test_given_latencies_are_judged_alike():
    judge_tail([0.01, 0.5], 0.03, "x", {})
    with pytest.raises(Failed, match="x 500 ms and 600 ms in 3 ends"):
        judge_tail([0.01, 0.6, 0.5], 0.03, "x", {})


def test_reference_is_measured_once_for_each_size(monkeypatch):
    started, running = [], SimpleNamespace(__enter__=None)

    class Started:
        def __enter__(self):
            return running

        def __exit__(self, *_):
            return None

    def start(**fields):
        started.append(fields)
        return Started()

    times = iter([0.5, 0.1, 0.2, 0.3, 0.4])
    monkeypatch.setattr(tails, "end_first", lambda *_: ended(next(times), None))
    bench = SimpleNamespace(references={}, task=make_task(), start=start)
    assert tails.reference(bench, 64) == tails.reference(bench, 64) == 0.3
    assert len(started) == tails.REFERENCE_ROUNDS
    assert started[0] == {"memory_mib": 64, "on": False, "binary": None}


def permits_realtime():
    """Whether this process may have a real-time priority; root in a container may not."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def test_process_has_its_priority_back_after_an_end():
    inside = []
    running = SimpleNamespace(
        pid=os.getpid(),
        helpers=tuple,
        end_by=lambda number, **_: inside.append((number, os.sched_getscheduler(0))),
    )
    tails.end_first(running, signal.SIGKILL)
    assert inside[0][0] == signal.SIGKILL
    if permits_realtime():
        assert inside[0][1] & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER
