"""Run the plan: for each variant a driver, its rows as they come, and the memory before and after."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.cycles.memory import GroupMeter, own_group
from harness.cycles.model import Cycle, CycleRow, CyclesRun, DriverJob, Memory, dealt
from harness.errors import CyclesError
from harness.guest import Firmware
from harness.jsonfile import write_json
from harness.process import Finished, run
from harness.teardown import Subject

if TYPE_CHECKING:
    from harness.layout import Layout
    from harness.progress import Reporter

LANES = 2
"""Cycles at a time: they disturb each other's timing, which is to be random."""
RUN_LIMIT_S = 30.0


def run_cycles(
    layout: Layout,
    subjects: Sequence[Subject],
    cycles: Sequence[Cycle],
    firmware: Mapping[str, Firmware],
    reporter: Reporter,
    *,
    only_tcg: Collection[str] = (),
    on_row: Callable[[CycleRow], None] | None = None,
) -> CyclesRun:
    """Run ``cycles`` with the binaries of each variant in turn; each cycle with one of its targets.

    Guests of the targets in ``only_tcg`` run under TCG, whatever the plan says. ``on_row`` is called as each
    row comes in. Raises CyclesError when a driver fails, and what harness.process.run raises.
    """
    rows: list[CycleRow] = []
    memory: list[Memory] = []
    for variant in dict.fromkeys(subject.variant for subject in subjects):
        mine = [subject for subject in subjects if subject.variant == variant]
        folder = layout.build / "cycles" / variant
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = DriverJob(
            variant=variant,
            binaries=tuple(
                (one.target, one.path, tuple(map(str, firmware[one.target].folders))) for one in mine
            ),
            options=mine[0].options,
            cycles=tuple(_runnable(cycle, mine, only_tcg) for cycle in cycles),
            lanes=min(LANES, len(cycles)),
            limit_s=RUN_LIMIT_S,
            folder=str(folder),
        )
        found, verdict = _run_job(layout, job, reporter, on_row)
        rows += found
        memory.append(verdict)
    return CyclesRun(rows=tuple(rows), memory=tuple(memory), complete=True)


def _runnable(cycle: Cycle, subjects: Sequence[Subject], only_tcg: Collection[str]) -> Cycle:
    """``cycle`` with an accelerator that its target has."""
    without_kvm = dealt(cycle, subjects).target in only_tcg
    return msgspec.structs.replace(cycle, accel="tcg") if without_kvm else cycle


def _run_job(
    layout: Layout, job: DriverJob, reporter: Reporter, on_row: Callable[[CycleRow], None] | None
) -> tuple[list[CycleRow], Memory]:
    plan, log = Path(job.folder) / "job.json", layout.logs / f"cycles-{job.variant}.log"
    log.unlink(missing_ok=True)
    write_json(plan, job)
    rows: list[CycleRow] = []

    def explain(ended: Finished) -> CyclesError:
        return CyclesError(
            f"the driver of {job.variant}'s cycles ended with status {ended.returncode}",
            "read its last lines, and report them",
            details=tuple(line for line in ended.output.splitlines() if not line.startswith("{"))[-5:],
            log=log,
        )

    with own_group() as group, reporter.step(f"{len(job.cycles)} cycles of {job.variant}") as step:
        meter = GroupMeter(group)

        def take(line: str) -> None:
            try:
                row = msgspec.json.decode(line, type=CycleRow)
            except msgspec.MsgspecError:
                return  # the calibration, or what Python says of a fault: that is in the log
            rows.append(row)
            failed = sum(one.outcome == "fail" for one in rows)
            step.update(len(rows), len(job.cycles), f"{failed} failed" if failed else "")
            if on_row is not None:
                on_row(row)

        run(
            [*joining(group), sys.executable, "-m", "harness.cycles.driver", plan],
            cwd=Path(__file__).resolve().parents[2],
            log=log,
            on_line=take,
            error=explain,
            grace_s=20.0,
        )
        verdict = meter.verdict(job.variant)
    if len(rows) != len(job.cycles):
        raise CyclesError(
            f"{len(job.cycles) - len(rows)} cycles of {job.variant} have no result",
            "read the log, and report it",
            log=log,
        )
    return sorted(rows, key=lambda row: row.cycle.number), verdict


def joining(group: Path | None) -> list[str]:
    """A prefix that puts a program into ``group``, and all that it starts."""
    if group is None:
        return []
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
