"""Run one behaviour test on subjects, one after another."""

from collections.abc import Callable, Sequence

from harness.behaviour.model import BehaviourRow, Metric, Setup
from harness.behaviour.tests import BehaviourTestName
from harness.bench import Bench, Subject
from harness.errors import BehaviourError
from harness.job import JobEvent, JobItem, run_plan
from harness.teardown.model import Cell
from harness.teardown.scenario import design

_OUTCOMES = {"PASS": "pass", "WARN": "pass", "CANCEL": "cancel", "SKIP": "cancel"}


def run_test(
    bench: Bench,
    test: BehaviourTestName,
    order: Sequence[tuple[int, Subject]],
    on_row: Callable[[BehaviourRow], None] = lambda _: None,
) -> list[BehaviourRow]:
    """Run ``test`` once for each (round, subject) of ``order``. Return the rows in that order.

    Raises BehaviourError if avocado ran no test.
    """
    rows: dict[int, BehaviourRow] = {}

    def take(event: JobEvent, metrics: tuple[Metric, ...] | None) -> None:
        turn, subject = order[event.index - 1]
        rows[event.index] = BehaviourRow(
            test=test.name,
            variant=subject.variant,
            round=turn,
            index=event.index,
            outcome="fail" if metrics is None else _OUTCOMES.get(event.status, "fail"),  # type: ignore[arg-type]
            reason=event.no_result if metrics is None else " ".join(event.reason.split()),
            metrics=metrics or (),
        )
        on_row(rows[event.index])

    items = tuple(
        JobItem(index=index, name=f"{subject.variant}-r{turn}", task=_setup(bench, subject))
        for index, (turn, subject) in enumerate(order, start=1)
    )
    limit_s = 4 * bench.options.timeout + 120
    run_plan(
        bench.layout,
        test.reference,
        items,
        tuple[Metric, ...],
        take,
        timeout_s=limit_s,
        error=BehaviourError,
    )
    return [rows[index] for index in sorted(rows)]


def _setup(bench: Bench, subject: Subject) -> Setup:
    matrix = design(bench.options, [subject], bench.accels, bench.firmware, boots=bench.boots)
    guests: dict[str, Cell] = {}
    for block in matrix.blocks:
        guests.setdefault(block[0].payload, block[0])
    return Setup(subject=subject, guests=guests)
