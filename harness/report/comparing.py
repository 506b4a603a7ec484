"""Compare two stored runs: ``teardown --compare OLD.json``.

Absolute times of two runs differ with the load and the machine. The comparison therefore uses the ratio to
the reference within each run, in the old and in the new run.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.figures import NONE, format_ratio, format_seconds
from harness.teardown.model import Sample
from harness.teardown.places import place_words
from harness.teardown.results import TeardownResults
from harness.teardown.significance import ENOUGH
from harness.teardown.statistics import (
    EQUIVALENT,
    LATENCIES,
    LEVEL,
    RESAMPLES,
    SEED,
    by_place,
    chance,
    holm,
    median,
    reference_of,
    values_of,
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One latency of one variant in one cell, in both runs.

    ``relative`` is the ratio to the reference in the new run, divided by the same ratio in the old run, with
    its 95 % interval; None for the reference itself. ``verdict`` judges it; for the reference, the times.
    """

    variant: str
    place: tuple[Any, ...]
    latency: str
    old_s: float
    new_s: float
    relative: float | None
    interval: tuple[float, float] | None
    verdict: str


def compare_runs(old: TeardownResults, new: TeardownResults) -> tuple[Change, ...]:
    """Compare the cells of both runs. Verdicts are corrected for all comparisons (Holm)."""
    changes: list[tuple[Change, float | None]] = []
    for kind, latencies in LATENCIES.items():
        before, after = by_place(old.rows, kind), by_place(new.rows, kind)
        for place in (place for place in after if place in before):
            reference = reference_of(list(after[place]))
            for variant in (name for name in after[place] if name in before[place]):
                changes += [
                    change
                    for latency in latencies
                    if (
                        change := _change((before[place], after[place]), place, latency, (variant, reference))
                    )
                ]
    tested = [index for index, (_, p) in enumerate(changes) if p is not None]
    corrected = dict(zip(tested, holm([changes[index][1] or 0.0 for index in tested]), strict=True))
    return tuple(_judged(change, corrected.get(index)) for index, (change, _) in enumerate(changes))


def _change(
    sides: tuple[dict[str, list[Sample]], dict[str, list[Sample]]],
    place: tuple[Any, ...],
    latency: str,
    names: tuple[str, str],
) -> tuple[Change, float | None] | None:
    variant, reference = names
    ours = [values_of(side[variant], latency) for side in sides]
    medians = [median(values) for values in ours]
    if medians[0] is None or medians[1] is None:
        return None
    relative, interval, p = None, None, chance(ours[1], ours[0])
    theirs = [values_of(side.get(reference, ()), latency) for side in sides]
    if variant != reference and all(theirs):
        relative, interval = _relative(ours, theirs)
        p = _chance_of(ours, theirs)
    elif min(map(len, ours)) >= ENOUGH:
        _, interval = _relative(ours, [[1.0] * ENOUGH] * 2)
    return (
        Change(
            variant=variant,
            place=place,
            latency=latency,
            old_s=medians[0],
            new_s=medians[1],
            relative=relative,
            interval=interval,
            verdict="",
        ),
        p,
    )


def _relative(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]
) -> tuple[float, tuple[float, float] | None]:
    """Return the ratio of the ratios of medians, new to old, and its bootstrap interval."""
    sides = [numpy.asarray(values) for values in (ours[1], theirs[1], ours[0], theirs[0])]
    middle = [float(numpy.median(side)) for side in sides]
    value = (middle[0] / middle[1]) / (middle[2] / middle[3])
    if min(map(len, sides)) < ENOUGH:
        return value, None
    draw = numpy.random.default_rng(SEED)
    drawn = [
        numpy.median(side[draw.integers(len(side), size=(RESAMPLES, len(side)))], axis=1) for side in sides
    ]
    low, high = numpy.percentile((drawn[0] / drawn[1]) / (drawn[2] / drawn[3]), (2.5, 97.5))
    return value, (float(low), float(high))


def _chance_of(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float | None:
    """Welch's t test for the difference of log ratios (Welch-Satterthwaite degrees of freedom)."""
    sides = [numpy.log(values) for values in (*ours, *theirs)]
    if min(map(len, sides)) < ENOUGH:
        return None
    from scipy.stats import t  # noqa: PLC0415 - half a second to import

    means = [side.mean() for side in sides]
    errors = [side.var(ddof=1) / len(side) for side in sides]
    total = sum(errors)
    apart = (means[1] - means[3]) - (means[0] - means[2])
    if total == 0:
        return 1.0 if abs(apart) < 1e-12 else 0.0
    freedom = total**2 / sum(each**2 / (len(side) - 1) for each, side in zip(errors, sides, strict=True))
    return float(2 * t.sf(abs(apart) / total**0.5, freedom))


def _judged(change: Change, p: float | None) -> Change:
    figure = change.relative or change.new_s / change.old_s
    verdict = "not enough data"
    if p is not None and change.interval is not None:
        if p <= LEVEL:
            verdict = "better" if figure < 1 else "worse"
        elif EQUIVALENT[0] <= change.interval[0] and change.interval[1] <= EQUIVALENT[1]:
            verdict = "same"
    return dataclasses.replace(change, verdict=verdict)


def render_changes(old: TeardownResults, new: TeardownResults, changes: Sequence[Change]) -> RenderableType:
    """Render both runs in one table; larger changes first if there is a verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("variant", "cell", "latency"):
        table.add_column(name, no_wrap=True)
    for name in ("then", "now", "now/then", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for change in changes:
        table.add_row(
            change.variant,
            place_words(change.place),
            change.latency,
            format_seconds(change.old_s),
            format_seconds(change.new_s),
            format_ratio(change.relative or change.new_s / change.old_s),
            " to ".join(map(format_ratio, change.interval)) if change.interval else NONE,
            Text(change.verdict, style={"better": "green", "worse": "red"}.get(change.verdict, "")),
        )
    notes = [
        f"then: {old.started}, Linux {old.host.kernel}, {old.command}",
        f"now:  {new.started}, Linux {new.host.kernel}, {new.command}",
        "now/then compares the ratios to the reference within each run; for the reference itself, the times",
    ]
    if (old.host.cpu, old.host.memory_mib) != (new.host.cpu, new.host.memory_mib):
        notes.append("the runs are from different machines: their times are not comparable")
    return Group(table, Text(""), *map(Text, notes)) if changes else Text("The runs have no cell in common.")
