"""Summary sentences of a run, computed from its results alone."""

from __future__ import annotations

from collections.abc import Iterable

from harness.figures import format_seconds, format_slope
from harness.options import format_size
from harness.teardown import Sample, Slope
from harness.teardown.model import SERIES_FIELDS
from harness.teardown.places import series_words
from harness.teardown.results import TeardownResults
from harness.teardown.statistics import mad, median, resolution_s, values_of, variant_order


def headline(results: TeardownResults) -> tuple[str, ...]:
    """Describe the growth of each variant's exit latency with memory: a sentence for each series of sizes."""
    lines = []
    for place, slopes in by_series(results.slopes, "exit").items():
        ordered = sorted(slopes, key=lambda slope: variant_order(slope.variant))
        parts = [
            f"{slope.variant} {'grows by ' if not index else ''}{format_slope(slope.ms_per_gib)} ms/GiB"
            f" [{format_slope(slope.low)}, {format_slope(slope.high)}]"
            for index, slope in enumerate(ordered)
        ]
        lines.append(f"{series_words(results.rows, place)}: exit of {', '.join(parts)}.")
    return tuple(lines)


def extrapolations(results: TeardownResults) -> tuple[str, ...]:
    """Describe the exit latency at 1 TiB on the fitted lines, marked as an extrapolation."""
    lines = []
    for place, slopes in by_series(results.slopes, "exit").items():
        largest = format_size(max(max(slope.sizes_mib) for slope in slopes))
        parts = [
            f"{slope.variant} {format_seconds(slope.tib_s)}"
            f" [{format_seconds(slope.tib_low_s)}, {format_seconds(slope.tib_high_s)}]"
            for slope in sorted(slopes, key=lambda slope: variant_order(slope.variant))
        ]
        lines.append(
            f"{series_words(results.rows, place)}: extrapolated from {largest} to 1 TiB, not measured:"
            f" exit of {', '.join(parts)}."
        )
    return tuple(lines)


def by_series(slopes: Iterable[Slope], latency: str) -> dict[tuple[str, ...], list[Slope]]:
    """Group the slopes of one latency by the fields that their cells share."""
    groups: dict[tuple[str, ...], list[Slope]] = {}
    for slope in slopes:
        if slope.latency == latency:
            groups.setdefault(tuple(getattr(slope, field) for field in SERIES_FIELDS), []).append(slope)
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "x86_64-softmmu", *item[0])))


def guests(rows: Iterable[Sample], kind: str = "teardown") -> list[Sample]:
    """Return the rows of one kind."""
    return [row for row in rows if row.kind == kind]


def floor_lines(results: TeardownResults) -> tuple[str, ...]:
    """Describe the floor and the measuring overhead, if the run measured them."""
    lines = []
    for kind, name in (("floor", "floor"), ("overhead", "measuring overhead")):
        rows = [row for row in guests(results.rows, kind) if row.counts]
        middle, spread = median(values_of(rows, "exit")), mad(values_of(rows, "exit"))
        if rows and middle is not None:
            threads = rows[-1].threads or 0

            lines.append(
                f"{name}: a process with {threads} thread{'s' if threads != 1 else ''} and 1 page of memory"
                f" ends in {format_seconds(middle)} (MAD {format_seconds(spread)}, {len(rows)} samples)"
            )
    resolution = resolution_s(results.rows)
    if resolution:
        lines.append(f"medians that differ by less than {format_seconds(resolution)} are not distinguished")
    return tuple(lines)


def load_line(results: TeardownResults) -> str:
    """Report the number of samples taken under foreign load; empty if there are none."""
    loaded = sum(row.loaded for row in results.rows)
    if not loaded:
        return ""
    return f"{loaded} of {len(results.rows)} samples were taken while other work kept CPUs busy"
