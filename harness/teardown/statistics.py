"""Samples → comparisons with base.

Rule (docs/results.md states it too): of each side only samples with outcome ``ok`` count. The ratio is that
of the medians; its 95 % interval is a percentile bootstrap over both sides (scipy.stats.bootstrap, 2,000
resamples, fixed seed). All of the interval below 1 is ``better``, all of it above is ``worse``, else
``same``; with fewer than 3 samples on a side the verdict is ``not enough data``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from harness.teardown.model import MATRIX_FIELDS, Comparison, Sample

RESAMPLES = 2000
SEED = 20221
ENOUGH = 3
REFERENCE = "base"


def compare(samples: Sequence[Sample]) -> tuple[Comparison, ...]:
    """Each variant against base, for exit and reclaim, in the order in which places first occur."""
    groups: dict[tuple[Any, ...], dict[str, list[Sample]]] = {}
    for sample in samples:
        place = tuple(getattr(sample, field) for field in MATRIX_FIELDS)
        mine = groups.setdefault(place, {}).setdefault(sample.variant, [])
        if sample.outcome == "ok":
            mine.append(sample)
    return tuple(
        _compare(place, latency, variant, variants[REFERENCE], variants[variant])
        for place, variants in groups.items()
        if REFERENCE in variants
        for variant in variants
        if variant != REFERENCE
        for latency in ("exit", "reclaim")
    )


def _compare(
    place: tuple[Any, ...], latency: str, variant: str, base: list[Sample], other: list[Sample]
) -> Comparison:
    theirs, ours = _values(base, latency), _values(other, latency)
    base_s = float(numpy.median(theirs)) if theirs else None
    variant_s = float(numpy.median(ours)) if ours else None
    ratio = variant_s / base_s if base_s and variant_s is not None else None
    low, high = ratio_interval(ours, theirs) if ratio is not None else (None, None)
    return Comparison(
        variant=variant,
        latency=latency,
        samples_base=len(theirs),
        samples=len(ours),
        base_s=base_s,
        variant_s=variant_s,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        verdict=_verdict(low, high),
        **dict(zip(MATRIX_FIELDS, place, strict=True)),
    )


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of median(ours) / median(theirs); (None, None) below 3 samples on a side."""
    if min(len(ours), len(theirs)) < ENOUGH:
        return None, None
    # Half a second to import; the tests under avocado, which import this package, don't need it.
    from scipy.stats import bootstrap  # noqa: PLC0415

    def ratio(mine: Any, reference: Any, axis: int = -1) -> Any:
        return numpy.median(mine, axis=axis) / numpy.median(reference, axis=axis)

    result = bootstrap(
        (numpy.asarray(ours), numpy.asarray(theirs)),
        ratio,
        n_resamples=RESAMPLES,
        vectorized=True,
        paired=False,
        method="percentile",  # defined for constant data too, unlike BCa
        rng=numpy.random.default_rng(SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _values(samples: list[Sample], latency: str) -> list[float]:
    values = (sample.exit_s if latency == "exit" else sample.reclaim_s for sample in samples)
    return [value for value in values if value is not None]


def _verdict(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "not enough data"
    if high < 1:
        return "better"
    return "worse" if low > 1 else "same"
