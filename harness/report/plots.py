"""Plots of a teardown run as SVG that uses the colours of the page (light and dark) and works offline.

Text stays text. Every plot comes with a table of its data, so no information is in the picture alone.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from harness.figures import format_seconds
from harness.options import format_size
from harness.report.headline import guests
from harness.teardown.model import MATRIX_FIELDS, Sample
from harness.teardown.places import series_words
from harness.teardown.results import TeardownResults
from harness.teardown.statistics import SEED, by_place, mad, median, median_interval, values_of, variant_order

INK, GRID = "#010203", "#040506"
PALETTE = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
COLOURS = {INK: "--ink", GRID: "--grid"} | {colour: f"--v{n}" for n, colour in enumerate(PALETTE)}
"""Placeholder colours, replaced by custom properties of the page."""
MARKERS = "osD^vP"
KNOWN = ("base", "pristine+option", "patched")
"""Variants that have the same colour in every run."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qemu-harness",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": GRID,
    "hatch.color": INK,
    "legend.frameon": False,
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot and its data. ``table``: a line of headings, then the rows."""

    name: str
    title: str
    summary: str
    svg: str
    table: tuple[tuple[str, ...], ...]


def latency_plots(results: TeardownResults) -> tuple[Plot, ...]:
    """Plot exit and reclaim against memory for each series of cells, on logarithmic axes."""
    return tuple(
        _latency(results, series, latency)
        for series in _series_of(results)
        for latency in ("exit", "reclaim")
    )


def _latency(results: TeardownResults, series: tuple[str, ...], latency: str) -> Plot:
    rows = [row for row in guests(results.rows) if row.counts and row.series == series]
    variants = _variants(results)
    table: list[tuple[str, ...]] = [("variant", "memory", "median", "95 % interval", "MAD", "samples")]
    words = series_words(results.rows, series)
    title = f"{latency} against memory: {words}"

    def draw(axes: Axes) -> None:
        for number, variant in enumerate(variants):
            mine = [row for row in rows if row.variant == variant]
            sizes = sorted({row.memory_mib for row in mine})
            middles, ends = [], []
            for size in sizes:
                values = values_of((row for row in mine if row.memory_mib == size), latency)
                low, high = median_interval(values)
                middle = median(values) or 0.0
                middles.append(middle * 1000)
                ends.append(((middle - low) * 1000, (high - middle) * 1000))
                milliseconds = [value * 1000 for value in values]
                _points(axes, [size / 1024] * len(values), milliseconds, _colour(variant, number))
                table.append(
                    (
                        variant,
                        format_size(size),
                        format_seconds(middle),
                        f"{format_seconds(low)} to {format_seconds(high)}",
                        format_seconds(mad(values)),
                        str(len(values)),
                    )
                )
            if sizes:
                axes.errorbar(
                    [size / 1024 for size in sizes],
                    middles,
                    yerr=numpy.asarray(ends).T,
                    color=_colour(variant, number),
                    marker=MARKERS[number % len(MARKERS)],
                    capsize=3,
                    linewidth=1.5,
                    label=variant,
                )
        floor = median(values_of((r for r in guests(results.rows, "floor") if r.counts), "exit"))
        if floor and latency == "exit":
            axes.axhline(floor * 1000, color=INK, linestyle=":", linewidth=1, label="floor")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        sizes = sorted({row.memory_mib for row in rows})
        axes.set_xticks([size / 1024 for size in sizes], [format_size(size) for size in sizes])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("guest memory")
        axes.set_ylabel(f"{latency} latency, ms")
        axes.grid(visible=True, which="major", linewidth=0.5)
        axes.legend()

    svg = _svg(f"{latency}-{words}", draw)
    summary = f"Median {latency} latency of each variant by guest memory, with intervals and every sample."
    return Plot(name=f"{latency}-{_slug(words)}", title=title, summary=summary, svg=svg, table=tuple(table))


def restart_plots(results: TeardownResults) -> tuple[Plot, ...]:
    """Plot the parts of a restart for each cell that measured it: bars of exit, start and reclaim."""
    found = []
    for place, sides in by_place(results.rows, "restart").items():
        measured = {variant: side for variant, side in sides.items() if values_of(side, "restart")}
        if measured:
            found.append(_restart(results, place, measured))
    return tuple(found)


def _restart(results: TeardownResults, place: tuple[Any, ...], sides: Mapping[str, Sequence[Sample]]) -> Plot:
    named = dict(zip(MATRIX_FIELDS, place, strict=True))
    words = f"{series_words(results.rows, _series_at(place))} {format_size(named['memory_mib'])}"
    table: list[tuple[str, ...]] = [
        ("variant", "exit", "second guest ready", "memory of the first freed", "samples")
    ]
    variants = [variant for variant in _variants(results) if variant in sides]

    def draw(axes: Axes) -> None:
        for at, variant in enumerate(variants):
            exit_, ready, back = (
                median(values_of(sides[variant], latency)) or 0.0
                for latency in ("exit", "restart", "reclaim")
            )
            colour = _colour(variant, at)
            first = at == 0  # one legend entry for all bars
            axes.barh(at, exit_, 0.36, color=colour, edgecolor=INK, label="exit" if first else None)
            axes.barh(
                at, ready - exit_, 0.36, left=exit_, color="none", edgecolor=colour, hatch="//",
                linewidth=1.2, label="start of the second guest" if first else None,
            )  # fmt: skip
            axes.barh(
                at + 0.29, max(back - exit_, 0), 0.12, left=exit_, color=GRID, edgecolor=INK, linewidth=0.5,
                label="reclaim, in parallel" if first else None,
            )  # fmt: skip
            axes.annotate(
                format_seconds(ready), (ready, at), textcoords="offset points", xytext=(4, 0), va="center"
            )
            count = str(len(values_of(sides[variant], "restart")))
            table.append((variant, format_seconds(exit_), format_seconds(ready), format_seconds(back), count))
        axes.set_yticks(range(len(variants)), variants)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("seconds since the trigger")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.62 / (0.3 + 0.55 * len(variants))), ncols=3)

    svg = _svg(f"restart-{words}", draw, height=0.9 + 0.55 * len(variants))
    return Plot(
        name=f"restart-{_slug(words)}",
        title=f"restart: {words}",
        summary="From the trigger until a second guest is ready: exit, then start; reclaim runs in parallel.",
        svg=svg,
        table=tuple(table),
    )


def distribution_plots(results: TeardownResults) -> tuple[Plot, ...]:
    """Plot every sample of exit and reclaim at the largest size of each series."""
    places = by_place(results.rows, "teardown")
    memory = MATRIX_FIELDS.index("memory_mib")
    largest: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for place in sorted(places, key=lambda place: place[memory]):
        if any(places[place].values()):
            largest[_series_at(place)] = place
    return tuple(
        _distribution(results, place, places[place], latency)
        for place in largest.values()
        for latency in ("exit", "reclaim")
    )


def _distribution(
    results: TeardownResults, place: tuple[Any, ...], sides: Mapping[str, Sequence[Sample]], latency: str
) -> Plot:
    named = dict(zip(MATRIX_FIELDS, place, strict=True))
    words = f"{series_words(results.rows, _series_at(place))} {format_size(named['memory_mib'])}"
    variants = [variant for variant in _variants(results) if variant in sides]
    quantiles = ("minimum", "lower quartile", "median", "upper quartile", "maximum")
    table: list[tuple[str, ...]] = [("variant", *quantiles, "under foreign load")]

    def draw(axes: Axes) -> None:
        for at, variant in enumerate(variants):
            values = values_of(sides[variant], latency)
            if not values:
                continue
            quartiles = numpy.percentile(values, (0, 25, 50, 75, 100))
            spread = numpy.random.default_rng(SEED).uniform(-0.18, 0.18, len(values))
            colour = _colour(variant, at)
            _points(axes, [value * 1000 for value in values], [at + each for each in spread], colour)
            axes.plot([quartiles[1] * 1000, quartiles[3] * 1000], [at + 0.3] * 2, color=colour, linewidth=3)
            axes.plot(quartiles[2] * 1000, at + 0.3, marker="|", markersize=11, color=INK)
            loaded = str(sum(row.loaded for row in sides[variant]))
            table.append((variant, *map(format_seconds, quartiles), loaded))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_yticks(range(len(variants)), variants)
        axes.invert_yaxis()
        axes.set_xlabel(f"{latency} latency, ms")
        axes.grid(visible=True, axis="x", linewidth=0.5)

    svg = _svg(f"distribution-{latency}-{words}", draw, height=0.8 + 0.5 * len(variants))
    return Plot(
        name=f"distribution-{latency}-{_slug(words)}",
        title=f"every {latency}: {words}",
        summary="Every sample, above a bar from the lower to the upper quartile that marks the median.",
        svg=svg,
        table=tuple(table),
    )


def _points(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str) -> None:
    axes.plot(x, y, ".", markersize=3, color=colour, alpha=0.55)


def _svg(name: str, draw: Callable[[Axes], None], *, height: float = 3.2) -> str:
    """Return an SVG element for embedding: no prologue, unique ids, the page's colours."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    slug = _slug(name)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{slug}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{slug}-", text)
    for colour, variable in COLOURS.items():
        text = text.replace(colour, f"var({variable})")
    return text.replace("<svg ", '<svg focusable="false" ', 1)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _variants(results: TeardownResults) -> list[str]:
    return sorted({row.variant for row in guests(results.rows)}, key=variant_order)


def _colour(variant: str, number: int) -> str:
    known = KNOWN.index(variant) if variant in KNOWN else None
    return PALETTE[known if known is not None else 3 + number % 3]


def _series_at(place: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(value for field, value in zip(MATRIX_FIELDS, place, strict=True) if field != "memory_mib")


def _series_of(results: TeardownResults) -> list[tuple[str, ...]]:
    return sorted({row.series for row in guests(results.rows) if row.counts}, reverse=True)
