"""Can verdicts be trusted on this machine? The same binary under two names, and one delayed by a known time.

Real comparisons are noisy in the way this machine is. Simulated ones draw from that same noise, so that there
can be many of them: runs of as many comparisons and samples as the real one had.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy

from harness.errors import OptionError, StorageError
from harness.teardown.model import Comparison, Sample
from harness.teardown.runner import run_teardown
from harness.teardown.statistics import LEVEL, SEED, by_place, compare, values_of

if TYPE_CHECKING:
    from harness.bench import Bench, Subject
    from harness.layout import Layout

ONE, OTHER, LATE = "base", "again", "late"
"""The names: a binary, the same binary, and the same delayed."""
SIZES_MIB = (64, 96, 128, 192, 256)
TRIGGERS = ("sigterm", "sigkill")
ROUNDS = 5
DELAY_ROUNDS = 15
DELAY_S = 0.005
SIMULATED = 200
FOUND = ("better", "worse")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationSamples:
    """What was run: the same binary twice, and delayed."""

    same: tuple[Sample, ...]
    late: tuple[Sample, ...]


def run_calibration(bench: Bench, *, delay: Path) -> CalibrationSamples:
    """Time each subject of ``bench`` (one a target) against itself at 10 places, and the first against itself
    delayed by the program ``delay`` (delay.c). Raises what run_teardown raises, StorageError, OptionError."""
    if not bench.subjects:
        raise OptionError("there is no binary to calibrate with", "name one with --binary, or build base")
    # Without the words for the feature there is one end to watch, QEMU's own.
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
        rounds=ROUNDS,
        restart="none",
    )
    pairs = [msgspec.structs.replace(subject, variant=name) for subject in plain for name in (ONE, OTHER)]
    same = run_teardown(bench.with_changes(options=chosen, subjects=pairs))
    chosen = dataclasses.replace(
        chosen,
        targets=bench.targets[:1],
        memory_mib=SIZES_MIB[:1],
        triggers=TRIGGERS[:1],
        rounds=DELAY_ROUNDS,
    )
    pair = [msgspec.structs.replace(plain[0], variant=ONE), _delayed(bench.layout, plain[0], delay)]
    delayed = run_teardown(bench.with_changes(options=chosen, subjects=pair))
    return CalibrationSamples(same=same.samples, late=delayed.samples)


def _delayed(layout: Layout, subject: Subject, delay: Path) -> Subject:
    """``subject`` behind a wrapper that makes its end last DELAY_S longer."""
    wrapper = layout.build / "calibration" / Path(subject.path).name
    script = f"#!/bin/sh\nexec '{delay}' {round(DELAY_S * 1e6)} '{subject.path}' \"$@\"\n"
    try:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(script, encoding="utf-8")
        wrapper.chmod(0o755)
    except OSError as error:
        raise StorageError(f"cannot write {wrapper}: {error}", "free some disk space") from error
    return msgspec.structs.replace(subject, variant=LATE, path=str(wrapper))


def exits(samples: Sequence[Sample]) -> list[Comparison]:
    """The comparisons of exit; a binary without the feature has no other latency of its own."""
    alone = [msgspec.structs.replace(sample, reclaim_s=None) for sample in samples]
    return [row for row in compare(alone) if row.latency == "exit"]


def simulate(samples: Sequence[Sample], *, count: int = SIMULATED) -> list[list[Comparison]]:
    """``count`` comparisons of a binary with itself, in runs of as many as ``samples`` are of.

    Noise is what was seen: each sample over the median of its place, whatever its name, put together and
    drawn from with replacement. Raises OptionError when nothing was measured.
    """
    places = {
        place: [sample for side in sides.values() for sample in side]
        for place, sides in by_place(samples, "teardown").items()
    }
    levels = {place: values_of(rows, "exit") for place, rows in places.items() if rows}
    noise = [value / float(numpy.median(values)) for values in levels.values() for value in values]
    if not noise:
        raise OptionError("no sample of the calibration is good", "look at why, above")
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
    """How many call a difference."""
    return sum(row.verdict in FOUND for row in comparisons)


def uncorrected_alarms(comparisons: Sequence[Comparison]) -> int:
    """How many would, if each were the only one."""
    return sum(row.p is not None and row.p <= LEVEL for row in comparisons)
