import itertools
import statistics

import numpy
import pytest

from harness.teardown.slopes import fit_slopes, theil_sen

from .support import make_sample

SIZES = (256, 1024, 4096, 16384)


def line(ms_per_gib, offset_ms=2.0, noise=0.02, variant="base", **fields):
    draw = numpy.random.default_rng(3)
    return [
        make_sample(
            (offset_ms + ms_per_gib * size / 1024) / 1000 * float(numpy.exp(draw.normal(0, noise))),
            variant=variant,
            memory_mib=size,
            **fields,
        )
        for size in SIZES
        for _ in range(5)
    ]


def exit_slope(samples):
    return next(slope for slope in fit_slopes(samples) if slope.latency == "exit")


def test_slope_is_fitted_with_its_interval():
    slope = exit_slope(line(30.0))
    assert slope.low < 30.0 < slope.high
    assert slope.high - slope.low < 2
    assert slope.intercept_ms == pytest.approx(2.0, abs=1)
    assert (slope.sizes_mib, slope.samples) == (SIZES, 20)
    assert slope.tib_low_s < 30.0 * 1.024 < slope.tib_high_s


def exact(sizes=(256, 1024), rounds=3, **fields):
    """Samples exactly on the line 2 ms + 30 ms/GiB."""
    return [
        make_sample((2 + 30 * size / 1024) / 1000, memory_mib=size, **fields)
        for size in sizes
        for _ in range(rounds)
    ]


def test_line_without_noise_is_exact():
    slope = exit_slope(exact())
    figures = (slope.ms_per_gib, slope.low, slope.high, slope.intercept_ms)
    assert figures == pytest.approx((30, 30, 30, 2))
    assert (slope.tib_s, slope.tib_low_s, slope.tib_high_s) == pytest.approx((30.722,) * 3)
    assert (slope.sizes_mib, slope.samples, slope.variant) == ((256, 1024), 6, "base")


def test_interval_is_reproducible():
    assert fit_slopes(line(30.0)) == fit_slopes(line(30.0))


def test_only_samples_of_the_right_kind_count():
    assert {slope.latency for slope in fit_slopes(exact(kind="restart", restart_s=1.0))} == {"restart"}
    assert fit_slopes(exact(kind="overhead")) == ()
    failed = [make_sample(memory_mib=size, outcome="failed", reason="x") for size in (256, 1024)] * 3
    assert fit_slopes(failed) == ()


def test_size_with_too_few_samples_is_left_out():
    few = make_sample(9.0, memory_mib=4096)
    slope = exit_slope([*exact(), few, few])
    assert (slope.sizes_mib, slope.samples) == ((256, 1024), 6)
    assert slope.ms_per_gib == pytest.approx(30)


def weighted_median(slopes):
    """Return the first of the sorted (slope, weight) with half of the total weight up to it."""
    half, weight = sum(weight for _, weight in slopes) / 2, 0.0
    for slope, own in sorted(slopes):
        weight += own
        if weight >= half:
            return slope
    raise AssertionError


def test_distant_sizes_weigh_more():
    """Each pair of different sizes gives a slope; its weight is the difference of the sizes."""
    x = [1.0, 1.0, 2.0, 4.0, 4.0, 8.0, 32.0]
    rows = numpy.random.default_rng(5).normal(size=(20, len(x)))
    slopes, intercepts = theil_sen(numpy.array(x), rows)
    for y, slope, intercept in zip(rows.tolist(), slopes, intercepts, strict=True):
        pairs = [(i, j) for i, j in itertools.combinations(range(len(x)), 2) if x[i] != x[j]]
        expected = weighted_median([((y[j] - y[i]) / (x[j] - x[i]), x[j] - x[i]) for i, j in pairs])
        assert slope == pytest.approx(expected)
        assert intercept == pytest.approx(
            statistics.median(b - expected * a for a, b in zip(x, y, strict=True))
        )


def test_outliers_do_not_change_the_slope():
    samples = line(30.0)
    spoiled = [*samples[:-1], make_sample(samples[-1].exit_s * 20, variant="base", memory_mib=SIZES[-1])]
    assert exit_slope(spoiled).ms_per_gib == pytest.approx(exit_slope(samples).ms_per_gib, rel=0.05)


def test_constant_latency_has_slope_zero():
    slope = exit_slope(line(0.0, offset_ms=0.7))
    assert slope.low <= 0 <= slope.high


def test_slope_needs_two_sizes_with_three_good_samples():
    samples = line(30.0)
    assert fit_slopes([row for row in samples if row.memory_mib == 256]) == ()
    few = [row for row in samples if row.memory_mib == 256] + line(30.0)[-2:]
    assert fit_slopes(few) == ()


def test_each_variant_backend_and_latency_has_its_own_slope():
    samples = [
        *line(30.0),
        *line(1.0, variant="patched"),
        *line(9.0, backend="memfd"),
        *line(5.0, kind="restart", restart_s=1.0),
    ]
    found = {(slope.variant, slope.backend, slope.latency): slope for slope in fit_slopes(samples)}
    assert set(found) == {
        *(("base", backend, latency) for backend in ("ram", "memfd") for latency in ("exit", "reclaim")),
        ("patched", "ram", "exit"),
        ("patched", "ram", "reclaim"),
        ("base", "ram", "restart"),
    }
    assert found["base", "memfd", "exit"].ms_per_gib == pytest.approx(9, rel=0.1)


def test_computation_in_blocks_gives_the_same_slopes(monkeypatch):
    x = numpy.array([1.0, 1.0, 2.0, 4.0])
    rows = numpy.random.default_rng(1).random((50, 4))
    whole = theil_sen(x, rows)
    monkeypatch.setattr("harness.teardown.slopes.AT_ONCE", 100)
    for one, other in zip(whole, theil_sen(x, rows), strict=True):
        assert (one == other).all()
