"""Comparisons of commits with the good end, with given figures."""

import itertools
from types import SimpleNamespace

import pytest

from harness.progress import Silent
from harness.regression.decide import FEWEST, SURE
from harness.regression.measure import CannotMeasureError
from harness.regression.model import BisectedCommit
from harness.regression.record import _compare, _more

NOISE = (0.99, 1.0, 1.01)


class Figures:
    """A measure of a good end at ``good`` and a commit at ``other``, with little noise."""

    unit, lower_is_better = "s", True

    def __init__(self, good, other):
        self.figures = good, other

    def sample(self, places, turn):
        return self.figures[0], self.figures[1] * NOISE[turn % 3]


def compare(good, other, end=None, most=40):
    bisection = SimpleNamespace(measure=Figures(good, other), reporter=Silent(), level=0.01, most_pairs=most)
    places = SimpleNamespace(name="good"), SimpleNamespace(name="candidate")
    return _compare(bisection, places, end)


def end(good, other):
    pairs = tuple((good, other * noise) for noise in itertools.islice(itertools.cycle(NOISE), 9))
    return BisectedCommit(commit="c", title="t", term="bad", pairs=pairs, relative=good > 0)


@pytest.mark.parametrize(
    ("figures", "bad", "verdict", "most"),
    [
        ((1.0, 2.0), None, "worse", FEWEST),
        ((2.0, 1.0), None, "not worse", FEWEST),
        ((1.0, 1.0), None, "given up", SURE),
        ((1.0, 1.0), end(1.0, 2.0), "not worse", FEWEST),
        ((1.0, 1.3), end(1.0, 2.0), "not worse", FEWEST),
        ((1.0, 1.5), end(1.0, 2.0), "worse", FEWEST),
        # Differences, because the figures of the ends have no ratios: also if those of the commit have.
        ((0.0, 9.0), end(0.0, 9.0), "worse", FEWEST),
        ((3.0, 4.0), end(0.0, 9.0), "not worse", FEWEST),
    ],
)
def test_commit_is_compared_with_both_ends(figures, bad, verdict, most):
    pairs, decision = compare(*figures, bad)
    assert decision.verdict == verdict
    assert len(pairs) <= most


def test_effect_of_the_bad_end_is_found_with_some_precision():
    """After 13 pairs it is clearly above zero, and after 14 above a quarter of itself."""
    found = [compare(1.0, 1.02, most=most) for most in (13, 40)]
    assert [len(pairs) for pairs, _ in found] == [13, 14]
    assert {decision.verdict for _, decision in found} == {"worse"}


def test_commit_without_ratios_cannot_be_compared_with_a_ratio():
    with pytest.raises(CannotMeasureError, match="a sample is not above 0, but those of the ends are"):
        compare(1.0, 0.0, end(1.0, 2.0))


def test_message_has_the_number_of_missing_pairs():
    _, decision = compare(1.0, 1.002, most=100)
    assert decision.verdict == "given up"
    assert f"about {decision.more:.0f} more are likely" in _more(decision)
    _, decision = compare(1.0, 2.0)
    assert _more(decision) == ""
    _, decision = compare(1.0, 1.0)
    assert "about" not in _more(decision)
