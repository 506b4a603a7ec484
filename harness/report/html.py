"""``report.html``: a self-contained page, rendered from the results alone."""

import os
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from harness.figures import NONE, format_ratio, format_seconds, format_slope
from harness.jsonfile import load, storing
from harness.layout import Layout
from harness.options import format_size
from harness.properties.model import ROWS, worst
from harness.properties.record import PropertiesResults, properties_file
from harness.report.headline import (
    extrapolations,
    floor_lines,
    grows,
    headline,
    left_out_line,
    load_line,
    sample_words,
    tib_words,
)
from harness.report.pages import Rows, environment
from harness.report.plots import Plot, distribution_plots, latency_plots, restart_plots
from harness.teardown.model import Comparison
from harness.teardown.places import place_words, series_words
from harness.teardown.results import TeardownResults


def report_page(
    results: TeardownResults, *, properties: PropertiesResults | None, logs: Sequence[str]
) -> str:
    """Render the page. ``logs`` are paths of files, relative to the page."""
    pages = environment()
    pages.filters["plot"] = lambda plot: Markup(plot.svg)  # noqa: S704 - generated here from numbers
    figures: tuple[tuple[str, str, tuple[Plot, ...]], ...] = (
        ("latency", "Exit and reclaim against memory", latency_plots(results)),
        ("restart", "Restart: the delay for users", restart_plots(results)),
        ("distribution", "Every sample at the largest size", distribution_plots(results)),
    )
    return pages.get_template("report.html.j2").render(
        results=results,
        medians=sample_words(results),
        headline=headline(results),
        extrapolations=extrapolations(results),
        notes=[line for line in (*floor_lines(results), load_line(results)) if line],
        figures=figures,
        comparisons=_comparisons(results),
        slopes=_slopes(results),
        bad=_bad(results),
        gates=[
            (gate.gate, gate.place, gate.outcome, gate.reason)
            for gate in results.gates
            if gate.outcome != "skip"
        ],
        properties=_properties(properties) if properties else None,
        host=_host(results),
        logs=logs,
    )


def write_page(layout: Layout, results: TeardownResults, path: Path) -> None:
    """Write the page to ``path``, with the last results of properties. Raises StorageError."""
    # For results of another version, the page reports that there are none.
    properties = load(properties_file(layout), PropertiesResults)
    logs = [layout.logs / "avocado.log", layout.results / "teardown.json", layout.results / "teardown.xml"]
    logs += sorted(layout.logs.glob("emulated-*")) if results.emulated else []
    links = [os.path.relpath(log, path.parent) for log in logs if log.is_file()]
    with storing(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report_page(results, properties=properties, logs=links), encoding="utf-8")


def _comparisons(results: TeardownResults) -> Rows:
    return [
        (
            place_words(row.place),
            row.latency,
            row.variant,
            f"{format_seconds(row.variant_s)} ± {format_seconds(row.variant_mad_s)}",
            row.reference,
            f"{format_seconds(row.reference_s)} ± {format_seconds(row.reference_mad_s)}",
            format_ratio(row.ratio),
            _interval(row),
            f"{row.samples} / {row.samples_reference}",
            "" if row.p_holm is None else f"{row.p_holm:.2g}",
            row.verdict,
        )
        for row in results.comparisons
    ]


def _interval(row: Comparison) -> str:
    if row.ratio_low is None:
        return ""
    return f"{format_ratio(row.ratio_low)} to {format_ratio(row.ratio_high)}"


def _slopes(results: TeardownResults) -> Rows:
    return [
        (
            series_words(results.rows, row.series),
            row.latency,
            row.variant,
            format_slope(row.ms_per_gib),
            f"{format_slope(row.low)} to {format_slope(row.high)}",
            tib_words(row) if grows(row) else NONE,
            f"{row.samples}, {format_size(row.sizes_mib[0])} to {format_size(row.sizes_mib[-1])}",
        )
        for row in results.slopes
    ]


def _bad(results: TeardownResults) -> Rows:
    """Outcome, cell and reason; each reason once, with its count."""
    counts: dict[tuple[str, str, str], int] = {}
    for row in results.rows:
        if row.outcome != "ok":
            cell = f"{row.variant} {row.kind} {place_words(row.place)}"
            key = (row.outcome, cell, row.reason)
            counts[key] = counts.get(key, 0) + 1
    return [(outcome, cell, str(count), reason) for (outcome, cell, reason), count in counts.items()]


def _properties(properties: PropertiesResults) -> dict[str, object]:
    variants = list(dict.fromkeys(row.variant for row in properties.rows))
    lines = []
    for number in dict.fromkeys(row.row for row in properties.rows):
        cells = []
        for variant in variants:
            mine = [row for row in properties.rows if (row.row, row.variant) == (number, variant)]
            reasons = "; ".join(dict.fromkeys(row.reason for row in mine if row.reason))
            cells.append((worst([row.outcome for row in mine]) if mine else "", reasons))
        lines.append((number, ROWS.get(number, "unknown to this version"), cells))
    return {"variants": variants, "lines": lines, "started": properties.started}


def _host(results: TeardownResults) -> Rows:
    host = results.host
    facts = [
        ("distribution", host.distribution),
        ("kernel", f"Linux {host.kernel}, {host.machine}"),
        ("processor", f"{host.cpus} of {host.cpu}"),
        ("governor", host.governor or "none"),
        ("mitigations", host.mitigations or "none needed"),
        ("memory", f"{host.memory_mib} MiB, swap {host.swap_mib} MiB"),
        ("transparent huge pages", host.thp or "none"),
    ]
    facts += [
        (f"accelerator, {row.target}, {row.payload}", f"{row.name}: {row.reason}") for row in results.accels
    ]
    facts += [
        (f"QEMU, {row.variant}, {row.target}", " ".join((row.version, *row.options, row.sha256[:16])))
        for row in results.binaries
    ]
    facts += [("builds", line)] if (line := left_out_line(results)) else []
    facts += [
        (f"emulated {row.host}", f"Linux {row.kernel}, {row.cpus} CPUs, {row.memory_mib} MiB, {row.accel}")
        for row in results.emulated
    ]
    return list(facts)
