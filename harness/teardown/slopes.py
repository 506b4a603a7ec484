"""Growth of latencies with the guest's memory: a robust line through all samples of a variant.

The slope is the weighted median of the slopes between all pairs of samples of different sizes. The weight is
the difference of the sizes (Theil 1950 and Sen 1968; weights by Jaeckel 1972). One outlier in four changes it
little, and distant sizes, which determine a slope more precisely, count more. The interval is a percentile
bootstrap that resamples within each size.
"""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from harness.teardown.model import SERIES_FIELDS, Sample, Slope
from harness.teardown.significance import ENOUGH
from harness.teardown.statistics import LATENCIES, RESAMPLES, SEED

TIB_GIB = 1024
CONFIDENCE = (2.5, 97.5)
AT_ONCE = 4_000_000
"""Pairs of samples in one block of the computation: about 100 MB."""
Array = NDArray[Any]


def fit_slopes(samples: Sequence[Sample]) -> tuple[Slope, ...]:
    """Fit a line for each variant, latency and set of cells that differ only in memory.

    A line needs two sizes with at least 3 good samples each.
    """
    groups: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for kind, latencies in LATENCIES.items():
        for sample in samples:
            for latency in latencies if sample.kind == kind and sample.counts else ():
                value = getattr(sample, f"{latency}_s")
                if value is not None:
                    key = (*sample.series, sample.variant, latency)
                    groups.setdefault(key, []).append((sample.memory_mib, value))
    slopes = (_fit(key, points) for key, points in groups.items())
    return tuple(slope for slope in slopes if slope is not None)


def _fit(key: tuple[Any, ...], points: list[tuple[int, float]]) -> Slope | None:
    sizes = sorted({size for size, _ in points})
    strata = {size: [value for at, value in points if at == size] for size in sizes}
    strata = {size: values for size, values in strata.items() if len(values) >= ENOUGH}
    if len(strata) < 2:
        return None
    gib = numpy.concatenate([numpy.full(len(values), size / 1024) for size, values in strata.items()])
    seconds = numpy.concatenate([numpy.asarray(values) for values in strata.values()])
    slope, intercept = (part[0] for part in theil_sen(gib, seconds[None, :]))
    drawn = _resample([numpy.asarray(values) for values in strata.values()])
    slopes, intercepts = theil_sen(gib, drawn)
    low, high = numpy.percentile(slopes, CONFIDENCE)
    far = intercepts + slopes * TIB_GIB
    far_low, far_high = numpy.percentile(far, CONFIDENCE)
    *place, variant, latency = key
    return Slope(
        variant=variant,
        latency=latency,
        sizes_mib=tuple(strata),
        samples=len(seconds),
        ms_per_gib=float(slope) * 1000,
        low=float(low) * 1000,
        high=float(high) * 1000,
        intercept_ms=float(intercept) * 1000,
        tib_s=float(intercept + slope * TIB_GIB),
        tib_low_s=float(far_low),
        tib_high_s=float(far_high),
        **dict(zip(SERIES_FIELDS, place, strict=True)),
    )


def _resample(strata: Sequence[Array]) -> Array:
    """Draw RESAMPLES rows, each as long as all strata together, with replacement within each stratum."""
    generator = numpy.random.default_rng(SEED)
    return numpy.concatenate(
        [values[generator.integers(len(values), size=(RESAMPLES, len(values)))] for values in strata], axis=1
    )


def theil_sen(x: Array, rows: Array) -> tuple[Array, Array]:
    """Return slope and intercept of the line through (x, y), for each row y of ``rows``."""
    at_once = max(1, AT_ONCE // len(x) ** 2)
    parts = [_theil_sen(x, rows[begin : begin + at_once]) for begin in range(0, len(rows), at_once)]
    slopes, intercepts = (numpy.concatenate(each) for each in zip(*parts, strict=True))
    return slopes, intercepts


def _theil_sen(x: Array, rows: Array) -> tuple[Array, Array]:
    first, second = numpy.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    keep = apart != 0
    first, second, apart = first[keep], second[keep], apart[keep]
    between = (rows[:, second] - rows[:, first]) / apart
    order = numpy.argsort(between, axis=1)
    weights = numpy.cumsum(numpy.abs(apart)[order], axis=1)
    middle = (weights >= weights[:, -1:] / 2).argmax(axis=1)
    slopes = numpy.take_along_axis(between, order, axis=1)[numpy.arange(len(rows)), middle]
    return slopes, numpy.median(rows - slopes[:, None] * x[None, :], axis=1)
