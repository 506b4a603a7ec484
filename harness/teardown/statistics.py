"""Samples → comparisons. docs/measuring.md explains the rules and their calibration.

Only samples with the outcome ``ok`` count, including those taken under foreign load. Figures are medians with
their median absolute deviation. The 95 % interval of the ratio is a percentile bootstrap over both sides
(2,000 resamples, fixed seed).

The verdict is based on the test of significance.py, with Holm's correction (1979) for all comparisons of the
run. ``better`` and ``worse`` are significant at 5 %.
``same`` means that the difference is not significant and the interval is within 0.80 to 1.25, the usual
bounds of equivalence, or that the medians differ by less than the resolution of the harness. All other cases,
and fewer than 3 samples on a side, are ``not enough data``.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy
from numpy.typing import NDArray

from harness.bench.subject import PRISTINE_WITH_OPTION, REFERENCES
from harness.teardown.model import MATRIX_FIELDS, Comparison, Sample
from harness.teardown.significance import ENOUGH, Pair, p_values

RESAMPLES = 2000
SEED = 20221
LEVEL = 0.05
EQUIVALENT = (0.80, 1.25)
UPSTREAM = PRISTINE_WITH_OPTION
LATENCIES = {"teardown": ("exit", "reclaim"), "restart": ("restart",)}
"""Kind of sample → the latencies that it measures."""
NORMAL = 1.4826
"""Ratio of standard deviation to median absolute deviation in a normal distribution."""


def compare(samples: Sequence[Sample], *, looks: bool = False) -> tuple[Comparison, ...]:
    """Compare each variant with the reference, and with upstream's own implementation.

    Each cell gives separate comparisons for exit, reclaim and restart. ``looks``: the run decided by the same
    comparisons which samples to take next.
    """
    families: dict[Family, list[Contest]] = {}
    for each in contests(samples):
        families.setdefault(each.family, []).append(each)
    chances = {
        family: iter(p_values([each.pair for each in mine], looks=looks and family.native))
        for family, mine in families.items()
    }
    tested = [
        msgspec.structs.replace(
            compare_pair(each.place, each.latency, each.names, each.sides), p=next(chances[each.family])
        )
        for each in contests(samples)
    ]
    return judge(tested, resolution_s(samples))


class Family(NamedTuple):
    """Comparisons with similar noise, which borrow from each other; emulated hosts have fixed rounds."""

    latency: str
    names: tuple[str, str]
    native: bool


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two variants in one cell and one latency: ``names`` and good samples are (reference, variant)."""

    kind: str
    place: tuple[Any, ...]
    latency: str
    names: tuple[str, str]
    sides: tuple[list[Sample], list[Sample]]

    @property
    def family(self) -> Family:
        """The comparisons that it borrows from."""
        return Family(self.latency, self.names, self.place[MATRIX_FIELDS.index("host")] == "native")

    @property
    def pair(self) -> Pair | None:
        """The values of both sides; None if there are too few."""
        theirs, ours = (values_of(side, self.latency) for side in self.sides)
        return Pair.of(ours, theirs)


def contests(samples: Sequence[Sample]) -> Iterator[Contest]:
    """Yield what ``compare`` compares, in its order."""
    for kind, latencies in LATENCIES.items():
        for place, variants in by_place(samples, kind).items():
            for names in _pairs(list(variants)):
                sides = variants[names[0]], variants[names[1]]
                for latency in latencies:
                    yield Contest(kind=kind, place=place, latency=latency, names=names, sides=sides)


def by_place(samples: Iterable[Sample], kind: str) -> dict[tuple[Any, ...], dict[str, list[Sample]]]:
    """Return the good samples of a kind, by cell and variant, in a fixed order of both.

    A variant without good samples has an empty list.
    """
    groups: dict[tuple[Any, ...], dict[str, list[Sample]]] = {}
    for sample in samples:
        if sample.kind == kind:
            mine = groups.setdefault(sample.place, {}).setdefault(sample.variant, [])
            if sample.counts:
                mine.append(sample)
    return {
        place: {name: groups[place][name] for name in sorted(groups[place], key=variant_order)}
        for place in sorted(groups, key=place_order)
    }


def place_order(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sort key of cells: native before emulated, x86_64 first, small sizes before large ones."""
    named = dict(zip(MATRIX_FIELDS, place, strict=True))
    first = (named["host"] != "native", named["target"] != "x86_64-softmmu", named["target"])
    return (*first, named["backend"] != "ram", *(named[n] for n in ("backend", "pages", "payload")), *place)


def variant_order(name: str) -> tuple[int, str]:
    """Sort key of variants: the references, upstream's implementation, patched, then others by name."""
    known = (*REFERENCES, UPSTREAM, "patched")
    return (known.index(name) if name in known else len(known), name)


def reference_of(variants: Sequence[str]) -> str:
    """Return the variant that the others are compared with: one without the feature, else the first one."""
    return next((name for name in REFERENCES if name in variants), variants[0] if variants else "")


def _pairs(variants: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Return the pairs (reference, variant) to compare, in the order of the variants."""
    if not variants:
        return
    first = reference_of(variants)
    for variant in variants:
        if variant != first:
            yield first, variant
    if UPSTREAM in variants and first != UPSTREAM:
        for variant in variants:
            if variant not in (first, UPSTREAM):
                yield UPSTREAM, variant


def compare_pair(
    place: tuple[Any, ...],
    latency: str,
    names: tuple[str, str],
    sides: tuple[Sequence[Sample], Sequence[Sample]],
) -> Comparison:
    """Compare two sides: ``names`` and ``sides`` are (reference, variant). ``compare`` adds p and verdict."""
    theirs, ours = (values_of(side, latency) for side in sides)
    reference_s, variant_s = median(theirs), median(ours)
    ratio = variant_s / reference_s if reference_s and variant_s is not None else None
    low, high = ratio_interval(ours, theirs) if ratio is not None else (None, None)
    return Comparison(
        variant=names[1],
        reference=names[0],
        latency=latency,
        samples_reference=len(theirs),
        samples=len(ours),
        loaded=sum(sample.loaded for side in sides for sample in side),
        reference_s=reference_s,
        reference_mad_s=mad(theirs),
        variant_s=variant_s,
        variant_mad_s=mad(ours),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        p=None,
        p_holm=None,
        verdict="not enough data",
        **dict(zip(MATRIX_FIELDS, place, strict=True)),
    )


def judge(comparisons: Sequence[Comparison], resolution: float = 0.0) -> tuple[Comparison, ...]:
    """Correct the p values for all of ``comparisons``, and set the verdicts.

    Medians that differ by at most ``resolution`` seconds are ``same``.
    """
    # A comparison without data counts too: how many have data depends on the data.
    corrected = holm([1.0 if each.p is None else each.p for each in comparisons])
    judged = [
        (each, None if each.p is None else p_holm)
        for each, p_holm in zip(comparisons, corrected, strict=True)
    ]
    return tuple(
        msgspec.structs.replace(each, p_holm=p_holm, verdict=_verdict(each, p_holm, resolution))
        for each, p_holm in judged
    )


def holm(chances: Sequence[float]) -> list[float]:
    """Return the p values with Holm's step-down correction, in the given order, at most 1."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    corrected, worst = [0.0] * len(chances), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, chances[index] * (len(chances) - rank)))
        corrected[index] = worst
    return corrected


def chance(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the p value of Welch's t test of the logarithms; None with fewer than 3 values on a side."""
    pair = Pair.of(ours, theirs)
    if pair is None:
        return None
    # Takes half a second to import. The tests under avocado import this package but do not need it.
    from scipy.stats import ttest_ind  # noqa: PLC0415

    mine, reference = pair.ours, pair.theirs
    if numpy.ptp(mine) == 0 and numpy.ptp(reference) == 0:
        return 1.0 if mine[0] == reference[0] else 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # loss of precision with nearly equal values
        p = float(ttest_ind(mine, reference, equal_var=False).pvalue)
    return p if math.isfinite(p) else 1.0


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the 95 % interval of median(ours) / median(theirs); (None, None) below 3 samples on a side."""
    if min(len(ours), len(theirs)) < ENOUGH:
        return None, None
    mine, reference = _resampled(ours, theirs)
    with numpy.errstate(divide="ignore", invalid="ignore"):  # latencies of zero, which no run produces
        low, high = numpy.percentile(mine / reference, (2.5, 97.5))
    return float(low), float(high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the median; minimum and maximum below 3 values."""
    if len(values) < ENOUGH:
        return min(values), max(values)
    low, high = numpy.percentile(_resampled(values)[0], (2.5, 97.5))
    return float(low), float(high)


def _resampled(*sides: Sequence[float]) -> list[NDArray[Any]]:
    """Return the medians of RESAMPLES bootstrap samples of each side."""
    draw = numpy.random.default_rng(SEED)
    return [
        numpy.median(draw.choice(numpy.asarray(side), size=(RESAMPLES, len(side))), axis=1) for side in sides
    ]


def values_of(samples: Iterable[Sample], latency: str) -> list[float]:
    """Return the measured seconds of ``latency`` (exit, reclaim, restart)."""
    values = (getattr(sample, f"{latency}_s") for sample in samples)
    return [value for value in values if value is not None]


def median(values: Sequence[float]) -> float | None:
    """Return the median; None if ``values`` is empty."""
    return float(numpy.median(values)) if values else None


def mad(values: Sequence[float]) -> float | None:
    """Return the median absolute deviation from the median; None if ``values`` is empty."""
    return float(numpy.median(numpy.abs(numpy.asarray(values) - numpy.median(values)))) if values else None


def resolution_s(samples: Iterable[Sample]) -> float:
    """Return the smallest difference of two medians that counts, in seconds: three standard deviations of
    the measuring overhead; 0 if the overhead was not measured.
    """
    spread = mad([each.exit_s for each in samples if each.kind == "overhead" and each.counts and each.exit_s])
    return 3 * NORMAL * spread if spread is not None else 0.0


def _verdict(row: Comparison, p_holm: float | None, resolution: float) -> str:
    if p_holm is None or row.ratio is None or row.ratio_low is None or row.ratio_high is None:
        return "not enough data"
    assert row.variant_s is not None and row.reference_s is not None  # noqa: PT018 - there is a ratio
    if abs(row.variant_s - row.reference_s) <= resolution:
        return "same"
    if p_holm <= LEVEL:
        return "better" if row.ratio < 1 else "worse"
    low, high = EQUIVALENT
    return "same" if low <= row.ratio_low and row.ratio_high <= high else "not enough data"
