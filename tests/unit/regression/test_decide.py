"""The sequential decision: its verdicts, its error rate and its power."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from harness.regression.decide import ALPHA, FEWEST, PRECISE, TUNED_TO, Rule, miss_at
from harness.teardown.paired import effect_of, estimate, interval_words, quantile, words_of
from tests.power import outliers, quiet, two_modes

COMPARISONS = 7
"""Those of a bisection of 40 commits."""
LEVEL = 2 * ALPHA / COMPARISONS
MOST = 40


def rule(*, lower_is_better=True, full=0.0, **changes):
    return Rule(lower_is_better=lower_is_better, full=full, **({"level": LEVEL} | changes))


def lasting(*ratios, times=2):
    return [(float(base), base * ratio) for base in range(1, times + 1) for ratio in ratios]


def test_effect_is_relative_only_above_zero():
    effect = effect_of([(1.0, 2.0), (2.0, 4.0)], lower_is_better=True, miss=0.05)
    assert effect.relative
    assert effect.mean == pytest.approx(math.log(2))
    assert (effect.low, effect.high) == (-math.inf, math.inf), "two pairs decide nothing"
    effect = effect_of([(0.0, 2.0), (2.0, 5.0)], lower_is_better=False, miss=0.05)
    assert not effect.relative
    assert effect.mean == -2.5, "more is better here, so it is less bad"
    effect = effect_of([(1.0, 2.0), (2.0, 4.0)], lower_is_better=True, miss=0.05, relative=False)
    assert effect.mean == 1.5


def test_interval_is_students_and_sets_late_pairs_aside():
    pairs = [(0.0, value) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    effect = effect_of(pairs, lower_is_better=True, miss=0.01)
    assert effect.mean == 3
    assert effect.high - effect.mean == pytest.approx(t.ppf(0.995, 4) * math.sqrt(2.5 / 5))
    late = [(0.0, value) for value in (1.0, 2.0, 3.0, 4.0, 5.0, 2.5, 3.5, 1000.0)]
    assert effect_of(late, lower_is_better=True, miss=0.05).high < 6


def test_shares_of_the_error_of_all_intervals():
    # Robbins: |sum| <= sqrt((n + m) (log((n + m) / m) + 2 log(1 / level))) at every n.
    for count in (6, 50, 1000):
        mixed = count + TUNED_TO
        bound = math.sqrt(mixed * (math.log(mixed / TUNED_TO) - 2 * math.log(0.05)))
        assert miss_at(count, 0.05) == pytest.approx(2 * norm.sf(bound / math.sqrt(count)))


@pytest.mark.parametrize(
    ("pairs", "changes", "verdict"),
    [
        (lasting(9, 10, 11), {}, "worse"),
        (lasting(9, 10, 11), {"lower_is_better": False}, "not worse"),
        (lasting(9, 10, 11)[:5], {}, "open"),
        (lasting(9, 10, 11), {"full": math.log(98)}, "worse"),
        (lasting(9, 10, 11), {"full": math.log(100)}, "not worse"),
        (lasting(9, 10, 11), {"full": math.log(1000)}, "not worse"),
        (lasting(0.9, 1, 1.1), {}, "open"),
        (lasting(0.9, 1, 1.1, times=4), {"full": math.log(10)}, "not worse"),
        (lasting(0.9, 1, 1.1, times=4), {}, "given up"),
        (lasting(0.5, 1, 3, times=4), {"full": math.log(2)}, "open"),
    ],
)
def test_verdict_depends_on_what_the_interval_excludes(pairs, changes, verdict):
    assert rule(**changes).decide(pairs, MOST).verdict == verdict


def test_number_of_missing_pairs_is_estimated():
    few = rule().decide([(1.0, 1.1), (1.0, 1.3)], 2)
    assert (few.verdict, few.more) == ("given up", FEWEST - 2)
    draw = np.random.default_rng(7)
    noise = draw.normal(0, 0.4, (50, 40))
    noise += 0.15 - noise.mean(axis=1, keepdims=True)
    pairs = [(1.0, math.exp(value)) for value in noise.flat]
    undecided = rule().decide(pairs[:40], 40)
    assert undecided.verdict == "given up"
    assert 5 < undecided.more < 200
    enough = 40 + 2 * int(undecided.more)
    assert rule().decide(pairs[:enough], enough).verdict == "worse"
    # Pairs that differ by nothing.
    assert rule().decide([(1.0, 1.1), (1.1, 1.0)] * 6, 40).more == math.inf


def sequential(worse, full=None):
    """Decide each row of ``worse`` as Rule does. Return 1 (worse), -1 (not worse) or 0; pairs; ``full``."""
    rows, most = worse.shape
    verdicts, counts, found = np.zeros(rows), np.full(rows, most), np.zeros(rows)
    share, full = (PRECISE, np.zeros(rows)) if full is None else (0, np.broadcast_to(full, rows))
    open_ones = np.arange(rows)
    for count in range(FEWEST, most + 1):
        mean, error = estimate(worse[open_ones, :count])
        half, end = quantile(count, miss_at(count, LEVEL)) * error, full[open_ones]
        new = np.where(mean > end / 2, 1.0 * (mean - half > share * mean), -1.0 * (mean + half < end))
        verdicts[open_ones], counts[open_ones], found[open_ones] = new, count, mean - error
        open_ones = open_ones[new == 0]
        if not len(open_ones):
            break
    return verdicts, counts, found


def busy(draw, shape):
    """Log-normal, 30 %; one sample in 20 takes 1.5 to 5 times as long."""
    late = np.log(draw.uniform(1.5, 5, shape))
    return draw.normal(0, 0.3, shape) + np.where(draw.random(shape) < 0.05, late, 0)


def equal_pairs(noise, seed, *, rows=1000, most=300):
    good, other = noise(np.random.default_rng(seed), (2, rows, most))
    return other - good


@pytest.mark.parametrize(
    ("noise", "effect"), [(quiet, 0.4), (outliers, 0.4), (two_modes, 2.0), (busy, math.log(26 / 21))]
)
def test_bisections_err_in_at_most_5_percent(noise, effect):
    """Two ends that are equal, and six commits that are compared with the effect that the ends had."""
    equal = equal_pairs(noise, 1)
    verdicts, _, _ = sequential(equal)
    false_alarms = (verdicts == 1).mean(), (verdicts == -1).mean()
    assert sum(false_alarms) <= ALPHA
    ends, _, estimated = sequential(equal_pairs(noise, 2) + effect)
    found = ends == 1
    assert found.mean() > 0.95
    good, _, _ = sequential(equal[found], estimated[found])
    bad, _, _ = sequential(equal_pairs(noise, 3)[found] + effect, estimated[found])
    assert false_alarms[0] + 3 * (good == 1).mean() + 3 * (bad == -1).mean() <= ALPHA
    assert min((good == -1).mean(), (bad == 1).mean()) > 0.95


def test_5_ms_on_21_ms_of_a_busy_machine_take_far_fewer_pairs_than_means():
    """Student's intervals of means, with 6 / (pi look)**2 of the error, took 153 pairs for the ends and 710
    for a commit; these are medians.
    """
    effect = math.log(26 / 21)
    for change, full, most in ((effect, None, 125), (0.0, effect, 70), (effect, effect, 70)):
        verdicts, counts, _ = sequential(equal_pairs(busy, 4, rows=300) + change, full)
        assert (verdicts == (1 if change else -1)).mean() > 0.95
        assert np.median(counts) <= most


def test_words_of_an_effect():
    assert words_of(math.log(2), relative=True, unit="s") == "2 times"
    assert words_of(-1.5, relative=False, unit="MiB/s") == "-1.5 MiB/s"
    assert words_of(2, relative=False, unit="") == "+2"
    assert interval_words(0.0, math.log(2), relative=True, unit="s") == "1 to 2 times"
    assert interval_words(-1, 2, relative=False, unit="MiB/s") == "-1 to +2 MiB/s"
    assert interval_words(None, None, relative=True, unit="s") == ""
