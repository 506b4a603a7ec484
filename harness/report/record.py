"""Make a teardown run and keep what it gave, also when it is stopped half-way."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.build.programs import build_programs
from harness.errors import HarnessError, TeardownError
from harness.jsonfile import utc_now, write_json
from harness.layout import Layout
from harness.options import Options, choose_seed
from harness.progress import Reporter, Step
from harness.report.command import with_words
from harness.report.gates import Gates, judge_gates
from harness.report.host import host_facts
from harness.report.live import live_table, round_line
from harness.report.model import AccelFacts, TeardownResults
from harness.teardown import (
    EmulatedHost,
    Hooks,
    Sample,
    Subject,
    emulated_accel,
    probe_accels,
    run_emulated,
    run_teardown,
)
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare

if TYPE_CHECKING:
    from harness.build.hosts import Host

SAVE_EVERY_S = 10.0


def teardown_file(layout: Layout) -> Path:
    """Where the results of a teardown run are."""
    return layout.results / "teardown.json"


def record_teardown(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    reporter: Reporter,
    *,
    command: str,
    gates: Gates | None = None,
    emulators: Sequence[tuple[Host, Path]] = (),
) -> TeardownResults:
    """Time ``subjects`` and write teardown.json: every ten seconds, at the end, and when interrupted.

    Those of other hosts than this machine run on emulated ones: ``emulators`` are these hosts, each with the
    QEMU that emulates it. Raises what run_teardown and run_emulated raise; the rows that came before are on
    disk by then.
    """
    started, host, seed = utc_now(), host_facts(), choose_seed(options.seed)
    options = dataclasses.replace(options, seed=seed)
    native = [subject for subject in subjects if subject.host == "native"]
    runs_here = bool(native) or not emulators
    accels = probe_accels(layout, options, native, reporter) if runs_here else {}
    emulated_accels = {where.target: emulated_accel(where) for where, _ in emulators}
    rows: list[Sample] = []
    emulated: list[EmulatedHost] = []
    saved = time.monotonic()

    def results(
        samples: Sequence[Sample],
        *,
        complete: bool,
        compared: bool = True,
        took: tuple[float, float] = (0.0, 0.0),
    ) -> TeardownResults:
        return TeardownResults(
            command=with_words(command, f"-Dseed={seed}"),
            started=started,
            finished=utc_now(),
            complete=complete,
            host=host,
            options=options.values(),
            binaries=tuple(subjects),
            accels=tuple(
                AccelFacts(target=accel.target, name=accel.name, reason=accel.reason, payload=accel.payload)
                for accel in (accels or emulated_accels).values()
            ),
            rows=tuple(samples),
            comparisons=compare(samples) if compared else (),
            slopes=fit_slopes(samples) if compared else (),
            emulated=tuple(emulated),
            seed=seed,
            warmup_s=took[0],
            round_s=took[1],
        )

    def keep(sample: Sample) -> None:
        nonlocal saved
        rows.append(sample)
        if time.monotonic() - saved >= SAVE_EVERY_S:
            write_json(teardown_file(layout), results(rows, complete=False, compared=False))
            saved = time.monotonic()

    samples: tuple[Sample, ...] = ()
    took = (0.0, 0.0)
    try:
        if runs_here:
            run = run_teardown(
                layout,
                options,
                native,
                reporter,
                seed=seed,
                accels=accels,
                floor=_floor(layout, reporter),
                hooks=Hooks(
                    on_sample=keep, show=_show, on_round=lambda made: reporter.note(round_line(made))
                ),
            )
            samples, took = run.samples, (run.warmup_s, run.round_s)
        for where, emulator in emulators:
            first = max((sample.index for sample in samples), default=0) + 1
            there = run_emulated(
                layout,
                options,
                where,
                subjects,
                reporter,
                emulator=emulator,
                first_index=first,
                on_sample=keep,
            )
            samples += there.samples
            emulated.append(there.facts)
    except BaseException:
        if rows:
            write_json(teardown_file(layout), results(rows, complete=False))
        raise
    finished = results(samples, complete=True, took=took)
    if gates is not None:
        finished = msgspec.structs.replace(finished, gates=judge_gates(finished, gates))
    write_json(teardown_file(layout), finished)
    return finished


def _floor(layout: Layout, reporter: Reporter) -> Path | None:
    """The program that stands for the least that there can be to tear down; None without a compiler."""
    try:
        return build_programs(layout, reporter, ["floor"])["floor"]
    except HarnessError as error:
        reporter.warn(f"the floor and the measuring overhead are not measured: {error.cause}")
        return None


def _show(step: Step, samples: Sequence[Sample]) -> None:
    step.show(live_table(samples))


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
            f"see {teardown_file(layout)}, and tests/guest/property.c for what was tried",
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
