"""Open verdicts: how many more samples, and how much more time, would settle them.

An estimate: the difference and the noise of the samples so far are taken as they are.
"""

import datetime
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.teardown.model import CellKey, Comparison, Sample, cell_key
from harness.teardown.significance import ENOUGH, LOOKS, Pair, borrow, spent
from harness.teardown.statistics import EQUIVALENT, LEVEL, contests

MOST = LOOKS[-1]
"""Verdicts that need more samples a side stay open."""
INTERVAL = 1.96 * 1.2533
"""Half the width of a 95 % interval of a median, in standard errors of a mean (normal distribution)."""


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A cell with open verdicts. ``needed``: samples a side that would settle all; infinite beyond MOST."""

    kind: str
    place: tuple[Any, ...]
    latencies: tuple[str, ...]
    samples: int
    needed: float
    visit_s: float
    """Seconds that a further sample of each variant takes; 0 if unknown."""

    @property
    def key(self) -> CellKey:
        """Kind and cell."""
        return self.kind, self.place

    @property
    def seconds(self) -> float:
        """Seconds until its verdicts."""
        return (self.needed - self.samples) * self.visit_s if math.isfinite(self.needed) else math.inf


def open_cells(
    samples: Sequence[Sample], comparisons: Sequence[Comparison], *, looks: bool
) -> tuple[OpenCell, ...]:
    """Return the cells with open verdicts among ``comparisons`` (of ``samples``), quickest first."""
    costs = visit_seconds(samples)
    all_contests = list(contests(samples))
    pairs = [each.pair for each in all_contests]
    noise: dict[int, tuple[float, int]] = {}
    for family in {each.family for each in all_contests}:
        mine = [index for index, each in enumerate(all_contests) if each.family == family]
        noise |= dict(zip(mine, borrow([pairs[index] for index in mine]), strict=True))
    undecided = [index for index, row in enumerate(comparisons) if row.verdict == "not enough data"]
    found: dict[CellKey, OpenCell] = {}
    for index in undecided:
        here, pair = all_contests[index], pairs[index]
        key, level = (here.kind, here.place), LEVEL / len(undecided)
        adaptive = looks and here.family.native
        needed = ENOUGH if pair is None else samples_needed(pair, *noise[index], level=level, looks=adaptive)
        other = found.get(key)
        found[key] = OpenCell(
            kind=here.kind,
            place=here.place,
            latencies=tuple(dict.fromkeys((*(other.latencies if other else ()), here.latency))),
            samples=min(map(len, here.sides)),
            needed=max(needed, other.needed if other else 0),
            visit_s=costs.get(key, 0.0),
        )
    return tuple(sorted(found.values(), key=lambda cell: cell.seconds))


def samples_needed(pair: Pair, usual: float, borrowed: int, *, level: float, looks: bool) -> float:
    """Return the number of samples a side at which ``pair`` is expected to have a verdict."""
    sizes = LOOKS if looks else range(ENOUGH, MOST + 1)
    room = math.log(EQUIVALENT[1]) - abs(float(pair.difference))
    for before, size in itertools.pairwise((2, *sizes)):
        share = spent(size) - spent(before) if looks else 1.0
        width = INTERVAL * math.sqrt(2 * float(pair.variance) / size)
        if size > pair.size and (pair.p_expected(usual, borrowed, size) <= level * share or width <= room):
            return float(size)
    return math.inf


def visit_seconds(samples: Sequence[Sample]) -> dict[CellKey, float]:
    """Return the mean seconds from one visit of a cell to the next, with a sample of each variant.

    A restart that was never sampled costs twice the time of its cell.
    """
    taken = sorted((row for row in samples if row.started), key=lambda row: row.index)
    spans: dict[CellKey, list[float]] = {}
    variants: dict[CellKey, set[str]] = {}
    for row in taken:
        variants.setdefault(cell_key(row), set()).add(row.variant)
    for row, later in itertools.pairwise(taken):
        if row.outcome == "ok" and row.host == later.host:
            began, ended = (datetime.datetime.fromisoformat(each.started) for each in (row, later))
            spans.setdefault(cell_key(row), []).append((ended - began).total_seconds())
    costs = {key: len(variants[key]) * sum(each) / len(each) for key, each in spans.items()}
    return {("restart", place): 2 * cost for (_, place), cost in costs.items()} | costs
