"""Time the subjects of a bench, and write teardown.json."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from harness.bench import Bench
from harness.build.programs import build_programs
from harness.errors import HarnessError, TeardownError
from harness.layout import Layout
from harness.progress import Reporter
from harness.results import Recorder, with_words
from harness.teardown.emulated import run_emulated
from harness.teardown.gates import Gates, judge_gates
from harness.teardown.image import emulated_accel
from harness.teardown.model import EmulatedHost, Sample
from harness.teardown.results import AccelFacts, TeardownResults, teardown_file
from harness.teardown.runner import NO_HOOKS, Hooks, run_teardown
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare


def record_teardown(
    bench: Bench, *, command: str, gates: Gates | None = None, hooks: Hooks = NO_HOOKS
) -> TeardownResults:
    """Time the subjects of ``bench`` and write teardown.json, also during the run (harness.results).

    Subjects that are built for another host run on the emulated hosts of ``bench``. ``gates`` are judged at
    the end. Raises the errors of run_teardown and run_emulated; earlier rows are already on disk.
    """
    layout, options, reporter = bench.layout, bench.options, bench.reporter
    runs_here = bool(bench.native) or not bench.emulators
    accels = (
        bench.accels if runs_here else {where.target: emulated_accel(where) for where, _ in bench.emulators}
    )
    facts = tuple(
        AccelFacts(target=accel.target, name=accel.name, reason=accel.reason, payload=accel.payload)
        for accel in accels.values()
    )
    emulated: list[EmulatedHost] = []
    took = (0.0, 0.0)

    def make(shared: dict[str, Any], ended: bool) -> TeardownResults:
        rows = tuple(sorted(recorder.rows, key=lambda row: row.index))
        # Comparisons take CPU time, which would disturb the guest that is timed during the run.
        results = TeardownResults(
            **shared,
            binaries=bench.subjects,
            accels=facts,
            rows=rows,
            comparisons=compare(rows, looks=not options.rounds) if ended else (),
            slopes=fit_slopes(rows) if ended else (),
            emulated=tuple(emulated),
            seed=bench.seed,
            warmup_s=took[0],
            round_s=took[1],
        )
        if gates is None or not results.complete:
            return results
        return msgspec.structs.replace(results, gates=judge_gates(results, gates))

    words = with_words(command, f"-Dseed={bench.seed}")
    recorder = Recorder[Sample, TeardownResults](teardown_file(layout), options, command=words, make=make)
    with recorder:
        if runs_here:
            floor = _floor(layout, reporter)
            run = run_teardown(bench, floor=floor, hooks=replace(hooks, on_sample=recorder.take))
            took = run.warmup_s, run.round_s
        for where, emulator in bench.emulators:
            first = max((row.index for row in recorder.rows), default=0) + 1
            ended = run_emulated(
                layout,
                options,
                where,
                bench.subjects,
                reporter,
                emulator=emulator,
                first_index=first,
                on_sample=recorder.take,
            )
            emulated.append(ended.facts)
        return recorder.finish()


def _floor(layout: Layout, reporter: Reporter) -> Path | None:
    """Build floor.c, the process with the shortest possible teardown; None without a compiler."""
    try:
        return build_programs(layout, reporter, ["floor"])["floor"]
    except HarnessError as error:
        reporter.warn(f"the floor and the measuring overhead are not measured: {error.cause}")
        return None


def check_results(layout: Layout, results: TeardownResults) -> None:
    """Raise TeardownError if a sample or a property failed, or if no guest was timed.

    Cancelled samples are not an error.
    """
    failed = [row for row in results.rows if row.outcome == "failed"]
    if failed:
        reasons = tuple(dict.fromkeys(f"{row.variant} {row.target}: {row.reason}" for row in failed))
        raise TeardownError(
            f"{len(failed)} of {len(results.rows)} samples failed",
            f"see the rows in {teardown_file(layout)}, and the logs in {_where(layout, failed)}",
            details=reasons[:10],
            log=layout.logs / "avocado.log",
        )
    broken = [
        f"{host.host}: {row.name}: {row.reason}"
        for host in results.emulated
        for row in host.properties
        if row.outcome == "failed"
    ]
    if broken:
        count = sum(len(host.properties) for host in results.emulated)
        raise TeardownError(
            f"{len(broken)} of {count} properties of the series failed on an emulated host",
            f"see {teardown_file(layout)}, and the checks in harness/guest/programs/property.c",
            details=tuple(broken),
        )
    if not any(row.outcome == "ok" for row in results.rows if row.kind == "teardown"):
        raise TeardownError(
            "no guest fits into memory: every sample was cancelled",
            "choose smaller guests with -Dmemory=, or free memory",
        )


def _where(layout: Layout, failed: Sequence[Sample]) -> str:
    """Return the folders with the logs of ``failed`` samples."""
    places = {
        str(layout.build / "avocado" / "jobs") if row.host == "native" else str(layout.logs) for row in failed
    }
    return " and ".join(sorted(places))
