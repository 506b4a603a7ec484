"""Decide from pairs of samples whether one revision is worse than another, with as few pairs as needed.

After each pair there is an interval for the effect (harness.teardown.paired). All intervals of a comparison
together miss it with a probability of at most ``level``, so that the first one that decides may end the
comparison. Their widths are those of Robbins' mixture (1970, "Statistical methods related to the law of the
iterated logarithm"), with Student's distribution instead of the normal one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.teardown.paired import Effect, Pair, effect_of, quantile
from harness.teardown.significance import ENOUGH, untrimmed

ALPHA = 0.05
"""Probability of any wrong decision of a bisection."""
FEWEST = 6
"""Number of pairs before the first interval. Fewer may agree by accident, for example if every other sample
takes four times as long."""
TUNED_TO = 6
"""The intervals are narrowest, compared with one of a fixed number of pairs, at several times this number."""
PRECISE = 0.25
"""The ends are compared until the interval of their effect begins above this share of it."""
SURE, HOPE = 12, 2.0
"""From so many pairs on, a comparison is given up that would stay open even with a mean so many standard
errors nearer to a decision."""
MOST = 10**6

Verdict = Literal["worse", "not worse", "open", "given up"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, and the effect that it rests on. ``more``: pairs that one that is given up still needs."""

    verdict: Verdict
    effect: Effect
    more: float = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The question whether the effect is ``full`` (worse) or zero (not worse); with ``full`` 0, its sign.

    ``relative``: whether ``full`` is a logarithm of a ratio.
    Each of the two verdicts is wrong with a probability of at most half of ``level``.
    """

    lower_is_better: bool
    level: float
    full: float = 0.0
    relative: bool = True

    def decide(self, pairs: Sequence[Pair], most: int) -> Decision:
        """Decide after ``pairs``: an interval without zero is worse, one without ``full`` is not worse.

        If it excludes both, the nearer one counts. ``open`` asks for another pair, ``given up`` does not:
        there are ``most`` pairs, or that many are not likely to decide.
        """
        count = len(pairs)
        effect = effect_of(
            pairs,
            lower_is_better=self.lower_is_better,
            miss=miss_at(count, self.level),
            relative=self.relative,
        )
        near, last = effect.mean <= self.full / 2, count >= most
        # The effect of the bad end is needed with some precision.
        least = PRECISE * effect.mean if not self.full and not last else 0.0
        if count >= FEWEST and (effect.high < self.full if near else effect.low > least):
            return Decision(verdict="not worse" if near else "worse", effect=effect)
        if not last and (count < SURE or self._needed(effect, count, HOPE) <= most):
            return Decision(verdict="open", effect=effect)
        return Decision(verdict="given up", effect=effect, more=self._needed(effect, count) - count)

    def _needed(self, effect: Effect, count: int, nearer: float = 0.0) -> float:
        """Return how many pairs are likely to decide, after ``count``; infinite above MOST.

        The mean is as far from a decision as it is now, or ``nearer`` by so many standard errors.
        """
        if count < ENOUGH:
            return FEWEST
        apart = max(abs(effect.mean), abs(self.full - effect.mean)) + nearer * effect.error
        deviation = effect.error * math.sqrt(untrimmed(count))
        needed = max(count, FEWEST)
        while needed <= MOST:
            error = deviation / math.sqrt(untrimmed(needed))
            if quantile(needed, miss_at(needed, self.level)) * error < apart:
                return needed
            needed += 1 + needed // 50
        return math.inf


def miss_at(count: int, level: float) -> float:
    """Return the probability that the interval after ``count`` pairs alone may miss the effect."""
    square = (1 + TUNED_TO / count) * math.log((1 + count / TUNED_TO) / level**2)
    return math.erfc(math.sqrt(square / 2))
