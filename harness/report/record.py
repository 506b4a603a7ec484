"""Make a teardown run and keep what it gave, also when it is stopped half-way."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import TeardownError
from harness.jsonfile import write_json
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.report.host import host_facts
from harness.report.model import AccelFacts, TeardownResults
from harness.teardown import Comparison, Sample, Subject, probe_accels, run_teardown
from harness.teardown.statistics import compare

SAVE_EVERY_S = 10.0


def teardown_file(layout: Layout) -> Path:
    """Where the results of a teardown run are."""
    return layout.results / "teardown.json"


def record_teardown(
    layout: Layout, options: Options, subjects: Sequence[Subject], reporter: Reporter, *, command: str
) -> TeardownResults:
    """Time ``subjects`` and write teardown.json: every ten seconds, at the end, and when interrupted.

    Raises what run_teardown raises; the rows that came before are on disk by then.
    """
    started, host = _now(), host_facts()
    accels = probe_accels(layout, options, subjects, reporter)
    rows: list[Sample] = []
    saved = time.monotonic()

    def results(
        samples: Sequence[Sample], comparisons: Sequence[Comparison], *, complete: bool
    ) -> TeardownResults:
        return TeardownResults(
            command=command,
            started=started,
            finished=_now(),
            complete=complete,
            host=host,
            options={
                field.name: getattr(options, field.name)
                for field in dataclasses.fields(options)
                if field.name != "given"
            },
            binaries=tuple(subjects),
            accels=tuple(
                AccelFacts(target=accel.target, name=accel.name, reason=accel.reason)
                for accel in accels.values()
            ),
            rows=tuple(samples),
            comparisons=tuple(comparisons),
        )

    def keep(sample: Sample) -> None:
        nonlocal saved
        rows.append(sample)
        if time.monotonic() - saved >= SAVE_EVERY_S:
            write_json(teardown_file(layout), results(rows, (), complete=False))
            saved = time.monotonic()

    try:
        run = run_teardown(layout, options, subjects, reporter, accels=accels, on_sample=keep)
    except BaseException:
        if rows:
            write_json(teardown_file(layout), results(rows, compare(rows), complete=False))
        raise
    finished = results(run.samples, run.comparisons, complete=True)
    write_json(teardown_file(layout), finished)
    return finished


def check_results(layout: Layout, results: TeardownResults) -> None:
    """Raise TeardownError when samples failed, or none is good; cancelled ones alone are no error."""
    failed = [row for row in results.rows if row.outcome == "failed"]
    if failed:
        reasons = tuple(dict.fromkeys(f"{row.variant} {row.target}: {row.reason}" for row in failed))
        raise TeardownError(
            f"{len(failed)} of {len(results.rows)} samples failed",
            f"see the rows in {teardown_file(layout)} and the logs in {layout.build / 'avocado' / 'jobs'}",
            details=reasons[:10],
            log=layout.logs / "avocado.log",
        )
    if not any(row.outcome == "ok" for row in results.rows):
        raise TeardownError(
            "no guest fits into memory: every sample was cancelled",
            "ask for smaller guests with -Dmemory=, or free memory",
        )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
