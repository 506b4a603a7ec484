"""Run behaviour tests on every subject in turns, compare their metrics, and write behaviour.json."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.behaviour.model import BehaviourResults, BehaviourRow, Metric, MetricComparison, Setup
from harness.behaviour.tests import BehaviourTestName
from harness.bench import Bench, Subject
from harness.errors import BehaviourError
from harness.job import JobEvent, JobItem, run_plan
from harness.layout import Layout
from harness.regression.decide import ALPHA, effect_of
from harness.results import Recorder
from harness.teardown.statistics import reference_of

ROUNDS = 5
_OUTCOMES = {"PASS": "pass", "WARN": "pass", "CANCEL": "cancel", "SKIP": "cancel"}


def behaviour_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "behaviour.json"


def record_behaviour(bench: Bench, tests: Sequence[BehaviourTestName], *, command: str) -> BehaviourResults:
    """Run each test on each subject of the first target, in -Drounds= rounds. Write behaviour.json.

    The order of the subjects is random in each round. Raises the errors of the bench.
    """
    target = bench.native[0].target
    subjects = [subject for subject in bench.native if subject.target == target]
    rounds = bench.options.rounds or ROUNDS

    def make(shared: dict[str, Any], ended: bool) -> BehaviourResults:
        rows = tuple(recorder.rows)
        return BehaviourResults(
            **shared,
            seed=bench.seed,
            binaries=tuple(subjects),
            rows=rows,
            comparisons=tuple(compare(rows, subjects)) if ended else (),
        )

    recorder = Recorder[BehaviourRow, BehaviourResults](
        behaviour_file(bench.layout), bench.options, command=command, make=make
    )
    with recorder:
        for test in tests:
            for row in _run(bench, test, subjects, rounds):
                recorder.take(row)
        return recorder.finish()


def _run(
    bench: Bench, test: BehaviourTestName, subjects: Sequence[Subject], rounds: int
) -> list[BehaviourRow]:
    draw = random.Random(f"{bench.seed}/{test.name}")  # noqa: S311 - an order, not a secret
    order: list[tuple[int, Subject]] = []
    for turn in range(1, rounds + 1):
        order += [(turn, subject) for subject in draw.sample(subjects, len(subjects))]
    items = tuple(
        JobItem(
            index=index,
            name=f"{subject.variant}-r{turn}",
            params={"setup": msgspec.json.encode(_setup(bench, subject)).decode()},
        )
        for index, (turn, subject) in enumerate(order, start=1)
    )
    rows: dict[int, BehaviourRow] = {}
    with bench.reporter.step(f"{test.name}: {len(items)} runs") as step:

        def take(event: JobEvent) -> None:
            turn, subject = order[event.index - 1]
            rows[event.index] = _row(test, subject, turn, event)
            step.update(len(rows), len(items), f"{subject.variant}: {rows[event.index].outcome}")

        run_plan(
            bench.layout, test.reference, items, timeout_s=4 * bench.options.timeout + 120, on_event=take
        )
    lost = f"avocado did not run it, see {bench.layout.logs / 'avocado.log'}"
    for index, (turn, subject) in enumerate(order, start=1):
        rows.setdefault(
            index, _row(test, subject, turn, JobEvent(index=index, status="", whiteboard="", reason=lost))
        )
    return [rows[index] for index in sorted(rows)]


def _setup(bench: Bench, subject: Subject) -> Setup:
    options, boot = bench.options, bench.boots.get(subject.target)
    return Setup(
        subject=subject,
        memory_mib=options.memory_mib[0],
        backend=options.backends[0],
        pages=options.pages[0],
        payload=bench.payloads[0],
        accels={payload: bench.accels[subject.target, payload].name for payload in bench.payloads},
        firmware=tuple(str(folder) for folder in bench.firmware.folders),
        kernel=str(boot.kernel) if boot else "",
        initrd=str(boot.initrd) if boot else "",
        timeout_s=float(options.timeout),
    )


def _row(test: BehaviourTestName, subject: Subject, turn: int, event: JobEvent) -> BehaviourRow:
    try:
        metrics = msgspec.json.decode(event.whiteboard or "[]", type=tuple[Metric, ...])
    except msgspec.MsgspecError:
        metrics = ()
    return BehaviourRow(
        test=test.name,
        variant=subject.variant,
        round=turn,
        index=event.index,
        outcome=_OUTCOMES.get(event.status, "fail"),  # type: ignore[arg-type]
        reason=" ".join(event.reason.split()),
        metrics=metrics,
    )


def compare(rows: Iterable[BehaviourRow], subjects: Sequence[Subject]) -> Iterator[MetricComparison]:
    """Compare each metric of each variant with the reference, round by round.

    The probability that any of the intervals misses its effect is at most ALPHA (Bonferroni).
    """
    names = [subject.variant for subject in subjects]
    reference = reference_of(names)
    figures: dict[tuple[str, str], dict[str, dict[int, Metric]]] = {}
    for row in rows:
        for metric in row.metrics if row.outcome == "pass" else ():
            of = figures.setdefault((row.test, metric.name), {})
            of.setdefault(row.variant, {})[row.round] = metric
    others = [name for name in names if name != reference]
    wanted = [
        (key, name, sorted(set(of.get(reference, {})) & set(of.get(name, {}))))
        for key, of in figures.items()
        for name in others
    ]
    shown = [one for one in wanted if one[2]]
    for key, name, turns in shown:
        of, (test, measured) = figures[key], key
        first = of[reference][turns[0]]
        pairs = [(of[reference][turn].value, of[name][turn].value) for turn in turns]
        effect = effect_of(pairs, lower_is_better=first.better == "lower", miss=ALPHA / len(shown))
        known = len(pairs) >= 3
        yield MetricComparison(
            test=test,
            metric=measured,
            unit=first.unit,
            better=first.better,
            reference=reference,
            variant=name,
            pairs=len(pairs),
            reference_median=statistics.median(pair[0] for pair in pairs),
            variant_median=statistics.median(pair[1] for pair in pairs),
            effect=effect.mean,
            low=effect.low if known else None,
            high=effect.high if known else None,
            relative=effect.relative,
            verdict="worse" if effect.low > 0 else "better" if effect.high < 0 else "?",
        )


def problems_of(results: BehaviourResults) -> list[str]:
    """Return a line for each test that fails on a variant other than the reference, and each worse metric."""
    names = [subject.variant for subject in results.binaries]
    reference = reference_of(names)
    failed: dict[tuple[str, str], list[BehaviourRow]] = {}
    for row in results.rows:
        if row.outcome == "fail" and (row.variant != reference or len(names) == 1):
            failed.setdefault((row.test, row.variant), []).append(row)
    lines = [
        f"{test} fails on {variant} in {len(rows)} of its runs: {rows[0].reason or 'no reason given'}"
        for (test, variant), rows in failed.items()
    ]
    return lines + [
        f"{one.metric} of {one.test} is worse on {one.variant}: {one.variant_median:.4g} {one.unit} "
        f"instead of {one.reference_median:.4g} {one.unit}"
        for one in results.comparisons
        if one.verdict == "worse"
    ]


def check_behaviour(layout: Layout, results: BehaviourResults) -> None:
    """Raise BehaviourError if a test fails, a metric is worse, or no test ran."""
    problems = problems_of(results)
    if problems:
        raise BehaviourError(
            problems[0] + (f", and {len(problems) - 1} more" if len(problems) > 1 else ""),
            "read the logs of the test",
            details=tuple(problems[1:]),
            log=behaviour_file(layout),
        )
    if all(row.outcome == "cancel" for row in results.rows):
        reason = results.rows[0].reason if results.rows else "there is none"
        raise BehaviourError(f"no test ran: {reason}", "correct the cause, or choose other options")
