"""``build/results/calibration.json``: results of ``nox -s calibrate``; whether verdicts can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from harness.build.programs import build_programs
from harness.errors import CalibrationError
from harness.jsonfile import about, utc_now, write_json
from harness.layout import Layout
from harness.options import Options, choose_seed
from harness.progress import Reporter
from harness.report.command import with_words
from harness.report.figures import format_ratio, format_seconds
from harness.report.host import host_facts
from harness.report.model import HostFacts
from harness.teardown import Comparison, Sample, Subject, probe_accels
from harness.teardown.calibrate import (
    DELAY_S,
    LATE,
    exits,
    false_alarms,
    run_calibration,
    simulate,
    uncorrected_alarms,
)
from harness.teardown.statistics import LEVEL

MOST = 0.05
"""Largest accepted share of comparisons of equal binaries that are reported as different."""


class CalibrationResults(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts of the statistics for comparisons whose true answer is known."""

    schema: Annotated[int, about("version of this format")] = 1
    command: Annotated[str, about("command that reproduces this run")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC")]
    host: Annotated[HostFacts, about("the machine")]
    simulated_comparisons: Annotated[int, about("simulated comparisons of a binary with itself")]
    simulated_false_alarm_rate: Annotated[
        float, about("share of them that were reported as better or worse, corrected as in a real run")
    ]
    simulated_uncorrected_rate: Annotated[
        float, about("the same share if each were the only comparison of its run")
    ]
    real_comparisons: Annotated[int, about("real comparisons of a binary with itself, under two names")]
    real_false_alarms: Annotated[int, about("number of them that were reported as better or worse")]
    real_uncorrected_alarms: Annotated[
        int, about("the same number if each were the only comparison of its run")
    ]
    injected_delay_s: Annotated[float, about("seconds by which a wrapper delayed the exit of QEMU")]
    injected_delay_found: Annotated[bool, about("whether this was reported as worse")]
    found_delay_s: Annotated[float | None, about("difference of the medians, in seconds")]
    comparisons: Annotated[
        tuple[Comparison, ...], about("the real comparisons; the one with the delay is last")
    ]
    rows: Annotated[tuple[Sample, ...], about("every sample that they are based on")]


def calibration_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "calibration.json"


def record_calibration(
    layout: Layout, options: Options, subjects: Sequence[Subject], reporter: Reporter, *, command: str
) -> CalibrationResults:
    """Calibrate with ``subjects`` (binaries without the feature, one a target) and write calibration.json.

    Raises what run_teardown and build_programs raise.
    """
    started, seed = utc_now(), choose_seed(options.seed)
    delay = build_programs(layout, reporter, ["delay"])["delay"]
    accels = probe_accels(layout, options, subjects, reporter)
    measured = run_calibration(layout, options, subjects, accels, reporter, seed=seed, delay=delay)
    real = exits(measured.same)
    with reporter.step("simulated comparisons"):
        simulated = [row for run in simulate(measured.same) for row in run]
    late = next((row for row in exits(measured.late) if row.variant == LATE), None)
    found_s = None
    if late is not None and late.variant_s is not None and late.reference_s is not None:
        found_s = round(late.variant_s - late.reference_s, 6)
    results = CalibrationResults(
        command=with_words(command, f"-Dseed={seed}"),
        started=started,
        finished=utc_now(),
        host=host_facts(),
        simulated_comparisons=len(simulated),
        simulated_false_alarm_rate=false_alarms(simulated) / len(simulated),
        simulated_uncorrected_rate=uncorrected_alarms(simulated) / len(simulated),
        real_comparisons=len(real),
        real_false_alarms=false_alarms(real),
        real_uncorrected_alarms=uncorrected_alarms(real),
        injected_delay_s=DELAY_S,
        injected_delay_found=late is not None and late.verdict == "worse",
        found_delay_s=found_s,
        comparisons=(*real, *([late] if late else [])),
        rows=(*measured.same, *measured.late),
    )
    write_json(calibration_file(layout), results)
    return results


def render_calibration(results: CalibrationResults) -> RenderableType:
    """Summarise the results in a few lines."""
    late = [row for row in results.comparisons if row.variant == LATE]
    lines = [
        f"simulated: {results.simulated_false_alarm_rate:.1%} of {results.simulated_comparisons} comparisons"
        f" of equal binaries reported as different"
        f" ({results.simulated_uncorrected_rate:.1%} without correction)",
        f"real: {results.real_false_alarms} of {results.real_comparisons}"
        f" ({results.real_uncorrected_alarms} without correction)",
        f"a delay of {format_seconds(results.injected_delay_s)} was"
        f" {'found' if results.injected_delay_found else 'not found'}: medians differ by"
        f" {format_seconds(results.found_delay_s)}",
        *(
            f"  {format_seconds(row.reference_s)} and {format_seconds(row.variant_s)}, ratio"
            f" {format_ratio(row.ratio)} [{format_ratio(row.ratio_low)}, {format_ratio(row.ratio_high)}]"
            for row in late
        ),
    ]
    return Group(*map(Text, lines))


def check_calibration(layout: Layout, results: CalibrationResults) -> None:
    """Raise CalibrationError if verdicts cannot be trusted on this machine."""
    faults = []
    if results.simulated_false_alarm_rate > MOST:
        faults.append(f"{results.simulated_false_alarm_rate:.1%} of simulated comparisons are false alarms")
    if results.real_false_alarms > MOST * results.real_comparisons:
        faults.append(
            f"{results.real_false_alarms} of {results.real_comparisons} real comparisons are false alarms"
        )
    if not results.injected_delay_found:
        faults.append(f"a delay of {format_seconds(results.injected_delay_s)} was not found")
    if faults:
        raise CalibrationError(
            f"verdicts at {LEVEL:.0%} cannot be trusted on this machine: {faults[0]}",
            "calibrate again on a quiet machine",
            details=tuple(faults[1:]),
            log=calibration_file(layout),
        )
