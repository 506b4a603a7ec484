"""Calibration: compare a binary with itself, and with itself delayed by a known time.

Real comparisons contain the noise of this machine. Simulated comparisons draw from the same noise, in runs
with as many comparisons and samples as the real run. They are cheap, so there are many of them.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy

from harness.bench import Bench, Subject
from harness.errors import OptionError
from harness.jsonfile import storing
from harness.layout import Layout
from harness.teardown.model import Comparison, Sample
from harness.teardown.runner import run_teardown
from harness.teardown.statistics import LEVEL, SEED, by_place, compare, values_of

ONE, OTHER, LATE = "base", "again", "late"
"""Variant names of the binary, of the same binary, and of the same binary with a delay."""
SIZES_MIB = (64, 96, 128, 192, 256)
TRIGGERS = ("sigterm", "sigkill")
BUDGET_S = 300
DELAY_BUDGET_S = 180
DELAY_S = 0.005
SIMULATED = 200
FOUND = ("better", "worse")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationSamples:
    """Samples of equal binaries, and of a binary with its delayed copy."""

    same: tuple[Sample, ...]
    late: tuple[Sample, ...]


def run_calibration(bench: Bench, *, delay: Path) -> CalibrationSamples:
    """Time each subject of ``bench`` (one per target) against itself in 10 cells, and the first one against
    itself with the delay of the program ``delay`` (delay.c). Both runs are adaptive.

    Raises the errors of run_teardown, StorageError, OptionError.
    """
    if not bench.subjects:
        raise OptionError("there is no binary to calibrate with", "pass one with --binary, or build base")
    # Without the options of the feature, QEMU's own exit is the only latency.
    plain = [msgspec.structs.replace(subject, options=()) for subject in bench.subjects]
    chosen = dataclasses.replace(
        bench.options,
        targets=bench.targets,
        hosts=("native",),
        memory_mib=SIZES_MIB,
        backends=("ram",),
        pages=("4k",),
        payload=("paused",),
        triggers=TRIGGERS,
        rounds=0,
        budget_s=BUDGET_S,
        restart="none",
    )
    pairs = [msgspec.structs.replace(subject, variant=name) for subject in plain for name in (ONE, OTHER)]
    same = run_teardown(bench.with_changes(options=chosen, subjects=pairs))
    chosen = dataclasses.replace(
        chosen,
        targets=bench.targets[:1],
        memory_mib=SIZES_MIB[:1],
        triggers=TRIGGERS[:1],
        budget_s=DELAY_BUDGET_S,
    )
    pair = [msgspec.structs.replace(plain[0], variant=ONE), _delayed(bench.layout, plain[0], delay)]
    delayed = run_teardown(bench.with_changes(options=chosen, subjects=pair))
    return CalibrationSamples(same=same.samples, late=delayed.samples)


def _delayed(layout: Layout, subject: Subject, delay: Path) -> Subject:
    """Return ``subject`` with a wrapper that delays its exit by DELAY_S."""
    wrapper = layout.build / "calibration" / Path(subject.path).name
    script = f"#!/bin/sh\nexec '{delay}' {round(DELAY_S * 1e6)} '{subject.path}' \"$@\"\n"
    with storing(f"write {wrapper}"):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(script, encoding="utf-8")
        wrapper.chmod(0o755)
    return msgspec.structs.replace(subject, variant=LATE, path=str(wrapper))


def exits(samples: Sequence[Sample]) -> list[Comparison]:
    """Return the comparisons of exit: without the feature, exit and reclaim are equal."""
    alone = [msgspec.structs.replace(sample, reclaim_s=None) for sample in samples]
    return [row for row in compare(alone, looks=True) if row.latency == "exit"]


def simulate(samples: Sequence[Sample], *, count: int = SIMULATED) -> list[list[Comparison]]:
    """Return ``count`` simulated comparisons of a binary with itself, in runs as large as the real one.

    The noise is the ratio of each sample to the median of its cell, pooled over all cells and names, and
    drawn with replacement. Raises OptionError if no sample is good.
    """
    places = {
        place: [sample for side in sides.values() for sample in side]
        for place, sides in by_place(samples, "teardown").items()
    }
    levels = {place: values_of(rows, "exit") for place, rows in places.items() if rows}
    noise = [value / float(numpy.median(values)) for values in levels.values() for value in values]
    if not noise:
        raise OptionError("no sample of the calibration is good", "read the warnings above")
    draw = numpy.random.default_rng(SEED)
    runs: list[list[Comparison]] = []
    while sum(map(len, runs)) < count:
        made = [
            msgspec.structs.replace(
                row, exit_s=float(numpy.median(levels[place]) * draw.choice(noise)), reclaim_s=None
            )
            for place, rows in places.items()
            for row in rows
        ]
        runs.append(exits(made)[: count - sum(map(len, runs))])
    return runs


def false_alarms(comparisons: Sequence[Comparison]) -> int:
    """Return the number of comparisons with the verdict ``better`` or ``worse``."""
    return sum(row.verdict in FOUND for row in comparisons)


def uncorrected_alarms(comparisons: Sequence[Comparison]) -> int:
    """Return the number that would have it if each were the only comparison of its run."""
    return sum(row.p is not None and row.p <= LEVEL for row in comparisons)
