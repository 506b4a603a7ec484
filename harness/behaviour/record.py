"""Run behaviour tests on every subject in turns, and write behaviour.json."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.behaviour.judge import compare, judge_metrics, problems_of
from harness.behaviour.model import BehaviourResults, BehaviourRow
from harness.behaviour.run import run_test
from harness.behaviour.tests import BehaviourTestName
from harness.bench import Bench, Subject
from harness.errors import BehaviourError
from harness.figures import shown
from harness.layout import Layout
from harness.results import Recorder
from harness.teardown.gates import NO_GATES, Gates

ROUNDS = 5


def behaviour_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "behaviour.json"


def record_behaviour(
    bench: Bench, tests: Sequence[BehaviourTestName], *, command: str, gates: Gates = NO_GATES
) -> BehaviourResults:
    """Run each test on each subject of the first target, in -Drounds= rounds. Write behaviour.json.

    The order of the subjects is random in each round. ``gates`` are judged at the end. Raises the errors of
    the bench, and BehaviourError if avocado cannot run.
    """
    target = bench.native[0].target
    subjects = [subject for subject in bench.native if subject.target == target]
    rounds = bench.options.rounds or ROUNDS

    def make(shared: dict[str, Any], ended: bool) -> BehaviourResults:
        rows = tuple(recorder.rows)
        comparisons = tuple(compare(rows, subjects)) if ended else ()
        return BehaviourResults(
            **shared,
            seed=bench.seed,
            binaries=tuple(subjects),
            rows=rows,
            comparisons=comparisons,
            gates=judge_metrics(comparisons, gates) if shared["complete"] else (),
        )

    recorder = Recorder[BehaviourRow, BehaviourResults](
        behaviour_file(bench.layout), bench.options, command=command, make=make
    )
    with recorder:
        for test in tests:
            _run(bench, test, _order(subjects, rounds, f"{bench.seed}/{test.name}"), recorder.take)
        return recorder.finish()


def _run(
    bench: Bench,
    test: BehaviourTestName,
    order: Sequence[tuple[int, Subject]],
    on_row: Callable[[BehaviourRow], None],
) -> None:
    with bench.reporter.step(f"{test.name}: {len(order)} runs") as step:

        def take(row: BehaviourRow) -> None:
            on_row(row)
            step.update(row.index, len(order), f"{row.variant}: {row.outcome}")

        run_test(bench, test, order, take)


def _order(subjects: Sequence[Subject], rounds: int, seed: str) -> list[tuple[int, Subject]]:
    draw = random.Random(seed)  # noqa: S311 - an order, not a secret
    return [
        (turn, subject) for turn in range(1, rounds + 1) for subject in draw.sample(subjects, len(subjects))
    ]


def check_behaviour(layout: Layout, results: BehaviourResults) -> None:
    """Raise BehaviourError if a test fails, a metric is worse, or no test ran."""
    problems = problems_of(results)
    if problems:
        raise BehaviourError(
            shown(problems),
            f"read the logs of the test below {layout.build / 'avocado' / 'jobs'}",
            details=tuple(problems[1:]),
            log=behaviour_file(layout),
        )
    if all(row.outcome == "cancel" for row in results.rows):
        reason = results.rows[0].reason if results.rows else "there is none"
        raise BehaviourError(f"no test ran: {reason}", "correct the cause, or choose other options")
