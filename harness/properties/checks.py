"""The check of each row, and its execution."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from harness.properties import (
    asleep,
    code,
    configurations,
    confinement,
    descriptors,
    exits,
    failures,
    inflight,
    killed,
    lifetime,
    shared,
    signals,
)
from harness.properties.bench import Bench
from harness.properties.model import ROWS, PropertyRow, Task, outcome_of
from harness.properties.outcome import Parts

CHECKS: dict[int, Callable[[Bench, Parts], None]] = {
    1: exits.exit_at_once,
    2: exits.memory_back,
    3: confinement.daemonized,
    4: confinement.run_as_nobody,
    5: confinement.as_confined_as_qemu,
    6: confinement.confined,
    7: failures.ready_or_error,
    8: lifetime.one_at_most,
    9: killed.helper_killed,
    10: signals.group_signals,
    11: descriptors.no_descriptors,
    12: code.no_libc_state,
    13: lifetime.execve_frees,
    14: exits.pid_one,
    15: configurations.configured_otherwise,
    16: shared.shared_memory,
    17: asleep.asleep,
    18: inflight.io_over,
}


def check(task: Task, *, folder: Path, expected: str) -> PropertyRow:
    """Check ``task``. When this returns or raises, no process that it started remains.

    QEMU's logs remain in ``folder``; other files of the check are removed. A HarnessError makes its part
    fail. Other exceptions are bugs of the harness.
    """
    began = time.monotonic()
    parts, whole = Parts(), Parts()
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(task, work=work, logs=folder)
    try:
        with whole.part("whole row"):
            CHECKS[task.row](bench, parts)
    finally:
        bench.sweep()
        shutil.rmtree(work, ignore_errors=True)
    # An exception outside the parts concerns all of them.
    parts.made += [part for part in whole.made if part.outcome != "pass"]
    outcome, reason = outcome_of(parts.made)
    return PropertyRow(
        row=task.row,
        title=ROWS[task.row],
        variant=task.binary.variant,
        target=task.binary.target,
        outcome=outcome,
        reason=reason.removeprefix("whole row: "),
        expected=expected,
        seconds=round(time.monotonic() - began, 3),
        parts=tuple(parts.made),
    )
