"""The sequential decision: its verdicts, its error rate and its power."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.regression.decide import FEWEST, decide, effect_of, words_of


def outcome(differences: np.ndarray, limit: float, most: int) -> tuple[str, int]:
    """Decide with pairs whose logarithms differ by ``differences``, one after another."""
    for count in range(FEWEST, most + 1):
        pairs = [(1.0, math.exp(value)) for value in differences[:count]]
        verdict = decide(pairs, limit=limit, lower_is_better=True).verdict
        if verdict != "open":
            return verdict, count
    return "open", most


def test_effect_is_relative_only_above_zero() -> None:
    effect = effect_of([(1.0, 2.0), (2.0, 4.0)], lower_is_better=True)
    assert effect.relative
    assert effect.mean == pytest.approx(math.log(2))
    assert (effect.low, effect.high) == (-math.inf, math.inf), "two pairs decide nothing"
    effect = effect_of([(0.0, 2.0), (2.0, 5.0)], lower_is_better=False)
    assert not effect.relative
    assert effect.mean == -2.5, "more is better here, so it is less bad"


def test_clear_difference_needs_three_pairs() -> None:
    pairs = [(1.0, 10.0), (1.1, 10.2), (0.9, 9.9)]
    assert decide(pairs, limit=0.0, lower_is_better=True).verdict == "worse"
    assert decide(pairs, limit=0.0, lower_is_better=False).verdict == "not worse"
    assert decide(pairs[:2], limit=0.0, lower_is_better=True).verdict == "open"
    assert decide(pairs, limit=math.log(100), lower_is_better=True).verdict == "not worse"
    assert decide(pairs, limit=math.log(10), lower_is_better=True).verdict == "open"


def test_interval_is_students_with_its_share_of_the_error() -> None:
    # Five pairs are the third look: 0.05 * 6 / (3 pi)**2 = 0.003377; t(0.998311; 4) = 6.2319.
    pairs = [(0.0, value) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    effect = effect_of(pairs, lower_is_better=True)
    assert effect.mean == 3
    assert effect.high - effect.mean == pytest.approx(6.2319 * math.sqrt(2.5 / 5), rel=1e-3)


def test_error_is_kept_over_all_looks_and_5_ms_on_8_ms_are_found() -> None:
    """Log-normal times with 10 % of spread and some outliers, as of guests on a busy machine."""
    draw = np.random.default_rng(1)
    rows, most, effect = 300, 40, math.log(13 / 8)
    noise = draw.normal(0, 0.1 * math.sqrt(2), (rows, most))
    noise += draw.choice([0, 0.5, -0.5], (rows, most), p=[0.9, 0.05, 0.05])
    good = [outcome(row, effect / 2, most) for row in noise]
    bad = [outcome(row + effect, effect / 2, most) for row in noise]
    assert sum(verdict == "worse" for verdict, _ in good) / rows <= 0.05
    assert sum(verdict == "not worse" for verdict, _ in bad) / rows <= 0.05
    decided = [count for verdict, count in (*good, *bad) if verdict != "open"]
    assert len(decided) / (2 * rows) >= 0.95
    assert np.median(decided) <= 14


def test_words_of_an_effect() -> None:
    assert words_of(math.log(2), relative=True, unit="s") == "2 times"
    assert words_of(-1.5, relative=False, unit="MiB/s") == "-1.5 MiB/s"
    assert words_of(2, relative=False, unit="") == "+2"
