"""Choose few targets and programs that compile every changed file, or half of the sources that include it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.build.plan import binary_name
from harness.build.probe import Sources

Demand = Mapping[frozenset[str], int]
"""Programs that compile the same sources → number of these sources. A source is a demand with one group of
one; a header has a group for the sources that include it and that the same programs contain."""


def demand_of(groups: Iterable[frozenset[str]]) -> Demand:
    """Return the demand of sources that ``groups`` compile, without those that no program compiles."""
    return Counter(group for group in groups if group)


def least(total: int) -> int:
    """Return how many of the ``total`` sources that include a header have to be compiled."""
    return (total + 1) // 2


def within(demand: Demand, programs: Collection[str]) -> Demand:
    """Return the part of ``demand`` that ``programs`` can meet."""
    found: Counter[frozenset[str]] = Counter()
    for group, number in demand.items():
        if inside := group.intersection(programs):
            found[inside] += number
    return found


def missing(demand: Demand, chosen: Collection[str]) -> int:
    """Return how many more sources of ``demand`` have to be compiled if ``chosen`` are built."""
    compiled = sum(number for group, number in demand.items() if not group.isdisjoint(chosen))
    return max(0, least(sum(demand.values())) - compiled)


def cover(
    demands: Sequence[Demand], usual: tuple[str, ...], known: Iterable[str], sources: Sources
) -> tuple[str, ...]:
    """Return the smallest set of targets that meets each of ``demands``; the first usual one if none.

    A demand that only other programs meet needs no target, except that a qtest is run with one.
    """
    targets = {binary_name(target): target for target in known}
    wanted = []
    for demand in demands:
        if emulators := within(demand, targets.keys()):
            wanted.append(emulators)
        elif demand:
            names = frozenset[str]().union(*demand)
            runs = [frozenset(map(binary_name, sources.runs_on.get(name, ()))) for name in names]
            if all(runs):
                wanted.append(demand_of([frozenset[str]().union(*runs)]))
    users = (f"{target.partition('-')[0]}-linux-user" for target in usual)
    steps = dict(zip(sources.programs, sources.steps, strict=True))
    # The larger of two equals compiles more of a file: aarch64 has what arm has, and its own parts.
    largest = sorted(targets, key=lambda name: (-steps.get(name, 0), name))
    chosen = smallest(wanted, sources, (*map(binary_name, (*usual, *users)), *largest))
    return tuple(targets[name] for name in chosen) or usual[:1]


def smallest(demands: Sequence[Demand], sources: Sources, preferred: tuple[str, ...]) -> tuple[str, ...]:
    """Return few programs that meet each of ``demands``: forced ones first, then those that meet most.

    Among equals the ``preferred`` ones win, then those of fewer compile steps.
    """
    steps = dict(zip(sources.programs, sources.steps, strict=True))
    order = {name: at for at, name in enumerate(dict.fromkeys(preferred))}
    chosen: list[str] = []
    while left := [(demand, more) for demand in demands if (more := missing(demand, chosen))]:
        gains: Counter[str] = Counter()
        forced = frozenset[str]()
        for demand, more in left:
            open_groups = {group: n for group, n in demand.items() if group.isdisjoint(chosen)}
            total = sum(open_groups.values())
            meets: Counter[str] = Counter()
            for group, number in open_groups.items():
                meets.update(dict.fromkeys(group, number))
                if len(group) == 1 and total - number < more:
                    forced |= group
            for name, number in meets.items():
                gains[name] += min(number, more) * 1000 // more
        chosen.append(
            min(
                forced or gains,
                key=lambda name: (-gains[name], order.get(name, len(order)), steps.get(name, 0), name),
            )
        )
    for name in tuple(chosen):
        others = [one for one in chosen if one != name]
        if not any(missing(demand, others) for demand in demands):
            chosen = others
    return tuple(chosen)
