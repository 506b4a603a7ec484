"""Compare what behaviour tests measured: verdicts, gates, failures, and tests that prove nothing."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from harness.behaviour.model import BehaviourResults, BehaviourRow, Metric, MetricComparison, Verdict
from harness.bench import Subject
from harness.teardown.gates import Gate, Gates, limited, verdict_within
from harness.teardown.paired import Effect, effect_of
from harness.teardown.results import GateResult
from harness.teardown.significance import ENOUGH
from harness.teardown.statistics import EQUIVALENT, LEVEL, reference_of


def compare(rows: Iterable[BehaviourRow], subjects: Sequence[Subject]) -> Iterator[MetricComparison]:
    """Compare each metric of each variant with the reference, round by round.

    The probability that any of the intervals misses its effect is at most LEVEL (Bonferroni).
    """
    names = [subject.variant for subject in subjects]
    reference = reference_of(names)
    figures: dict[tuple[str, str], dict[str, dict[int, Metric]]] = {}
    for row in rows:
        for metric in row.metrics if row.outcome == "pass" else ():
            of = figures.setdefault((row.test, metric.name), {})
            of.setdefault(row.variant, {})[row.round] = metric
    others = [name for name in names if name != reference]
    wanted = [
        (key, name, sorted(set(of.get(reference, {})) & set(of.get(name, {}))))
        for key, of in figures.items()
        for name in others
    ]
    shown = [one for one in wanted if one[2]]
    for key, name, turns in shown:
        of, (test, measured) = figures[key], key
        first = of[reference][turns[0]]
        pairs = [(of[reference][turn].value, of[name][turn].value) for turn in turns]
        effect = effect_of(pairs, lower_is_better=first.better == "lower", miss=LEVEL / len(shown))
        known = len(pairs) >= ENOUGH
        yield MetricComparison(
            test=test,
            metric=measured,
            unit=first.unit,
            better=first.better,
            reference=reference,
            variant=name,
            pairs=len(pairs),
            reference_median=statistics.median(pair[0] for pair in pairs),
            variant_median=statistics.median(pair[1] for pair in pairs),
            effect=effect.mean,
            low=effect.low if known else None,
            high=effect.high if known else None,
            relative=effect.relative,
            verdict=_verdict(effect),
        )


def _verdict(effect: Effect) -> Verdict:
    if effect.low > 0 or effect.high < 0:
        return "worse" if effect.low > 0 else "better"
    low, high = (math.log(limit) for limit in EQUIVALENT) if effect.relative else (0.0, 0.0)
    return "same" if low <= effect.low and effect.high <= high else "?"


def place_of(row: MetricComparison) -> str:
    """Return the place of a gate on the metric."""
    return f"{row.metric} of {row.test}" + ("" if row.variant == "patched" else f" on {row.variant}")


def judge_metrics(comparisons: Sequence[MetricComparison], gates: Gates) -> tuple[GateResult, ...]:
    """Judge the gates on metrics. A gate without figures is skipped."""
    judged: list[GateResult] = []
    for gate in (one for one in gates.gate if one.metric):
        mine = [
            one
            for one in comparisons
            if (one.metric, one.variant) == (gate.metric, gate.variant)
            and gate.test in ("", one.test)
            and gate.reference in ("", one.reference)
        ]
        judged += [_judge(gate, one) for one in mine] or [
            GateResult(
                gate=gate.name,
                place=gate.test,
                outcome="skip",
                reason=f"the run has no {gate.metric} of {gate.variant} and "
                f"{gate.reference or 'the reference'}",
            )
        ]
    return tuple(judged)


def _judge(gate: Gate, row: MetricComparison) -> GateResult:
    factor, low, high = (
        math.exp(value) if value is not None and row.relative else None
        for value in (row.effect, row.low, row.high)
    )
    if gate.kind == "verdict":
        return verdict_within(gate, place_of(row), row.verdict, factor, (low, high))
    if factor is None:
        reason = f"a figure of {row.metric} is not above 0, so that it has no ratio"
        return GateResult(gate=gate.name, place=place_of(row), outcome="skip", reason=reason)
    return limited(gate, place_of(row), factor, (low, high), gate.at_most)


def problems_of(results: BehaviourResults) -> list[str]:
    """Return a line for each test that fails on a variant other than the reference, and each worse metric.

    A metric with a gate is left to the gate.
    """
    names = [subject.variant for subject in results.binaries]
    reference = reference_of(names)
    failed: dict[tuple[str, str], list[BehaviourRow]] = {}
    for row in results.rows:
        if row.outcome == "fail" and (row.variant != reference or len(names) == 1):
            failed.setdefault((row.test, row.variant), []).append(row)
    lines = [
        f"{test} fails on {variant} in {len(rows)} of its runs: {rows[0].reason or 'no reason given'}"
        for (test, variant), rows in failed.items()
    ]
    gated = {gate.place for gate in results.gates if gate.outcome != "skip"}
    return lines + [
        f"{one.metric} of {one.test} is worse on {one.variant}: {one.variant_median:.4g} {one.unit} "
        f"instead of {one.reference_median:.4g} {one.unit}"
        for one in results.comparisons
        if one.verdict == "worse" and place_of(one) not in gated
    ]


def proofs_of(results: BehaviourResults) -> Iterator[tuple[str, str, str]]:
    """Yield each test with an outcome of harness.check.TestProof, and the reason.

    A test proves the series if it passes with the series, but fails on the reference, or has a metric that is
    worse there.
    """
    reference = reference_of([subject.variant for subject in results.binaries])
    for test in dict.fromkeys(row.test for row in results.rows):
        rows = [row for row in results.rows if row.test == test]
        late = [row for row in rows if row.outcome == "fail" and row.variant != reference]
        cancelled = [row for row in rows if row.outcome == "cancel"]
        early = [row.reason for row in rows if row.outcome == "fail"] + [
            f"{one.metric} is worse there: {one.reference_median:.4g} {one.unit} instead of "
            f"{one.variant_median:.4g} {one.unit}"
            for one in results.comparisons
            if (one.test, one.verdict) == (test, "better")
        ]
        if late or cancelled:
            outcome = "fails with the series" if late else "skipped"
            yield test, outcome, (late + cancelled)[0].reason
        else:
            yield test, "proves" if early else "passes on the base", early[0] if early else ""
