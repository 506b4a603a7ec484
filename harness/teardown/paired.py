"""Pairs of samples, one of each side taken one after another → how much worse the second side is.

The effect is the trimmed mean of the logarithms of the ratios (significance.py). What disturbs both samples
of a pair cancels out, and an eighth of the pairs at either end is set aside from 8 pairs on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.special import stdtrit

from harness.teardown.significance import ENOUGH, moments, untrimmed

Pair = tuple[float, float]
"""A sample of the reference, and one of the other side, taken one after another."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How much worse the second of each pair is: the trimmed mean, its standard error and its interval.

    A logarithm of the ratio if all samples are above zero (``relative``), else a difference. ``low`` and
    ``high`` are infinite with fewer than ENOUGH pairs.
    """

    mean: float
    error: float
    low: float
    high: float
    relative: bool


def worsening(
    pairs: Sequence[Pair], *, lower_is_better: bool, relative: bool = True
) -> tuple[NDArray[Any], bool]:
    """Return how much worse the second of each pair is, and whether these are logarithms of ratios.

    They are differences without ``relative``, or if a sample is not above zero.
    """
    good, other = numpy.asarray(pairs, dtype=float).T
    relative = relative and bool(min(good.min(), other.min()) > 0)
    worse = numpy.log(other / good) if relative else other - good
    return worse if lower_is_better else -worse, relative


def effect_of(pairs: Sequence[Pair], *, lower_is_better: bool, miss: float, relative: bool = True) -> Effect:
    """Return the effect in ``pairs``, of which there is at least one (``relative``: worsening).

    ``miss`` is the probability that the interval misses it.
    """
    worse, relative = worsening(pairs, lower_is_better=lower_is_better, relative=relative)
    mean, error = (float(value) for value in estimate(worse))
    reach = quantile(len(pairs), miss) * error if len(pairs) >= ENOUGH else math.inf
    return Effect(mean=mean, error=error, low=mean - reach, high=mean + reach, relative=relative)


def estimate(worse: NDArray[Any]) -> tuple[Any, Any]:
    """Return the trimmed mean over the last axis, and its standard error (Tukey and McLaughlin 1963)."""
    mean, squares, freedom = moments(worse)
    return mean, numpy.sqrt(squares / max(1, freedom) / (freedom + 1))


def quantile(size: int, miss: float) -> float:
    """Return half of the width of the interval of ``size`` pairs, in standard errors."""
    return -float(stdtrit(untrimmed(size) - 1, miss / 2))


def interval_words(low: float | None, high: float | None, *, relative: bool, unit: str) -> str:
    """Return an interval for a table, such as ``1.5 to 1.8 times``; empty without one."""
    if low is None or high is None:
        return ""
    first = words_of(low, relative=relative, unit=unit).partition(" ")[0]
    return f"{first} to {words_of(high, relative=relative, unit=unit)}"


def words_of(effect: float, *, relative: bool, unit: str) -> str:
    """Return an effect for a message, such as ``1.63 times`` or ``+5 ms``."""
    return f"{math.exp(effect):.3g} times" if relative else f"{effect:+.3g} {unit}".rstrip()
