"""What a run says in a few sentences; from the results and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.options import format_size
from harness.report.figures import format_seconds, format_slope
from harness.report.model import TeardownResults
from harness.teardown import Sample, Slope
from harness.teardown.model import SERIES_FIELDS
from harness.teardown.statistics import mad, median, resolution_s, values_of, variant_order


def headline(results: TeardownResults) -> tuple[str, ...]:
    """How each variant's exit grows with memory, a sentence for each series of sizes."""
    lines = []
    for place, slopes in by_series(results.slopes, "exit").items():
        ordered = sorted(slopes, key=lambda slope: variant_order(slope.variant))
        told = [
            f"{slope.variant} {'grows by ' if not index else ''}{format_slope(slope.ms_per_gib)} ms/GiB"
            f" [{format_slope(slope.low)}, {format_slope(slope.high)}]"
            for index, slope in enumerate(ordered)
        ]
        lines.append(f"{describe(results, place)}: exit of {', '.join(told)}.")
    return tuple(lines)


def extrapolations(results: TeardownResults) -> tuple[str, ...]:
    """Exit at 1 TiB if the lines went on, said to be just that."""
    lines = []
    for place, slopes in by_series(results.slopes, "exit").items():
        largest = format_size(max(max(slope.sizes_mib) for slope in slopes))
        told = [
            f"{slope.variant} {format_seconds(slope.tib_s)}"
            f" [{format_seconds(slope.tib_low_s)}, {format_seconds(slope.tib_high_s)}]"
            for slope in sorted(slopes, key=lambda slope: variant_order(slope.variant))
        ]
        lines.append(
            f"{describe(results, place)}: extrapolated from {largest} to 1 TiB, measured by nobody:"
            f" exit of {', '.join(told)}."
        )
    return tuple(lines)


def by_series(slopes: Iterable[Slope], latency: str) -> dict[tuple[str, ...], list[Slope]]:
    """The lines of a latency by what their places have in common."""
    found: dict[tuple[str, ...], list[Slope]] = {}
    for slope in slopes:
        if slope.latency == latency:
            found.setdefault(tuple(getattr(slope, field) for field in SERIES_FIELDS), []).append(slope)
    return dict(sorted(found.items(), key=lambda item: (item[0][0] != "x86_64-softmmu", *item[0])))


def describe(results: TeardownResults, place: Sequence[str]) -> str:
    """A series of places in words: its target, and whatever differs within the run."""
    named = dict(zip(SERIES_FIELDS, place, strict=True))
    words = [named["target"].removesuffix("-softmmu")]
    for field in SERIES_FIELDS[1:]:
        values = {getattr(row, field) for row in guests(results.rows)}
        if field != "accel" and len(values) > 1:
            words.append(str(named[field]))
    return " ".join(words)


def guests(rows: Iterable[Sample], kind: str = "teardown") -> list[Sample]:
    """The rows of a kind."""
    return [row for row in rows if row.kind == kind]


def floor_lines(results: TeardownResults) -> tuple[str, ...]:
    """The floor and the measuring overhead, where they were measured."""
    lines = []
    for kind, what in (("floor", "page"), ("overhead", "page")):
        rows = [row for row in guests(results.rows, kind) if row.counts]
        middle, spread = median(values_of(rows, "exit")), mad(values_of(rows, "exit"))
        if rows and middle is not None:
            threads = rows[-1].threads or 0
            name = "floor" if kind == "floor" else "measuring overhead"
            lines.append(
                f"{name}: a process with {threads} thread{'s' if threads != 1 else ''} and 1 {what} of memory"
                f" ends in {format_seconds(middle)} (MAD {format_seconds(spread)}, {len(rows)} samples)"
            )
    least = resolution_s(results.rows)
    if least:
        lines.append(f"medians that differ by less than {format_seconds(least)} are not told apart")
    return tuple(lines)


def load_line(results: TeardownResults) -> str:
    """How many samples were taken under foreign load; nothing when none was."""
    loaded = sum(row.loaded for row in results.rows)
    if not loaded:
        return ""
    return f"{loaded} of {len(results.rows)} samples were taken while something else kept CPUs busy"
