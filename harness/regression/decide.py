"""Decide from pairs of samples whether one revision is worse than another, with as few pairs as needed.

After each pair there is an interval for the mean difference (Student's t). All intervals together miss it
with a probability of at most ALPHA: the k-th may miss with ALPHA * 6 / (pi * k)**2, and these sum to ALPHA
(Bonferroni's inequality). So it is allowed to look after each pair and to stop at
the first one that decides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

ALPHA = 0.05
FEWEST = 3
"""Number of pairs before the first interval."""

Verdict = Literal["worse", "not worse", "open"]
Pair = tuple[float, float]
"""A sample of the good revision, and one of the other, taken one after another."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How much worse the second of each pair is: the mean, and its interval.

    A logarithm of the ratio if all samples are above zero (``relative``), else a difference. ``low`` and
    ``high`` are infinite with fewer than FEWEST pairs.
    """

    mean: float
    low: float
    high: float
    relative: bool


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, and the effect that it rests on."""

    verdict: Verdict
    effect: Effect


def effect_of(pairs: Sequence[Pair], *, lower_is_better: bool, miss: float | None = None) -> Effect:
    """Return the effect in ``pairs``, of which there is at least one.

    ``miss`` is the probability that the interval misses it; None is that of one look among many.
    """
    relative = all(value > 0 for pair in pairs for value in pair)
    sign = 1.0 if lower_is_better else -1.0
    worse = [sign * (math.log(other / good) if relative else other - good) for good, other in pairs]
    mean, count = statistics.fmean(worse), len(worse)
    look = count - FEWEST + 1
    if look < 1:
        return Effect(mean=mean, low=-math.inf, high=math.inf, relative=relative)
    miss = miss or ALPHA * 6 / (math.pi * look) ** 2
    error = statistics.stdev(worse) / math.sqrt(count)
    reach = float(stats.t.ppf(1 - miss / 2, count - 1)) * error
    return Effect(mean=mean, low=mean - reach, high=mean + reach, relative=relative)


def decide(pairs: Sequence[Pair], *, limit: float, lower_is_better: bool) -> Decision:
    """Decide whether the effect is above ``limit``, in the unit of the effect."""
    effect = effect_of(pairs, lower_is_better=lower_is_better)
    verdict: Verdict = "worse" if effect.low > limit else "not worse" if effect.high < limit else "open"
    return Decision(verdict=verdict, effect=effect)


def interval_words(low: float | None, high: float | None, *, relative: bool, unit: str) -> str:
    """Return an interval for a table; empty without one."""
    return " to ".join(words_of(end, relative=relative, unit=unit) for end in (low, high) if end is not None)


def words_of(effect: float, *, relative: bool, unit: str) -> str:
    """Return an effect for a message, such as ``1.63 times`` or ``+5 ms``."""
    return f"{math.exp(effect):.3g} times" if relative else f"{effect:+.3g} {unit}".rstrip()
