"""The test behind the verdicts: samples of two variants → p values. docs/measuring.md has its calibration.

1. Latencies are positive and skewed, so the test compares means of logarithms. From 8 samples on, it sets
   the lowest and the highest eighth of each side aside, because a machine is late at times (Yuen 1974).
2. Three samples say little about their noise, and may agree by accident. The test therefore borrows: the
   median variance of the same comparison in the other cells counts like BORROWED degrees of freedom. It only
   ever raises a variance, because a noisy comparison must not look as precise as the others.
3. An adaptive run tests during the run, to decide what to sample next. LOOKS fixes at which numbers of
   samples, and each look may use only its share of the error (alpha spending, Lan and DeMets 1983). All
   shares add up to less than 1. The p value of a comparison is the smallest p / share of its looks.

Holm's correction for all comparisons of the run follows (statistics.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

ENOUGH = 3
LOOKS = (3, 6, 12, 24, 48, 96)
BORROWED = 2
TRIMMED = 8
"""One sample in this many is set aside at either end."""
ROUNDING = 1e-12
"""Logarithms that differ by less are equal."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Logarithms of the samples of two variants in one cell, in the order of the run.

    The samples are the last axis; with more axes, each property is an array (tests/power.py).
    """

    ours: NDArray[Any]
    theirs: NDArray[Any]

    @staticmethod
    def of(ours: Sequence[float], theirs: Sequence[float]) -> Pair | None:
        """Return the pair; None with fewer than 3 values on a side, or with values that are not positive."""
        if min(len(ours), len(theirs)) < ENOUGH or min(*ours, *theirs) <= 0:
            return None
        return Pair(ours=numpy.log(ours), theirs=numpy.log(theirs))

    @property
    def size(self) -> int:
        """Number of samples of the shorter side."""
        return int(min(self.ours.shape[-1], self.theirs.shape[-1]))

    def first(self, size: int) -> Pair:
        """Return what was known when each side had ``size`` samples."""
        return Pair(ours=self.ours[..., :size], theirs=self.theirs[..., :size])

    @functools.cached_property
    def variance(self) -> Any:
        """The variance of one sample, the same on both sides if the variants are equal."""
        squares, degrees = zip(*(moments(side)[1:] for side in (self.ours, self.theirs)), strict=True)
        return sum(squares) / sum(degrees)

    @functools.cached_property
    def difference(self) -> Any:
        """The difference of the trimmed means."""
        return moments(self.ours)[0] - moments(self.theirs)[0]

    def p(self, usual: Any, borrowed: int = BORROWED) -> Any:
        """Return the two-sided p value. Variance ``usual`` counts like ``borrowed`` degrees of freedom."""
        return self._p(usual, borrowed, [untrimmed(side.shape[-1]) for side in (self.ours, self.theirs)])

    def p_expected(self, usual: float, borrowed: int, size: int) -> float:
        """Return the p value with ``size`` samples a side, if difference and variance stay as they are."""
        return float(self._p(usual, borrowed, [untrimmed(size)] * 2))

    def _p(self, usual: Any, borrowed: int, kept: Sequence[int]) -> Any:
        # Takes a while to import. The tests under avocado import this package but do not need it.
        from scipy.special import stdtr  # noqa: PLC0415

        own, variance = sum(kept) - 2, self.variance
        raised = numpy.maximum(variance, (borrowed * usual + own * variance) / (borrowed + own))
        error = numpy.sqrt(raised * sum(1 / each for each in kept))
        apart = numpy.maximum(numpy.abs(self.difference) - ROUNDING, 0)
        return 2 * stdtr(own + borrowed, -apart / numpy.maximum(error, ROUNDING**2))


def untrimmed(size: int) -> int:
    """Return the number of samples between those that are set aside."""
    return size - 2 * (size // TRIMMED)


def moments(logs: NDArray[Any]) -> tuple[Any, Any, int]:
    """Return the trimmed mean, the sum of squares around it, and their degrees of freedom."""
    size = logs.shape[-1]
    cut = size // TRIMMED
    ordered = numpy.sort(logs, axis=-1)
    kept = ordered[..., cut : size - cut]
    winsorized = numpy.clip(ordered, kept[..., :1], kept[..., -1:])
    return kept.mean(axis=-1), winsorized.var(axis=-1) * size, untrimmed(size) - 1


def p_values(pairs: Sequence[Pair | None], *, looks: bool) -> list[float | None]:
    """Return the p value of each comparison of a family; None for None.

    ``looks``: the comparisons were tested at each of LOOKS during the run; otherwise only at its end.
    """
    return [
        None if pair is None else _p_value(pair, usual, borrowed, looks=looks)
        for pair, (usual, borrowed) in zip(pairs, borrow(pairs), strict=True)
    ]


def borrow(pairs: Sequence[Pair | None]) -> list[tuple[float, int]]:
    """Return for each pair the median variance of the others, and the degrees of freedom that it counts."""
    spread = [None if pair is None else float(pair.variance) for pair in pairs]
    found = []
    for index in range(len(pairs)):
        others = [value for value in (*spread[:index], *spread[index + 1 :]) if value is not None]
        found.append((float(numpy.median(others)), BORROWED) if others else (0.0, 0))
    return found


def _p_value(pair: Pair, usual: float, borrowed: int, *, looks: bool) -> float:
    if not looks:
        return float(pair.p(usual, borrowed))
    best, before = 1.0, 0.0
    for size in (*(look for look in LOOKS if look < pair.size), pair.size):
        seen = pair.first(size) if size < pair.size else pair
        best = min(best, float(seen.p(usual, borrowed)) / (spent(size) - before))
        before = spent(size)
    return best


def spent(size: int) -> float:
    """Return the share of the error that all looks until ``size`` samples a side may use together."""
    return 1 - 2 / size
