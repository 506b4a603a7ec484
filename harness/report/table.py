"""The table on the terminal, rendered from the results alone."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from harness.bench.subject import REFERENCES
from harness.console import plain_text
from harness.figures import NONE, counted, format_ratio, format_seconds
from harness.options import format_size
from harness.report.headline import (
    extrapolations,
    floor_lines,
    guests,
    headline,
    left_out_line,
    load_line,
    sample_words,
)
from harness.report.terminal import heading, plain_table, stopped
from harness.teardown.model import MATRIX_FIELDS, Comparison, Sample
from harness.teardown.results import GateResult, TeardownResults
from harness.teardown.statistics import (
    UPSTREAM,
    by_place,
    median,
    place_order,
    reference_of,
    values_of,
    variant_order,
)

_COLUMNS = {
    field: field.removesuffix("_mib")
    for field in ("target", "host", "memory_mib", "backend", "pages", "payload", "trigger")
}
"""Headings of the fields of a cell. accel goes with target and is in the heading of the table."""
_STYLES = {"better": "green", "worse": "red"}
_GATE_STYLES = {"pass": "green", "undecided": "yellow", "fail": "bold red"}


def render_table(results: TeardownResults) -> RenderableType:
    """Render medians of base and of each other variant, cell by cell; cancelled and failed samples below."""
    rows = guests(results.rows)
    variants = sorted({row.variant for row in rows}, key=variant_order)
    reference = reference_of(variants)
    others = [variant for variant in variants if variant != reference]
    shown = [field for field in _COLUMNS if field in ("memory_mib",) or len(_values(rows, field)) > 1]
    table = plain_table(_COLUMNS[field] for field in shown)
    if len(others) != 1:
        table.add_column("variant", no_wrap=True)
    compared = reference in REFERENCES and bool(others)
    name = others[0] if len(others) == 1 else ""
    if compared:
        table.add_column(f"{reference}\nexit", justify="right", no_wrap=True)
    table.add_column(f"{name}\nexit", justify="right", no_wrap=True)
    if compared:
        table.add_column("\nratio", justify="right", no_wrap=True)
    table.add_column(f"{name}\nreclaim", justify="right", no_wrap=True)
    if compared:
        table.add_column("\nratio", justify="right", no_wrap=True)
        table.add_column("verdict\nexit, reclaim", no_wrap=True)
    verdicts = {
        (*row.place, row.variant, row.latency): row
        for row in results.comparisons
        if row.reference == reference
    }
    for place, samples in _places(rows).items():
        for variant in others or variants:
            lead = [_cell(field, place[MATRIX_FIELDS.index(field)]) for field in shown]
            if len(others) != 1:
                lead.append(variant)
            mine = [sample for sample in samples if sample.variant == variant]
            if not compared:
                table.add_row(*lead, _median(mine, "exit_s"), _median(mine, "reclaim_s"))
                continue
            theirs = [sample for sample in samples if sample.variant == reference]
            exit_, reclaim = (verdicts.get((*place, variant, latency)) for latency in ("exit", "reclaim"))
            table.add_row(
                *lead,
                _median(theirs, "exit_s"),
                _median(mine, "exit_s"),
                format_ratio(exit_.ratio if exit_ else None),
                _median(mine, "reclaim_s"),
                format_ratio(reclaim.ratio if reclaim else None),
                Text.assemble(_verdict(exit_), ", ", _verdict(reclaim)),
            )
    return Group(*_heading(results), table, *_summary(results), *_remarks(results))


def table_text(results: TeardownResults, *, width: int = 100) -> str:
    """Return the table as plain text, without colour codes."""
    return plain_text(render_table(results), width=width)


def _heading(results: TeardownResults) -> Iterable[RenderableType]:
    rows = guests(results.rows)
    accels = ", ".join(_accels(rows))
    single = {field: values[0] for field in _COLUMNS if len(values := _values(rows, field)) == 1}
    fixed = [
        f"on {value}" if field == "host" and value != "native" else _cell(field, value)
        for field, value in single.items()
    ]
    yield from heading(f"Teardown, medians of {sample_words(results)}: {', '.join(fixed)}; {accels}", results)


def _accels(rows: Sequence[Sample]) -> Iterable[str]:
    """Yield the accelerator of each target; payloads are listed separately only if theirs differ."""
    used: dict[str, dict[str, str]] = {}
    for row in rows:
        used.setdefault(row.target.removesuffix("-softmmu"), {})[row.payload] = row.accel
    for target, payloads in used.items():
        if len(set(payloads.values())) == 1:
            yield f"{next(iter(payloads.values()))} for {target}"
        else:
            yield from (f"{accel} for {target} {payload}" for payload, accel in payloads.items())


def _summary(results: TeardownResults) -> Iterable[RenderableType]:
    """Yield slopes, restarts, the comparison with upstream, floor, gates."""
    yield Text("")
    yield from map(Text, (*headline(results), *extrapolations(results)))
    for place, sides in by_place(results.rows, "restart").items():
        medians = [
            f"{variant} {format_seconds(median(values_of(side, 'restart')))}"
            for variant, side in sides.items()
            if side
        ]
        if medians:
            yield Text.assemble(
                f"{_words(place)}: restart: {', '.join(medians)}",
                *_against(results, place, reference_of(list(sides)), restarts=True),
            )
    for place in by_place(results.rows, "teardown"):
        against = _against(results, place, UPSTREAM)
        if against:
            yield Text.assemble(f"{_words(place)}: against {UPSTREAM}", *against)
    for line in (*floor_lines(results), load_line(results), left_out_line(results)):
        if line:
            yield Text(line, style="dim")
    yield from render_gates(results.gates)


def _against(
    results: TeardownResults, place: tuple[object, ...], reference: str, *, restarts: bool = False
) -> list[str | Text]:
    """Return ratios to ``reference`` with verdicts for one cell; with ``restarts`` only those of restarts,
    else all others."""
    parts: list[str | Text] = []
    for row in results.comparisons:
        here = row.place == place and row.reference == reference
        if here and (row.latency == "restart") == restarts and row.ratio is not None:
            what = row.variant if restarts else f"{row.variant} {row.latency}"
            parts += [f"{', ' if parts else ': '}{what} {format_ratio(row.ratio)} ", _verdict(row)]
    return parts


def _words(place: tuple[object, ...]) -> str:
    named = dict(zip(MATRIX_FIELDS, place, strict=True))
    words = (str(named["target"]).removesuffix("-softmmu"), format_size(int(str(named["memory_mib"]))))
    return " ".join((*words, *(str(named[field]) for field in ("backend", "pages", "trigger"))))


def render_gates(gates: Sequence[GateResult]) -> Iterable[Text]:
    """Yield a line a gate, and one for each cell that failed it."""
    for name in dict.fromkeys(gate.gate for gate in gates if gate.outcome != "skip"):
        mine = [gate for gate in gates if gate.gate == name]
        counts = Counter(gate.outcome for gate in mine)
        worst = next(outcome for outcome in ("fail", "undecided", "pass") if counts[outcome])
        tally = ", ".join(f"{counts[each]} {each}" for each in ("pass", "undecided", "fail") if counts[each])
        yield Text(f"gate: {name}: {tally}", style=_GATE_STYLES[worst])
        for gate in mine:
            if gate.outcome == "fail":
                yield Text(f"  {gate.place}: {gate.reason}", style=_GATE_STYLES["fail"])


def _remarks(results: TeardownResults) -> Iterable[RenderableType]:
    reasons: dict[tuple[str, str, str], list[Sample]] = {}
    for row in results.rows:
        if row.outcome != "ok":
            who = (
                "" if row.outcome == "cancelled" else f"{row.variant} {row.target.removesuffix('-softmmu')} "
            )
            size = format_size(row.memory_mib) + ("" if row.kind == "teardown" else f" {row.kind}")
            key = (row.outcome, who, size)
            reasons.setdefault(key, []).append(row)
    for (outcome, who, size), samples in reasons.items():
        count = counted(len(samples), "sample")
        yield Text(f"{who}{size}: {count} {outcome}: {samples[0].reason}", style="yellow")
    for host in results.emulated:
        held = ", ".join(tried.name for tried in host.properties if tried.outcome == "ok") or "nothing"
        yield Text(f"{host.host}: Linux {host.kernel} emulated by {host.accel}; properties that hold: {held}")
        for tried in host.properties:
            if tried.outcome != "ok":
                yield Text(f"{host.host}: {tried.name} {tried.outcome}: {tried.reason}", style="yellow")
    if any(row.verdict == "not enough data" for row in results.comparisons):
        yield Text("?: not enough data for a verdict (docs/measuring.md)", style="dim")
    yield from stopped(results)


def _places(rows: Sequence[Sample]) -> dict[tuple[object, ...], list[Sample]]:
    """Group rows by cell, in the order of by_place, including bad ones."""
    places: dict[tuple[object, ...], list[Sample]] = {}
    for row in rows:
        places.setdefault(row.place, []).append(row)
    return dict(sorted(places.items(), key=lambda item: place_order(item[0])))


def _values(rows: Sequence[Sample], field: str) -> list[object]:
    return list(dict.fromkeys(getattr(row, field) for row in rows))


def _cell(field: str, value: object) -> str:
    if field == "memory_mib":
        return format_size(int(str(value)))
    return str(value).removesuffix("-softmmu")


def _median(samples: Sequence[Sample], field: str) -> str:
    good = [getattr(sample, field) for sample in samples if sample.outcome == "ok"]
    if good:
        return format_seconds(statistics.median(good))
    return "cancelled" if any(sample.outcome == "cancelled" for sample in samples) else NONE


def _verdict(row: Comparison | None) -> Text:
    if row is None or row.ratio is None:
        return Text(NONE)
    if row.verdict == "not enough data":
        return Text("?")
    return Text(row.verdict, style=_STYLES.get(row.verdict, ""))
