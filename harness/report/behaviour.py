"""The results of behaviour tests as tables."""

from collections import Counter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from harness.behaviour.judge import problems_of
from harness.behaviour.model import BehaviourResults
from harness.report.table import render_gates
from harness.teardown.paired import interval_words, words_of


def render_behaviour(results: BehaviourResults) -> RenderableType:
    """Render the outcomes by test and variant, then each metric next to that of the reference."""
    outcomes = Table("test", "variant", "pass", "fail", "cancel", box=box.SIMPLE, pad_edge=False)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in results.rows:
        counts.setdefault((row.test, row.variant), Counter())[row.outcome] += 1
    for (test, variant), count in sorted(counts.items()):
        outcomes.add_row(test, variant, *(str(count[name]) for name in ("pass", "fail", "cancel")))
    parts: list[RenderableType] = [outcomes]
    if results.comparisons:
        metrics = Table(
            Column("test", overflow="fold"),
            *("metric", "variant", "reference", "here", "worse by", "interval", "verdict"),
            box=box.SIMPLE,
            pad_edge=False,
        )
        for one in results.comparisons:
            metrics.add_row(
                one.test,
                one.metric,
                one.variant,
                f"{one.reference_median:.4g} {one.unit}",
                f"{one.variant_median:.4g} {one.unit}",
                words_of(one.effect, relative=one.relative, unit=one.unit),
                interval_words(one.low, one.high, relative=one.relative, unit=one.unit),
                one.verdict,
            )
        parts.append(metrics)
    parts += render_gates(results.gates)
    parts += [Text(line, style="bold red") for line in problems_of(results)]
    return Group(*parts)
