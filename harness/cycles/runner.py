"""Run the plan: start a driver for each variant, receive its rows, and compare memory before and after."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from harness.bench import Bench, Subject
from harness.cycles.memory import PREFIX, GroupMeter
from harness.cycles.model import Cycle, CycleRow, DriverJob, Memory, dealt
from harness.errors import CyclesError, HarnessError
from harness.guest.group import make_group
from harness.jsonfile import write_json
from harness.layout import Layout
from harness.process import run
from harness.progress import Reporter

LANES = 2
"""Number of concurrent cycles. They disturb each other's timing, which adds randomness."""
RUN_LIMIT_S = 30.0


def run_cycles(
    bench: Bench, cycles: Sequence[Cycle], *, on_row: Callable[[CycleRow], None]
) -> tuple[Memory, ...]:
    """Run ``cycles`` with each variant in turn. Each cycle runs one of the variant's targets.

    Calls ``on_row`` with each row. Returns the memory before and after, by variant. Guests of a target
    without KVM run under TCG, even if the plan has KVM. Raises CyclesError if a driver fails, and the errors
    of harness.process.run.
    """
    memory: list[Memory] = []
    firmware = tuple(map(str, bench.firmware.folders))
    for variant in dict.fromkeys(subject.variant for subject in bench.subjects):
        mine = [subject for subject in bench.subjects if subject.variant == variant]
        folder = bench.layout.build / "cycles" / variant
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = DriverJob(
            variant=variant,
            binaries=tuple((one.target, one.path, firmware) for one in mine),
            options=mine[0].options,
            cycles=tuple(_runnable(cycle, mine, bench) for cycle in cycles),
            lanes=min(LANES, len(cycles)),
            limit_s=RUN_LIMIT_S,
            folder=str(folder),
        )
        memory.append(_run_job(bench.layout, job, bench.reporter, on_row))
    return tuple(memory)


def _runnable(cycle: Cycle, subjects: Sequence[Subject], bench: Bench) -> Cycle:
    """Return ``cycle`` with an accelerator that its target supports."""
    has_kvm = bench.has_kvm(dealt(cycle, subjects).target)
    return cycle if has_kvm else msgspec.structs.replace(cycle, accel="tcg")


def _run_job(
    layout: Layout, job: DriverJob, reporter: Reporter, on_row: Callable[[CycleRow], None]
) -> Memory:
    log = layout.logs / f"cycles-{job.variant}.log"
    log.unlink(missing_ok=True)
    rows: list[CycleRow] = []
    with make_group(PREFIX) as group, reporter.step(f"{len(job.cycles)} cycles of {job.variant}") as step:
        meter = GroupMeter(group)

        def take(line: str) -> None:
            try:
                row = msgspec.json.decode(line, type=CycleRow)
            except msgspec.MsgspecError:
                return  # a traceback, which is in the log
            rows.append(row)
            failed = sum(one.outcome == "fail" for one in rows)
            step.update(len(rows), len(job.cycles), f"{failed} failed" if failed else "")
            on_row(row)

        run_driver("cycles", job, job, group, take, log=log, error=CyclesError)
        verdict = meter.verdict(job.variant)
    if len(rows) != len(job.cycles):
        raise CyclesError(
            f"{len(job.cycles) - len(rows)} cycles of {job.variant} have no result",
            "report it with the log",
            log=log,
        )
    return verdict


def run_driver(
    stage: str,
    job: DriverJob,
    given: msgspec.Struct,
    group: Path | None,
    on_line: Callable[[str], None],
    *,
    log: Path,
    error: type[HarnessError],
) -> None:
    """Run the driver of ``stage`` in the cgroup ``group`` with the input ``given``, which contains ``job``.

    Raises ``error`` if it fails.
    """
    file = Path(job.folder) / "job.json"
    write_json(file, given)
    join = ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")) if group else ()
    run(
        [*join, sys.executable, "-m", f"harness.{stage}.driver", file],
        cwd=Path(__file__).resolve().parents[2],
        log=log,
        on_line=on_line,
        error=lambda ended: error(
            f"the driver for the {stage} of {job.variant} ended with status {ended.returncode}",
            "report it with its last lines",
            details=tuple(line for line in ended.output.splitlines() if not line.startswith("{"))[-5:],
            log=log,
        ),
        grace_s=20.0,
    )
