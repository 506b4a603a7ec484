import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import t, ttest_ind

from harness.teardown import significance
from harness.teardown.significance import LOOKS, Pair, p_values, spent
from tests import power

OURS, THEIRS = [1.0, 1.3, 1.1, 1.2, 0.9], [1.5, 1.4, 1.7, 1.3, 1.9]
LATENCIES = some.lists(some.floats(1e-4, 100), min_size=3, max_size=30)


def p_of(ours, theirs, others=(), *, looks=False):
    pairs = [Pair.of(ours, theirs), *(Pair.of(*other) for other in others)]
    return p_values(pairs, looks=looks)[0]


def drawn(size, factor=1.0, sd=0.1, seed=3):
    draw = numpy.random.default_rng(seed)
    return list(numpy.exp(draw.normal(0, sd, size))), list(factor * numpy.exp(draw.normal(0, sd, size)))


def test_test_alone_is_that_of_student_for_the_logarithms():
    assert p_of(OURS, THEIRS) == pytest.approx(ttest_ind(numpy.log(OURS), numpy.log(THEIRS)).pvalue)
    assert p_of(OURS, THEIRS[:3]) == pytest.approx(ttest_ind(numpy.log(OURS), numpy.log(THEIRS[:3])).pvalue)


@pytest.mark.parametrize("size", [8, 15, 16, 40])
def test_an_eighth_is_set_aside_at_either_end_as_yuen_does(size):
    ours, theirs = drawn(size, 1.05)
    expected = ttest_ind(numpy.log(ours), numpy.log(theirs), trim=1 / 8, equal_var=True).pvalue
    assert p_of(ours, theirs) == pytest.approx(expected)


def test_one_late_sample_in_eight_does_not_hide_a_difference():
    ours, theirs = drawn(8, 1.6)
    assert p_of([*ours[:7], 20.0], theirs) < 0.001
    assert p_of([*ours[:6], 20.0], theirs) > 0.05


def test_samples_that_agree_by_accident_borrow_the_noise_of_the_others():
    ours, theirs = [1.0, 1.001, 0.999], [1.1, 1.101, 1.099]
    noisy = [drawn(3, sd=0.3, seed=seed) for seed in range(5)]
    assert p_of(ours, theirs) < 1e-6
    assert p_of(ours, theirs, noisy) > 0.1
    # The median of the others counts: two noisy ones among five change little.
    assert p_of(ours, theirs, [*noisy[:2], *[(ours, theirs)] * 3]) < 1e-6


def test_borrowing_never_lowers_a_variance_but_adds_degrees_of_freedom():
    steady = [([1.0, 1.001, 0.999], [1.0, 1.002, 0.999])] * 3
    ours, theirs = [1.0, 2.0, 1.5], [9.0, 20.0, 14.0]
    mean = abs(numpy.log(ours).mean() - numpy.log(theirs).mean())
    error = numpy.sqrt((numpy.log(ours).var(ddof=1) + numpy.log(theirs).var(ddof=1)) / 3)
    assert p_of(ours, theirs, steady) == pytest.approx(2 * t.sf(mean / error, 4 + significance.BORROWED))


SPECIAL = (
    ([2.0] * 3, [2.0] * 3, 1.0),
    ([2.0] * 3, [3.0] * 3, 0.0),
    ([2.0, 2.0], [3.0] * 3, None),
    ([2.0] * 3, [3.0, 3.0], None),
    ([0.0, 2.0, 2.0], [3.0] * 3, None),
    ([2.0] * 3, [3.0, 0.0, 3.0], None),
    ([2.0] * 3, [3.0, -1.0, 3.0], None),
)
"""Values of two sides that are constant, few or impossible, and the probability of their difference."""


@pytest.mark.parametrize(("ours", "theirs", "p"), SPECIAL)
def test_constant_few_or_impossible_values(ours, theirs, p):
    assert p_of(ours, theirs) == (None if p is None else pytest.approx(p, abs=1e-12))
    assert p_values([Pair.of(ours, theirs), None], looks=True)[1] is None


@given(LATENCIES, LATENCIES, some.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_sides_and_unit_do_not_matter(ours, theirs, unit):
    p = p_of(ours, theirs, looks=True)
    assert 0 <= p <= 1
    assert p_of(theirs, ours, looks=True) == pytest.approx(p, abs=1e-9)
    assert p_of([unit * value for value in ours], [unit * value for value in theirs], looks=True) == (
        pytest.approx(p, rel=1e-3, abs=1e-6)
    )


def test_all_looks_together_use_less_than_the_whole_error():
    shares = [spent(size) - spent(before) for before, size in zip((2, *LOOKS), LOOKS, strict=False)]
    assert min(shares) > 0
    assert 0.9 < sum(shares) < 1


def test_a_look_may_use_its_share_of_the_error():
    """A third at 3 samples, a third at 6, a sixth at 12."""
    ours, theirs = drawn(12, 1.2, sd=0.2)
    single = [p_of(ours[:size], theirs[:size]) for size in (3, 6, 12)]
    best = min(p / share for p, share in zip(single, (1 / 3, 1 / 3, 1 / 6), strict=True))
    assert p_of(ours, theirs, looks=True) == pytest.approx(best)
    # The last look is at what there is, and costs what is left until there.
    last = p_of(ours[:4], theirs[:4]) / (spent(4) - spent(3))
    assert p_of(ours[:4], theirs[:4], looks=True) == pytest.approx(min(single[0] * 3, last, 1))


def test_later_samples_do_not_take_a_finding_back():
    ours, theirs = drawn(3, 5.0)
    early = p_of(ours, theirs, looks=True)
    assert p_of([*ours, *[5.0] * 9], [*theirs, *[1.0] * 9], looks=True) <= early


def test_every_sample_of_the_longer_side_counts_at_the_end():
    ours, theirs = drawn(9, 1.3)
    assert p_of(ours, theirs[:3], looks=True) == pytest.approx(3 * p_of(ours, theirs[:3]))


def test_simulation_tests_like_a_run():
    """tests/power.py repeats p_values for arrays."""
    theirs, ours = power.sides(power.loaded, 1.6, runs=3)
    for size in (3, 8):
        found = power._p(theirs, ours, size)
        for run in range(3):
            pairs = [
                Pair(ours=mine[:size], theirs=reference[:size])
                for mine, reference in zip(ours[run], theirs[run], strict=True)
            ]
            assert list(found[run]) == pytest.approx(p_values(pairs, looks=False))


@pytest.mark.parametrize(
    ("noise", "most"),
    [("quiet", 0.02), ("outliers", 0.02), ("loaded", 0.02), ("uneven", 0.05), ("two modes", 0.09)],
)
def test_equal_variants_rarely_differ(noise, most):
    """In 1,000 runs of 12 comparisons each, with all looks. Welch's test errs in a third with two modes."""
    equal = power.sides(power.NOISES[noise], 1.0)
    assert power.family_wise(power.adaptive(*equal)) <= most
    assert power.family_wise(power.fixed(*equal)) <= max(0.05, most + 0.03)


def test_large_differences_need_three_samples_even_under_load():
    def shares(test, noise, factor):
        return dict(zip(power.SIZES, power.power(test(*power.sides(noise, factor))), strict=True))

    assert shares(power.adaptive, power.loaded, 100.0)[3] > 0.98
    assert shares(power.adaptive, power.quiet, 5.0)[3] > 0.99
    for noise, factor in ((power.loaded, 5.0), (power.outliers, 5.0), (power.quiet, 1.6)):
        old, new = (shares(test, noise, factor) for test in (power.welch, power.fixed))
        assert new[3] > old[3] + 0.1
        assert all(new[size] >= old[size] - 0.02 for size in power.SIZES)
