from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from harness.errors import TeardownError
from harness.job import JobEvent
from harness.progress import Silent
from harness.teardown import runner
from harness.teardown.model import Cell, Sample, sample_of
from harness.teardown.runner import NO_HOOKS, Hooks
from harness.teardown.statistics import compare

from ..bench.support import make_bench
from ..fake_avocado import replace_job
from .test_scenario import TARGETS, options, subjects


@pytest.fixture
def job(monkeypatch):
    """Replace avocado: ``job.lines`` returns the lines to print for each plan."""

    class Job:
        lines = staticmethod(lambda blocks: [])
        rounds: ClassVar = []
        interrupt = False

    def lines(plan):
        blocks = [msgspec.convert(item.task, tuple[Cell, ...]) for item in plan.items]
        Job.rounds.append(blocks[0][0].round)
        yield from Job.lines(blocks)
        if Job.interrupt and Job.rounds[-1] > 0:
            raise KeyboardInterrupt

    Job.rounds.clear()
    replace_job(monkeypatch, lines)
    return Job


def line(block, samples=(), status="PASS", reason=""):
    whiteboard = msgspec.json.encode(samples).decode() if samples else ""
    event = JobEvent(index=block[0].index, status=status, whiteboard=whiteboard, reason=reason)
    return msgspec.json.encode(event).decode()


def go(layout, hooks=NO_HOOKS, **fields):
    chosen = options(**{"rounds": 1, "memory_mib": (256,), "triggers": ("sigkill",), **fields})
    reporter = Silent()
    bench = make_bench(layout, chosen, subjects("base", "patched"), reporter=reporter)
    return runner.run_teardown(bench, hooks=hooks), reporter.lines


def good(block):
    return [sample_of(cell, outcome="ok", exit_s=0.1, reclaim_s=0.1, threads=5) for cell in block]


def all_good(blocks):
    return [line(block, good(block)) for block in blocks]


def test_samples_are_read_from_whiteboards_and_other_output_is_ignored(layout, job):
    job.lines = staticmethod(lambda blocks: ["Traceback", "{}", *all_good(blocks)])
    run, _ = go(layout)
    assert [sample.outcome for sample in run.samples] == ["ok"] * 4
    assert [sample.index for sample in run.samples] == [1, 2, 3, 4]


def test_warm_up_is_discarded_and_indexes_continue_over_rounds(layout, job):
    job.lines = staticmethod(all_good)
    received = []
    hooks = Hooks(
        on_sample=lambda sample: received.append(sample.round),
        on_round=lambda made: received.append(len(made)),
    )
    run, _ = go(layout, hooks, rounds=2)
    assert job.rounds == [0, 1, 2]
    assert [sample.round for sample in run.samples] == [1] * 4 + [2] * 4
    assert [sample.index for sample in run.samples] == list(range(1, 9))
    assert received == [1, 1, 1, 1, 4, 2, 2, 2, 2, 4]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the fake job moves."""
    now = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    return now


def timed(now, seconds, exits=(0.1, 0.001), noise=1.0):
    """Return lines of good samples that take ``seconds`` each; base and patched exit after ``exits``."""

    def lines(blocks):
        found = []
        for block in blocks:
            samples = []
            for cell in block:
                exit_s = exits[cell.variant == "patched"] * noise ** (cell.index % 3)
                started = f"2026-01-01T00:{int(now[0]) // 60:02}:{now[0] % 60:06.3f}+00:00"
                samples.append(
                    sample_of(cell, outcome="ok", exit_s=exit_s, reclaim_s=exit_s, threads=5, started=started)
                )
                now[0] += seconds
            found.append(line(block, samples))
        return found

    return lines


def test_run_ends_when_all_is_decided(layout, job, clock):
    job.lines = staticmethod(timed(clock, 1.0))
    run, printed = go(layout, rounds=0, budget_s=600)
    assert job.rounds == [0, 1, 2]
    assert len(run.samples) == 2 * 2 * 3
    assert [sample.index for sample in run.samples] == list(range(1, 13))
    assert run.warmup_s == 4.0
    assert [text for text in printed if text.startswith("round")] == [
        "round 1: 4 samples",
        "round 2 (8 of 600 s spent): 8 samples",
    ]


def test_run_ends_when_its_budget_is_spent(layout, job, clock):
    job.lines = staticmethod(timed(clock, 5.0, exits=(0.1, 0.1), noise=1.5))
    run, _ = go(layout, rounds=0, budget_s=200)
    assert 150 <= clock[0] <= 210
    assert max(sample.round for sample in run.samples) > 2
    # The pilot always runs.
    job.rounds.clear()
    go(layout, rounds=0, budget_s=1)
    assert job.rounds == [0, 1]


def test_restarts_without_time_are_cancelled_and_count_as_comparisons(layout, job, clock):
    job.lines = staticmethod(timed(clock, 5.0))
    received = []
    run, printed = go(
        layout, Hooks(on_sample=received.append), rounds=0, budget_s=60, restart="all", targets=TARGETS[:1]
    )
    late = [sample for sample in run.samples if sample.kind == "restart"]
    assert [(sample.variant, sample.outcome) for sample in late] == [
        ("base", "cancelled"),
        ("patched", "cancelled"),
    ]
    assert late[0].reason == "no time was left of -Dbudget=60s"
    assert received[-2:] == late
    assert [sample.index for sample in run.samples] == list(range(1, len(run.samples) + 1))
    assert sum("no time was left" in text for text in printed) == 1
    rows = compare(run.samples, looks=True)
    assert [row.verdict for row in rows] == ["better", "better", "not enough data"]


def test_fixed_rounds_visit_every_cell_and_show_the_time_left(layout, job, clock):
    job.lines = staticmethod(timed(clock, 5.0))
    run, printed = go(layout, rounds=4, restart="all", targets=TARGETS[:1])
    assert len(run.samples) == 4 * 4
    assert [text for text in printed if text.startswith("round")][:2] == [
        "round 1 of 4: 4 samples",
        "round 2 of 4: 4 samples, about 60 s left",
    ]


def test_floor_has_as_many_threads_as_qemu(layout, job):
    seen = []

    def lines(blocks):
        seen.extend((cell.round, cell.threads) for block in blocks for cell in block if cell.kind == "floor")
        return all_good(blocks)

    job.lines = staticmethod(lines)
    chosen = options(rounds=1, memory_mib=(256,), triggers=("sigkill",))
    runner.run_teardown(make_bench(layout, chosen, subjects("base")), floor=Path("/floor"))
    assert seen == [(0, 1), (1, 5)]


def test_each_cell_has_a_row_even_without_a_result_of_avocado(layout, job):
    job.lines = staticmethod(
        lambda blocks: [
            line(blocks[0], good(blocks[0])[:1], "INTERRUPTED", "Test interrupted:\n Timeout reached")
        ]
    )
    run, printed = go(layout)
    assert [sample.outcome for sample in run.samples] == ["ok", "failed", "failed", "failed"]
    assert run.samples[1].reason == (
        "the test ended with INTERRUPTED and no result: Test interrupted: Timeout reached"
    )
    assert run.samples[2].reason == "avocado reported no result for it"
    assert any("failed" in text for text in printed)


def test_cancelled_size_is_reported_once(layout, job):
    def cancelled(block):
        return [sample_of(cell, outcome="cancelled", reason="needs much") for cell in block]

    job.lines = staticmethod(lambda blocks: [line(block, cancelled(block), "CANCEL") for block in blocks])
    _, printed = go(layout)
    assert [text for text in printed if "cancelled" in text] == ["256 MiB cancelled: needs much"]


def test_avocado_without_a_test_is_an_error_with_its_output(layout, job):
    with pytest.raises(TeardownError, match="ran no test") as caught:
        go(layout)
    assert caught.value.details == ("avocado crashed",)


def test_interrupted_run_keeps_its_samples(layout, job):
    job.lines = staticmethod(lambda blocks: all_good(blocks[:1]))
    job.interrupt = True
    samples: list[Sample] = []
    with pytest.raises(KeyboardInterrupt):
        go(layout, Hooks(on_sample=samples.append))
    assert len(samples) == 2
    assert not list((layout.build / "avocado").glob("plan-*"))
