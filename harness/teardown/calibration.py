"""Calibrate, write calibration.json, and decide whether verdicts can be trusted on this machine."""

from pathlib import Path
from typing import Annotated, Any

from harness.bench import Bench
from harness.build.programs import build_programs
from harness.errors import CalibrationError
from harness.figures import format_seconds
from harness.jsonfile import about
from harness.layout import Layout
from harness.results import Recorder, Results, with_words
from harness.teardown.calibrate import (
    DELAY_S,
    LATE,
    exits,
    false_alarms,
    run_calibration,
    simulate,
    uncorrected_alarms,
)
from harness.teardown.model import Comparison, Sample
from harness.teardown.statistics import LEVEL

MOST = 0.05
"""Largest accepted share of comparisons of equal binaries that are reported as different."""


class CalibrationResults(Results, frozen=True, kw_only=True):
    """Verdicts for comparisons whose true answer is known."""

    simulated_comparisons: Annotated[int, about("simulated comparisons of a binary with itself")]
    simulated_false_alarm_rate: float
    """share of them that were reported as better or worse, corrected as in a real run"""
    simulated_uncorrected_rate: float
    """the same share if each were the only comparison of its run"""
    real_comparisons: Annotated[int, about("real comparisons of a binary with itself, under two names")]
    real_false_alarms: Annotated[int, about("number of them that were reported as better or worse")]
    real_uncorrected_alarms: int
    """the same number if each were the only comparison of its run"""
    injected_delay_s: Annotated[float, about("seconds by which a wrapper delayed the exit of QEMU")]
    injected_delay_found: Annotated[bool, about("whether this was reported as worse")]
    found_delay_s: Annotated[float | None, about("difference of the medians, in seconds")]
    comparisons: tuple[Comparison, ...]
    """the real comparisons; the one with the delay is last"""
    rows: Annotated[tuple[Sample, ...], about("every sample that they are based on")]


def calibration_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "calibration.json"


def record_calibration(bench: Bench, *, command: str) -> CalibrationResults:
    """Calibrate with the subjects of ``bench``, one per target, and write calibration.json.

    Raises the errors of run_calibration and build_programs.
    """
    layout = bench.layout
    delay = build_programs(layout, bench.reporter, ["delay"])["delay"]
    words = with_words(command, f"-Dseed={bench.seed}")

    def make(shared: dict[str, Any], _: bool) -> CalibrationResults:
        real = exits(measured.same)
        late = next((row for row in exits(measured.late) if row.variant == LATE), None)
        found_s = None
        if late is not None and late.variant_s is not None and late.reference_s is not None:
            found_s = round(late.variant_s - late.reference_s, 6)
        return CalibrationResults(
            **shared,
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

    recorder = Recorder[Sample, CalibrationResults](
        calibration_file(layout), bench.options, command=words, make=make
    )
    measured = run_calibration(bench, delay=delay)
    with bench.reporter.step("simulated comparisons"):
        simulated = [row for run in simulate(measured.same) for row in run]
    return recorder.finish()


def check_calibration(layout: Layout, results: CalibrationResults) -> None:
    """Raise CalibrationError if verdicts cannot be trusted on this machine."""
    problems = []
    if results.simulated_false_alarm_rate > MOST:
        problems.append(f"{results.simulated_false_alarm_rate:.1%} of simulated comparisons are false alarms")
    if results.real_false_alarms > MOST * results.real_comparisons:
        problems.append(
            f"{results.real_false_alarms} of {results.real_comparisons} real comparisons are false alarms"
        )
    equal = [row for row in results.comparisons if row.variant != LATE]
    if equal and all(row.p is None for row in equal):
        problems.append("no comparison of equal binaries got 3 samples a side")
    if not results.injected_delay_found:
        problems.append(f"a delay of {format_seconds(results.injected_delay_s)} was not detected")
    if problems:
        raise CalibrationError(
            f"verdicts at {LEVEL:.0%} cannot be trusted on this machine: {problems[0]}",
            "calibrate again on a quiet machine",
            details=tuple(problems[1:]),
            log=calibration_file(layout),
        )
