"""Time the subjects of a bench, and keep the results in teardown.json while the run goes on."""

from __future__ import annotations

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
    """Time the subjects of ``bench`` and write teardown.json, also while the run goes on (harness.results).

    Subjects that are built for another host run on the emulated ones of ``bench``. ``gates`` are judged at
    the end. Raises what run_teardown and run_emulated raise; the rows that came before are on disk by then.
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
        # Comparisons take CPU time, and while the run goes on a guest is being timed.
        results = TeardownResults(
            **shared,
            binaries=bench.subjects,
            accels=facts,
            rows=rows,
            comparisons=compare(rows) if ended else (),
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
    """The program with the least that there can be to tear down; None without a compiler."""
    try:
        return build_programs(layout, reporter, ["floor"])["floor"]
    except HarnessError as error:
        reporter.warn(f"the floor and the measuring overhead are not measured: {error.cause}")
        return None


def check_results(layout: Layout, results: TeardownResults) -> None:
    """Raise TeardownError when samples failed, or none is good; cancelled ones alone are no error."""
    failed = [row for row in results.rows if row.outcome == "failed"]
    if failed:
        reasons = tuple(dict.fromkeys(f"{row.variant} {row.target}: {row.reason}" for row in failed))
        raise TeardownError(
            f"{len(failed)} of {len(results.rows)} samples failed",
            f"see the rows in {teardown_file(layout)} and the logs in {_where(layout, failed)}",
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
        raise TeardownError(
            f"{len(broken)} of the series' properties did not hold on an emulated host",
            f"see {teardown_file(layout)}, and harness/guest/programs/property.c for what was tried",
            details=tuple(broken),
        )
    if not any(row.outcome == "ok" for row in results.rows if row.kind == "teardown"):
        raise TeardownError(
            "no guest fits into memory: every sample was cancelled",
            "ask for smaller guests with -Dmemory=, or free memory",
        )


def property_verdict(results: TeardownResults, host: str) -> tuple[str, str]:
    """Whether the series' properties hold on an emulated ``host``: outcome (ok, failed or cancelled), reason.

    For whoever sums a run up. With ``ok``, the reason says what was tried.
    """
    facts = next((facts for facts in results.emulated if facts.host == host), None)
    if facts is None or not facts.properties:
        return "cancelled", f"not run on {host}: nox -s teardown -- -Dhosts={host}"
    for outcome in ("failed", "cancelled"):
        found = [row for row in facts.properties if row.outcome == outcome]
        if found:
            return outcome, "; ".join(f"{row.name}: {row.reason}" for row in found)
    names = ", ".join(row.name for row in facts.properties)
    return "ok", f"{names} on Linux {facts.kernel}, emulated {host}"


def _where(layout: Layout, failed: Sequence[Sample]) -> str:
    """Where the logs of ``failed`` samples are."""
    places = {
        str(layout.build / "avocado" / "jobs") if row.host == "native" else str(layout.logs) for row in failed
    }
    return " and ".join(sorted(places))
