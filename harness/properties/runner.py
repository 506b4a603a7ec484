"""Plan the tasks, run them through avocado, and collect a row for each."""

from collections.abc import Callable, Mapping, Sequence

from harness.bench import Bench, Subject
from harness.bench.subject import REFERENCES
from harness.errors import PropertyError
from harness.guest.firmware import Firmware
from harness.job import JobEvent, JobItem, run_plan
from harness.options import Options
from harness.properties.model import HOSTS_ROW, ROWS, Part, PropertyRow, Task

TEST = "tests/avocado/properties.py"
TASK_LIMIT_S = 900
"""Time limit of one row in seconds, many times that of the slowest row."""
LARGEST_MIB = 16384
"""The largest guest of row 2, unless -Dmemory is given."""


def plan(
    options: Options,
    subjects: Sequence[Subject],
    rows: Sequence[int],
    firmware: Firmware,
    emulated: Mapping[str, tuple[Part, ...]],
) -> tuple[Task, ...]:
    """Return the tasks, row by row. The subjects of a row run in succession, in the same machine state."""
    references: dict[str, Subject] = {}
    for name in reversed(REFERENCES):
        references |= {subject.target: subject for subject in subjects if subject.variant == name}
    order = [(row, subject) for row in rows for subject in subjects]
    return tuple(
        Task(
            index=index,
            row=row,
            binary=subject,
            reference=references.get(subject.target),
            firmware=tuple(str(folder) for folder in firmware.folders),
            memory_mib=max(options.memory_mib) if options.has("memory") else LARGEST_MIB,
            timeout_s=float(min(options.timeout, 120)),
            emulated=emulated.get(subject.variant, ()) if row == HOSTS_ROW else (),
        )
        for index, (row, subject) in enumerate(order, start=1)
    )


def run_properties(
    bench: Bench,
    rows: Sequence[int],
    *,
    emulated: Mapping[str, tuple[Part, ...]],
    on_row: Callable[[PropertyRow], None],
) -> None:
    """Check ``rows`` on the subjects of ``bench``, one after the other, and call ``on_row`` with each row.

    Each task gives a row, which has failed if avocado reports no result. Raises PropertyError if avocado
    itself cannot run, FetchError for firmware.
    """
    tasks = plan(bench.options, bench.native, rows, bench.firmware, emulated)
    items = tuple(JobItem(index=task.index, name=task.name, task=task) for task in tasks)
    made: list[PropertyRow] = []
    count = len(bench.native)
    what = f"{len(rows)} propert{'ies' if rows[1:] else 'y'} of {count} binar{'y' if count == 1 else 'ies'}"
    with bench.reporter.step(what) as step:

        def take(event: JobEvent, found: PropertyRow | None) -> None:
            row = found or _lost(tasks[event.index - 1], event.no_result)
            made.append(row)
            on_row(row)
            step.update(len(made), len(tasks), f"{row.row} {row.variant} {row.outcome}")

        run_plan(bench.layout, TEST, items, PropertyRow, take, timeout_s=TASK_LIMIT_S, error=PropertyError)


def _lost(task: Task, reason: str) -> PropertyRow:
    # With an expectation that it cannot meet, because a missing result is never expected.
    return PropertyRow(
        row=task.row,
        title=ROWS[task.row],
        variant=task.binary.variant,
        target=task.binary.target,
        outcome="fail",
        reason=reason,
        expected="a result",
    )
