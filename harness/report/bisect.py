"""The result of a bisection as a table."""

import math
import statistics
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.regression.model import BisectedCommit, BisectResults
from harness.teardown.paired import interval_words, words_of


def render_bisect(results: BisectResults) -> RenderableType:
    """Render each judged commit, then the first bad one with both distributions."""
    table = Table("commit", "is", "pairs", "worse by", "interval", "title", box=box.SIMPLE, pad_edge=False)
    for row in results.commits:
        table.add_row(
            row.commit[:12],
            row.term,
            str(len(row.pairs)) if row.pairs else "",
            *_effect(row, results.unit),
            row.reason or row.title,
        )
    return Group(table, *_found(results))


def _effect(row: BisectedCommit, unit: str) -> tuple[str, str]:
    if row.effect is None:
        return "", ""
    interval = interval_words(row.low, row.high, relative=row.relative, unit=unit)
    return words_of(row.effect, relative=row.relative, unit=unit), interval


def _found(results: BisectResults) -> list[Text]:
    rows = {row.commit: row for row in results.commits}
    lines = []
    for commit in results.first_bad:
        row = rows.get(commit)
        what = "first bad commit" if len(results.first_bad) == 1 else "possible first bad commit"
        lines.append(Text(f"{what}: {commit} {row.title if row else ''}".rstrip(), style="bold"))
        if row and row.pairs:
            for name, values in zip(("good", "here"), zip(*row.pairs, strict=True), strict=True):
                lines.append(Text(f"  {name}: {_distribution(values, results.unit)}"))
    return lines


def _distribution(values: Sequence[float], unit: str) -> str:
    ordered = sorted(values)
    quarter = ordered[math.floor(len(ordered) / 4)], ordered[math.ceil(3 * len(ordered) / 4) - 1]
    return (
        f"median {statistics.median(ordered):.4g} {unit}, half of them from {quarter[0]:.4g} to "
        f"{quarter[1]:.4g}, all from {ordered[0]:.4g} to {ordered[-1]:.4g}, {len(ordered)} samples"
    )
