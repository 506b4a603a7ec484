"""What an adaptive run samples next. docs/measuring.md has the rule in words.

1. The pilot visits each cell once, which shows what a visit costs. Restarts wait.
2. Each cell gets the 3 samples a side of the first look, cheap ones first. If there is time for all, a cell
   that costs at most a third of the dearest one goes straight on to the 6 of the second.
3. Then cells with open verdicts are visited until their next look, quickest verdict first. A cell whose
   verdict does not fit into the time that is left waits for the others. A cell is decided if each of its
   verdicts is better or worse, or same at the second look. A cell without comparisons is decided there too.
4. Restarts come last, by the same rules. Until then, up to a third of the budget is kept for them.

A run ends when all is decided, or when no visit fits into the time that is left.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from harness.teardown.model import CellKey, Sample, cell_key
from harness.teardown.settling import open_cells, visit_seconds
from harness.teardown.significance import ENOUGH, LOOKS
from harness.teardown.statistics import compare, contests

CHEAP = 3
"""A cell is cheap if the dearest one costs this many times as much."""
KEPT = 1 / 3
"""Largest share of the budget that is kept for restarts."""
ATTEMPTS = 2
"""A cell with so many failed samples is not visited again."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Visits of a cell until its next look. ``verdict_s``: seconds until its verdicts; 0 before the first."""

    key: CellKey
    visits: int
    seconds: float
    verdict_s: float


def next_turn(
    cells: Sequence[CellKey], samples: Sequence[Sample], *, budget_s: float, left_s: float, visit_s: float
) -> tuple[Wish, ...]:
    """Return what to visit next among ``cells``, after ``samples``; nothing ends the run.

    ``budget_s`` is the time of the whole run, ``left_s`` what remains of it, ``visit_s`` the mean time of a
    visit so far, for cells whose own time is unknown.
    """
    if not samples:
        pilot = (key for key in cells if key[0] != "restart")
        return tuple(Wish(key=key, visits=1, seconds=0.0, verdict_s=0.0) for key in pilot)
    costs = dict.fromkeys(cells, visit_s) | visit_seconds(samples)
    left_out, verdicts = _given_up(samples), _verdict_seconds(samples)
    usable = [key for key in cells if key not in left_out]
    guests = [key for key in usable if key[0] != "restart"]
    restarts = _wishes([key for key in usable if key[0] == "restart"], samples, costs, verdicts)
    if any(sample.kind == "restart" for sample in samples):
        return _turn(restarts, left_s)
    rest_s = left_s - sum(wish.seconds for wish in _fitting(restarts, min(left_s, KEPT * budget_s)))
    generous = _wishes(guests, samples, costs, verdicts, generous=True)
    if len(_fitting(generous, rest_s)) < len(generous):
        generous = _wishes(guests, samples, costs, verdicts)
    first = [wish for wish in generous if wish.verdict_s == 0]
    return _turn(first, left_s) or _turn(generous, rest_s) or _turn(restarts, left_s)


def _wishes(
    cells: Sequence[CellKey],
    samples: Sequence[Sample],
    costs: Mapping[CellKey, float],
    verdicts: Mapping[CellKey, float | None],
    *,
    generous: bool = False,
) -> list[Wish]:
    """Return a wish for each undecided cell; with ``generous``, cheap ones skip the first look."""
    wishes, taken = [], _taken(samples)
    dearest = max((costs[key] for key in cells), default=0.0)
    for key in cells:
        have = taken.get(key, 0)
        verdict_s = verdicts.get(key, 0.0 if have < LOOKS[1] else None)
        looks = [look for look in LOOKS if look > have]
        if verdict_s is None or not looks:
            continue
        if generous and have < ENOUGH and CHEAP * costs[key] <= dearest:
            looks = looks[1:]
        visits = looks[0] - have
        wishes.append(
            Wish(
                key=key,
                visits=visits,
                seconds=visits * costs[key],
                verdict_s=verdict_s if have >= ENOUGH else 0.0,
            )
        )
    return wishes


def _taken(samples: Sequence[Sample]) -> dict[CellKey, int]:
    """Return the number of good samples of the variant that has the fewest, by cell."""
    counts: dict[CellKey, Counter[str]] = {}
    for sample in samples:
        counts.setdefault(cell_key(sample), Counter())[sample.variant] += sample.counts
    return {key: min(each.values()) for key, each in counts.items()}


def _verdict_seconds(samples: Sequence[Sample]) -> dict[CellKey, float | None]:
    """Return the seconds until the verdicts of each cell that is compared; None: it is decided."""
    comparisons = [
        msgspec.structs.replace(row, verdict="not enough data")
        if row.verdict == "same" and min(row.samples, row.samples_reference) < LOOKS[1]
        else row
        for row in compare(samples, looks=True)
    ]
    compared = {(each.kind, each.place): None for each in contests(samples)}
    return compared | {cell.key: cell.seconds for cell in open_cells(samples, comparisons, looks=True)}


def _given_up(samples: Iterable[Sample]) -> set[CellKey]:
    """Return the cells that do not fit into memory, or failed repeatedly."""
    bad = Counter((cell_key(row), row.outcome) for row in samples if not row.counts)
    return {key for (key, outcome), count in bad.items() if outcome == "cancelled" or count >= ATTEMPTS}


def _turn(wishes: Sequence[Wish], left_s: float) -> tuple[Wish, ...]:
    soon = [wish for wish in wishes if wish.verdict_s <= left_s]
    return _fitting(soon, left_s) or _fitting(wishes, left_s)


def _fitting(wishes: Iterable[Wish], left_s: float) -> tuple[Wish, ...]:
    """Return the wishes that fit into ``left_s`` together, quickest verdict first."""
    chosen: list[Wish] = []
    for wish in sorted(wishes, key=lambda wish: (wish.verdict_s, wish.seconds)):
        if sum(each.seconds for each in chosen) + wish.seconds <= left_s:
            chosen.append(wish)
    return tuple(chosen)
