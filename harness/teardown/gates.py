"""Gates: requirements for the figures of a run, and whether the figures meet them.

A gate fails if the data rule it out: the whole 95 % interval exceeds the limit. If only the figure exceeds
the limit, the gate is ``undecided``, which is reported but is not an error: a gate must not fail by chance on
a noisy machine. Limits are ratios, never times, so they apply to any machine.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from harness.bench.subject import REFERENCES
from harness.errors import GateError, OptionError
from harness.figures import format_ratio, format_slope
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.options import parse_size
from harness.teardown.model import MATRIX_FIELDS, Slope
from harness.teardown.places import place_words, series_words
from harness.teardown.ratios import Ratio, read_ratios
from harness.teardown.results import GateResult, TeardownResults
from harness.teardown.statistics import by_place, median, ratio_interval, values_of

DEFAULT = Path(__file__).with_name("gates.toml")
SHOWN = 10


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[gate]]`` of a file; docs/measuring.md explains the fields."""

    name: str
    kind: Literal["ratio", "slope", "verdict", "recorded"]
    latency: Literal["exit", "reclaim", "restart"] = "exit"
    variant: str = "patched"
    reference: str = ""
    """Empty for the variant without the feature: base, or pristine in a run without base."""
    reference_latency: Literal["", "exit", "reclaim", "restart"] = ""
    size: str = "every"
    at_most: float = 1.0
    verdicts: tuple[str, ...] = ("better", "same")
    file: str = ""
    metric: str = ""
    """A figure of behaviour tests, instead of a latency; ``test``: of this test only."""
    test: str = ""


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of gates. ``recorded``: the ratios for gates of that kind, by file name."""

    gate: tuple[Gate, ...]
    recorded: dict[str, tuple[Ratio, ...]] = {}


NO_GATES = Gates(gate=())


def read_gates(name: str, root: Path) -> Gates:
    """Read the gates of the file ``name`` (relative to ``root``); the built-in gates if it is empty.

    Raises OptionError: missing file, invalid TOML, unknown fields or values.
    """
    path = root / name if name else DEFAULT
    try:
        gates = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Gates)
        for gate in gates.gate:
            if gate.size not in ("every", "largest"):
                parse_size(gate.size, name=f"-Dgate: {gate.name}")
            if gate.metric and gate.kind not in ("ratio", "verdict"):
                raise OptionError(
                    f"-Dgate: {gate.name}: kind {gate.kind} is for latencies only", "use ratio or verdict"
                )
        recorded = {
            gate.file: read_ratios(path.parent / gate.file) for gate in gates.gate if gate.kind == "recorded"
        }
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"-Dgate: cannot read {path}: {error}", "check the path") from error
    except UNREADABLE as error:
        raise OptionError(
            f"-Dgate: {path} is not a file of gates: {error}", "docs/measuring.md lists the fields"
        ) from error
    return msgspec.structs.replace(gates, recorded=recorded)


def judge_gates(results: TeardownResults, gates: Gates) -> tuple[GateResult, ...]:
    """Judge each gate on a latency, cell by cell. A gate without figures is skipped."""
    judged: list[GateResult] = []
    variants = {row.variant for row in results.rows}
    without = next((name for name in REFERENCES if name in variants), REFERENCES[0])
    on_latencies = [one for one in gates.gate if not one.metric]
    for gate in (msgspec.structs.replace(one, reference=one.reference or without) for one in on_latencies):
        mine = list(_KINDS[gate.kind](results, gate, gates))
        judged += mine or [
            GateResult(
                gate=gate.name,
                place="",
                outcome="skip",
                reason=f"the run has no {gate.latency} of {gate.variant} and {gate.reference}",
            )
        ]
    return tuple(judged)


class Judged(Protocol):
    """Results of a run with gates."""

    @property
    def gates(self) -> tuple[GateResult, ...]: ...


def check_gates(layout: Layout, results: Judged, name: str = "teardown.json") -> None:
    """Raise GateError if a gate failed. ``name`` is the file of the results."""
    failed = [gate for gate in results.gates if gate.outcome == "fail"]
    if failed:
        raise GateError(
            f"{len(failed)} of {sum(gate.outcome != 'skip' for gate in results.gates)} gates failed",
            "read the report; other work on the machine changes the figures",
            details=tuple(f"{gate.gate}: {gate.place}: {gate.reason}" for gate in failed[:SHOWN]),
            log=layout.results / name,
        )


def _ratio(results: TeardownResults, gate: Gate, _: Gates) -> Iterable[GateResult]:
    kind = "restart" if gate.latency == "restart" else "teardown"
    places = by_place(results.rows, kind)
    largest = max((place[MATRIX_FIELDS.index("memory_mib")] for place in places), default=0)
    for place, sides in places.items():
        memory = place[MATRIX_FIELDS.index("memory_mib")]
        wanted = {"every": memory, "largest": largest}.get(gate.size) or parse_size(gate.size)
        if memory != wanted:
            continue
        ours = values_of(sides.get(gate.variant, ()), gate.latency)
        theirs = values_of(sides.get(gate.reference, ()), gate.reference_latency or gate.latency)
        mine, reference = median(ours), median(theirs)
        if mine is None or not reference:
            continue
        low, high = ratio_interval(ours, theirs)
        yield limited(gate, place_words(place), mine / reference, (low, high), gate.at_most)


def _slope(results: TeardownResults, gate: Gate, _: Gates) -> Iterable[GateResult]:
    """``at_most``: the share of the reference's slope that counts as zero."""
    mine = {each.series: each for each in results.slopes if _is(each, gate, gate.variant)}
    for theirs in (each for each in results.slopes if _is(each, gate, gate.reference)):
        ours = mine.get(theirs.series)
        if ours is None:
            continue
        limit = gate.at_most * abs(theirs.ms_per_gib)
        low, high = ours.low, ours.high
        outcome = "pass" if low <= limit and high >= -limit else "fail"
        yield GateResult(
            gate=gate.name,
            place=series_words(results.rows, theirs.series),
            outcome=outcome,
            figure=ours.ms_per_gib,
            low=low,
            high=high,
            limit=limit,
            reason=""
            if outcome == "pass"
            else f"{format_slope(ours.ms_per_gib)} ms/GiB, interval {format_slope(low)} to"
            f" {format_slope(high)}, is not within {format_slope(limit)} of zero",
        )


def _verdict(results: TeardownResults, gate: Gate, _: Gates) -> Iterable[GateResult]:
    for row in results.comparisons:
        if (row.variant, row.reference, row.latency) != (gate.variant, gate.reference, gate.latency):
            continue
        place = place_words(row.place)
        yield verdict_within(gate, place, row.verdict, row.ratio, (row.ratio_low, row.ratio_high))


def _recorded(results: TeardownResults, gate: Gate, gates: Gates) -> Iterable[GateResult]:
    """``at_most``: the limit as a multiple of the recorded ratio."""
    known = {each.key: each.ratio for each in gates.recorded.get(gate.file, ())}
    for row in results.comparisons:
        before = known.get(Ratio.of(row, 0.0).key)
        if before is not None and row.latency == gate.latency and row.ratio is not None:
            place = place_words(row.place)
            interval = (row.ratio_low, row.ratio_high)
            yield limited(gate, f"{row.variant} {place}", row.ratio, interval, before * gate.at_most)


_KINDS = {"ratio": _ratio, "slope": _slope, "verdict": _verdict, "recorded": _recorded}


def verdict_within(
    gate: Gate, place: str, verdict: str, figure: float | None, interval: tuple[float | None, float | None]
) -> GateResult:
    """Judge a gate of kind ``verdict``."""
    is_open = verdict in ("not enough data", "?")
    outcome = "undecided" if is_open else "pass" if verdict in gate.verdicts else "fail"
    return GateResult(
        gate=gate.name,
        place=place,
        outcome=outcome,
        figure=figure,
        low=interval[0],
        high=interval[1],
        reason="" if outcome == "pass" else f"{verdict}, ratio {format_ratio(figure)}",
    )


def limited(
    gate: Gate, place: str, figure: float, interval: tuple[float | None, float | None], limit: float
) -> GateResult:
    """Judge a gate of kind ``ratio`` or ``recorded``."""
    low, high = interval
    outcome = "pass" if figure <= limit else "fail" if low is not None and low > limit else "undecided"
    reach = f", interval {format_ratio(low)} to {format_ratio(high)}" if low is not None else ""
    return GateResult(
        gate=gate.name,
        place=place,
        outcome=outcome,
        figure=figure,
        low=low,
        high=high,
        limit=limit,
        reason="" if outcome == "pass" else f"{format_ratio(figure)}{reach}, above {format_ratio(limit)}",
    )


def _is(slope: Slope, gate: Gate, variant: str) -> bool:
    return (slope.variant, slope.latency) == (variant, gate.latency)
