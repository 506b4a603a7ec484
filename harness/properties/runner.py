"""Plan the tasks, run them through avocado, collect a row for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from harness.errors import PropertyError
from harness.guest import fetch_firmware
from harness.job import JobEvent, JobItem, run_plan
from harness.properties.model import HOSTS_ROW, ROWS, CheckedBinary, Part, PropertyRow, Task

if TYPE_CHECKING:  # tests under avocado import this package
    from harness.guest import Firmware
    from harness.layout import Layout
    from harness.options import Options
    from harness.progress import Reporter, Step

TEST = "tests/avocado/properties.py"
TASK_LIMIT_S = 900
"""What one row may take: many times what the slowest takes."""
REFERENCE = "base"
LARGEST_MIB = 16384
"""The largest guest of row 2, unless -Dmemory says less."""


def plan(
    options: Options,
    binaries: Sequence[CheckedBinary],
    rows: Sequence[int],
    firmware: Firmware,
    elsewhere: Mapping[str, tuple[Part, ...]],
) -> tuple[Task, ...]:
    """The tasks, row by row; the binaries of a row follow each other, so that they meet the same machine."""
    references = {binary.target: binary for binary in binaries if binary.variant == REFERENCE}
    order = [(row, binary) for row in rows for binary in binaries]
    return tuple(
        Task(
            index=index,
            row=row,
            binary=binary,
            reference=references.get(binary.target),
            firmware=tuple(str(folder) for folder in firmware.folders),
            memory_mib=max(options.memory_mib) if options.has("memory") else LARGEST_MIB,
            timeout_s=float(min(options.timeout, 120)),
            elsewhere=elsewhere.get(binary.variant, ()) if row == HOSTS_ROW else (),
        )
        for index, (row, binary) in enumerate(order, start=1)
    )


def run_properties(
    layout: Layout,
    options: Options,
    binaries: Sequence[CheckedBinary],
    rows: Sequence[int],
    reporter: Reporter,
    *,
    elsewhere: Mapping[str, tuple[Part, ...]],
    on_row: Callable[[PropertyRow], None] | None = None,
) -> tuple[PropertyRow, ...]:
    """Check ``rows`` on ``binaries``, one after the other; ``on_row`` is called as each one comes in.

    Every task gives a row: one that avocado lost has failed. Raises PropertyError when avocado itself cannot
    run, FetchError for firmware.
    """
    targets = tuple(dict.fromkeys(binary.target for binary in binaries))
    tasks = plan(options, binaries, rows, fetch_firmware(layout, reporter, targets), elsewhere)
    items = tuple(
        JobItem(index=task.index, name=task.name, params={"task": msgspec.json.encode(task).decode()})
        for task in tasks
    )
    collector = _Collector(tasks, on_row)
    with reporter.step(f"{len(rows)} properties of {len(binaries)} binaries") as step:
        finished = run_plan(
            layout,
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
            log=layout.logs / "avocado.log",
        )
    return tuple(collector.rows.get(task.index) or _lost(task, "avocado gave no result") for task in tasks)


class _Collector:
    """Events of the job → rows."""

    def __init__(self, tasks: Sequence[Task], on_row: Callable[[PropertyRow], None] | None) -> None:
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
        if self._on_row is not None:
            self._on_row(row)
        step.update(len(self.rows), len(self._tasks), f"{row.row} {row.variant} {row.outcome}")


def _lost(task: Task, reason: str) -> PropertyRow:
    # With an expectation that it cannot meet: a lost row is never what was known.
    return PropertyRow(
        row=task.row,
        title=ROWS[task.row],
        variant=task.binary.variant,
        target=task.binary.target,
        outcome="fail",
        reason=reason,
        expected="a result",
    )
