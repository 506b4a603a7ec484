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
