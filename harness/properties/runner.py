"""Plan the tasks, run them through avocado, and collect a row for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from harness.bench.subject import REFERENCES
from harness.errors import PropertyError
from harness.job import JobEvent, JobItem, run_plan
from harness.properties.model import HOSTS_ROW, ROWS, Part, PropertyRow, Task

if TYPE_CHECKING:  # tests under avocado import this package
    from harness.bench import Bench, Subject
    from harness.guest import Firmware
    from harness.options import Options
    from harness.progress import Step

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
    items = tuple(
        JobItem(index=task.index, name=task.name, params={"task": msgspec.json.encode(task).decode()})
        for task in tasks
    )
    collector = _Collector(tasks, on_row)
    count = len(bench.native)
    what = f"{len(rows)} propert{'ies' if rows[1:] else 'y'} of {count} binar{'y' if count == 1 else 'ies'}"
    with bench.reporter.step(what) as step:
        finished = run_plan(
            bench.layout,
            TEST,
            items,
            timeout_s=TASK_LIMIT_S,
            on_event=lambda event: collector.take(event, step),
        )
    if not collector.rows:
        raise PropertyError(
            f"avocado ran no test (status {finished.returncode})",
            "read the lines above and the log",
            details=tuple(finished.output.splitlines()[-10:]),
            log=bench.layout.logs / "avocado.log",
        )
    for task in tasks:
        if task.index not in collector.rows:
            on_row(_lost(task, "avocado reported no result for it"))


class _Collector:
    """Events of the job → rows."""

    def __init__(self, tasks: Sequence[Task], on_row: Callable[[PropertyRow], None]) -> None:
        self._tasks = {task.index: task for task in tasks}
        self._on_row = on_row
        self.rows: dict[int, PropertyRow] = {}

    def take(self, event: JobEvent, step: Step) -> None:
        task = self._tasks[event.index]
        try:
            row = msgspec.json.decode(event.whiteboard, type=PropertyRow)
        except msgspec.MsgspecError:
            reason = f"the test ended with {event.status} and no result: {event.reason or 'no reason given'}"
            row = _lost(task, " ".join(reason.split()))
        self.rows[task.index] = row
        self._on_row(row)
        step.update(len(self.rows), len(self._tasks), f"{row.row} {row.variant} {row.outcome}")


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
