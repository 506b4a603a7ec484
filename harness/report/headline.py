"""Summary sentences of a run, computed from its results alone."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from harness.bench.subject import REFERENCES
from harness.figures import counted, format_duration, format_ratio, format_seconds, format_slope, shown
from harness.options import format_size
from harness.teardown.model import MATRIX_FIELDS, Sample, Slope, cell_key
from harness.teardown.places import place_words, series_words
from harness.teardown.results import TeardownResults
from harness.teardown.settling import open_cells
from harness.teardown.significance import ENOUGH
from harness.teardown.statistics import (
    LATENCIES,
    mad,
    median,
    median_interval,
    reference_of,
    resolution_s,
    values_of,
    variant_order,
)

NAMED = 3
"""Largest number of open cells that are listed by name."""
STEP_S = 30
"""Budgets are suggested in multiples of this."""


def headline(results: TeardownResults) -> tuple[str, ...]:
    """Describe exit, its growth with memory, and reclaim for each series of sizes; then open verdicts."""
    series: dict[tuple[str, ...], list[Sample]] = {}
    for row in guests(results.rows):
        if row.counts:
            series.setdefault(row.series, []).append(row)
    lines = [
        f"{series_words(results.rows, place)}: {_exits(results, place, rows)}"
        f"{_reclaims(results, place, rows)}"
        for place, rows in sorted(series.items(), key=lambda item: (item[0][0] != "x86_64-softmmu", *item[0]))
    ]
    settling = open_line(results)
    return (*lines, settling) if settling else tuple(lines)


def _exits(results: TeardownResults, place: tuple[str, ...], rows: Sequence[Sample]) -> str:
    """Return the clauses on exit: the reference first, at the largest size with enough samples of it."""
    variants = sorted({row.variant for row in rows}, key=variant_order)
    first = reference_of(variants)
    sizes = Counter(row.memory_mib for row in rows if row.variant == first)
    largest = max((count >= ENOUGH, size) for size, count in sizes.items())[1]
    slopes = {each.variant: each for each in by_series(results.slopes).get(place, ())}
    subject = "QEMU's exit" if first in REFERENCES else f"exit of {first}"
    clauses = [
        f"{subject} took {_figure(rows, first, largest)} with {format_size(largest)}"
        f"{_growth(slopes.get(first), ' and')}"
    ]
    for variant in variants:
        if variant != first:
            slope = slopes.get(variant)
            where = "" if slope is None or grows(slope) else " at any size"
            clauses.append(
                f"with {named(variant)} {_figure(rows, variant, largest)}{where}{_growth(slope, ',')}"
            )
    return "; ".join(clauses) + "."


def _figure(rows: Sequence[Sample], variant: str, memory_mib: int) -> str:
    """Return the median exit with its interval; below 3 samples with their number."""
    values = values_of(
        (row for row in rows if (row.variant, row.memory_mib) == (variant, memory_mib)), "exit"
    )
    if len(values) < ENOUGH:
        return f"{format_seconds(median(values))} ({counted(len(values), 'sample')})"
    return f"{format_seconds(median(values))} {_interval(median_interval(values))}"


def _interval(ends: tuple[float, float]) -> str:
    return f"[{format_seconds(ends[0])}, {format_seconds(ends[1])}]"


def grows(slope: Slope) -> bool:
    """Return whether the whole interval of the growth is above zero."""
    return slope.low > 0


def growth_words(slope: Slope) -> str:
    """Describe the growth, with its interval; never as a negative one."""
    if grows(slope):
        return (
            f"{format_slope(slope.ms_per_gib)} ms/GiB [{format_slope(slope.low)}, {format_slope(slope.high)}]"
        )
    return f"no growth found (< {format_slope(max(slope.high, 0.01))} ms/GiB)"


def _growth(slope: Slope | None, link: str) -> str:
    if slope is None:
        return ""
    return f"{link} grows by {growth_words(slope)}" if grows(slope) else f", {growth_words(slope)}"


def named(variant: str) -> str:
    """Return the name of a variant in a sentence."""
    return "the series" if variant == "patched" else variant


def _reclaims(results: TeardownResults, place: tuple[str, ...], rows: Sequence[Sample]) -> str:
    """Return the sentence on reclaim at the largest size, for variants that exit before it."""
    helped = {row.variant for row in rows if row.reclaim_s != row.exit_s}
    reference = reference_of(sorted({row.variant for row in rows}, key=variant_order))
    mine = [
        row
        for row in results.comparisons
        if row.series == place
        and (row.latency, row.variant in helped) == ("reclaim", True)
        and row.reference == reference
        and row.ratio is not None
    ]
    largest = max(((row.ratio_low is not None, row.memory_mib) for row in mine), default=(False, 0))[1]
    parts: list[str] = []
    for row in (each for each in mine if each.memory_mib == largest):
        ends = f" [{format_ratio(row.ratio_low)}, {format_ratio(row.ratio_high)}]" if row.ratio_low else ""
        whose = "" if parts else f" the time of {reference}"
        with_whom = f" with {named(row.variant)}" if len(helped) > 1 else ""
        parts.append(f"after {format_ratio(row.ratio)} times{ends}{whose}{with_whom}")
    return f" The memory is back {', '.join(parts)}." if parts else ""


def open_line(results: TeardownResults) -> str:
    """Report which verdicts are open, and how much more time would settle them; empty if there are none."""
    looks = not results.options.get("rounds")
    cells = open_cells(results.rows, results.comparisons, looks=looks)
    count = sum(row.verdict == "not enough data" for row in results.comparisons)
    if not cells:
        return ""
    names = [
        f"{' and '.join(cell.latencies)} of {place_words(cell.place).split(' ', 2)[0]}"
        f" {format_size(cell.place[MATRIX_FIELDS.index('memory_mib')])}"
        for cell in cells
    ]
    near = [cell for cell in cells if math.isfinite(cell.needed)]
    text = f"{count} of {len(results.comparisons)} verdicts are open ({shown(names, NAMED)})"
    if not near:
        return f"{text}: their difference is too small for the noise of this machine."
    those = "them" if len(near) == len(cells) else f"those of {len(near)} of {len(cells)} cells"
    if not looks:
        return f"{text}: -Drounds={max(cell.needed for cell in near):.0f} would settle {those}."
    seconds = sum(cell.seconds for cell in near)
    budget = STEP_S * math.ceil((int(results.options.get("budget_s", 0)) + seconds) / STEP_S)
    return f"{text}: about {format_duration(seconds)} more would settle {those} (-Dbudget={budget}s)."


def extrapolations(results: TeardownResults) -> tuple[str, ...]:
    """Describe the exit latency at 1 TiB on the fitted lines, marked as an extrapolation."""
    lines = []
    for place, slopes in by_series(results.slopes).items():
        largest = format_size(max(max(slope.sizes_mib) for slope in slopes))
        parts = [
            f"{slope.variant} {tib_words(slope)}"
            for slope in sorted(slopes, key=lambda slope: variant_order(slope.variant))
        ]
        if any(map(grows, slopes)):
            lines.append(
                f"{series_words(results.rows, place)}: extrapolated from {largest} to 1 TiB, not measured:"
                f" exit of {', '.join(parts)}."
            )
    return tuple(lines)


def tib_words(slope: Slope) -> str:
    """Describe the latency at 1 TiB on the fitted line; a line that does not grow is not extrapolated."""
    if not grows(slope):
        return growth_words(slope)
    return f"{format_seconds(slope.tib_s)} {_interval((max(0.0, slope.tib_low_s), slope.tib_high_s))}"


def by_series(slopes: Iterable[Slope]) -> dict[tuple[str, ...], list[Slope]]:
    """Group the slopes of the exit by the fields that their cells share."""
    groups: dict[tuple[str, ...], list[Slope]] = {}
    for slope in slopes:
        if slope.latency == "exit":
            groups.setdefault(slope.series, []).append(slope)
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
                f"{name}: a process with {counted(threads, 'thread')} and 1 page of memory"
                f" ends in {format_seconds(middle)} (MAD {format_seconds(spread)}, {len(rows)} samples)"
            )
    resolution = resolution_s(results.rows)
    if resolution:
        lines.append(f"medians that differ by less than {format_seconds(resolution)} are not distinguished")
    return tuple(lines)


def sample_words(results: TeardownResults) -> str:
    """Describe the number of samples behind a median: rounds, or the fewest and the most of a cell."""
    counts = Counter((cell_key(row), row.variant) for row in guests(results.rows) if row.counts)
    rounds = max((row.round for row in guests(results.rows)), default=0)
    least, most = min(counts.values(), default=0), max(counts.values(), default=0)
    if results.options.get("rounds") or least == most == rounds or not most:
        return counted(rounds, "round")
    return f"{least} to {most} samples" if least < most else counted(most, "sample")


def left_out_line(results: TeardownResults) -> str:
    """Return one line that lists what builds of the run left out; empty if nothing is known."""
    texts = dict.fromkeys(text for row in results.binaries for text in row.left_out)
    return f"built without {', '.join(texts)}" if texts else ""


def load_line(results: TeardownResults) -> str:
    """Report how many samples were taken under foreign load, and where most were; empty if there are none."""
    loaded = [row for row in results.rows if row.loaded]
    if not loaded:
        return ""
    line = f"{len(loaded)} of {len(results.rows)} samples were taken while other work kept CPUs busy"
    total, bad = (
        Counter((row.target.removesuffix("-softmmu"), row.memory_mib, row.kind) for row in rows)
        for rows in ([row for row in results.rows if row.kind in LATENCIES], loaded)
    )
    worst = sorted((key for key in total if bad[key]), key=lambda key: -bad[key] / total[key])[:NAMED]
    cells = [
        f"{target} {format_size(memory)}{'' if kind == 'teardown' else f' {kind}'}"
        f" ({bad[target, memory, kind]} of {total[target, memory, kind]})"
        for target, memory, kind in worst
    ]
    busy = [row.foreign_cpus for row in loaded if row.foreign_cpus is not None]
    mean = f" ({sum(busy) / len(busy):.1f} on average)" if busy else ""
    return f"{line}{mean}{', most in ' + ', '.join(cells) if cells else ''}"
