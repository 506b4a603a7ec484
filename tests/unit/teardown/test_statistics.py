import numpy
import pytest

from harness.teardown.statistics import chance, compare, holm, mad, ratio_interval, resolution_s

from .support import make_sample


def rows(base, other, variant="patched", **fields):
    return [make_sample(value, variant="base", **fields) for value in base] + [
        make_sample(value, variant=variant, **fields) for value in other
    ]


def verdict(base, other, extra=()):
    return compare([*rows(base, other), *extra])[0].verdict


BASE = [1.0, 1.1, 1.2, 1.05]
TENTH = [0.1, 0.11, 0.12, 0.13]


def test_comparison_has_medians_deviations_and_ratio():
    exit_, reclaim = compare(rows([0.4, 0.1, 0.2], [0.05, 0.02, 0.09]))
    assert (exit_.variant, exit_.reference) == ("patched", "base")
    assert (exit_.latency, reclaim.latency) == ("exit", "reclaim")
    assert (exit_.reference_s, exit_.variant_s, exit_.ratio) == (0.2, 0.05, pytest.approx(0.25))
    assert exit_.reference_mad_s == pytest.approx(0.1)
    assert exit_.variant_mad_s == pytest.approx(0.03)
    assert exit_.ratio_low <= exit_.ratio <= exit_.ratio_high


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        (BASE, TENTH, "better"),
        (TENTH, BASE, "worse"),
        ([1.0, 1.1, 0.95, 1.05], [1.02, 0.95, 1.1, 1.0], "same"),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], "same"),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "worse"),
        # Not significant, but the interval is too wide for "same".
        ([1.0, 1.9, 0.6, 1.4], [1.1, 0.5, 1.8, 0.7], "not enough data"),
        ([1.0, 1.0], [0.1, 0.1, 0.1], "not enough data"),
        ([1.0, 1.0, 1.0], [0.1, 0.1], "not enough data"),
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], "not enough data"),
    ],
)
def test_verdict_follows_from_the_samples(base, other, expected):
    assert verdict(base, other) == expected


def test_correction_depends_on_the_number_of_comparisons():
    """A difference that is significant alone is not significant among fifty comparisons."""
    pair = ([1.0, 1.05, 1.02, 1.04], [1.07, 1.12, 1.09, 1.11])
    alone = compare(rows(*pair))
    assert alone[0].verdict == "worse"
    crowd = [row for number in range(50) for row in rows(BASE, BASE, memory_mib=number)]
    among = next(row for row in compare([*rows(*pair, memory_mib=99), *crowd]) if row.memory_mib == 99)
    assert among.p == alone[0].p
    assert among.p_holm > alone[0].p_holm
    assert among.verdict == "same"


def test_holm_follows_the_paper():
    """Sorted 0.005 0.01 0.03 0.04, multiplied by 4 3 2 1, and never decreasing."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.slow
def test_equal_binaries_rarely_differ():
    """400 comparisons of a skewed distribution with outliers with itself, each without correction."""
    draw = numpy.random.default_rng(7)
    found = 0
    for _ in range(400):
        noise = numpy.exp(draw.normal(0, 0.08, 10)) * numpy.where(draw.random(10) < 0.05, 1.6, 1)
        found += chance(noise[:5], noise[5:]) <= 0.05
    assert found / 400 <= 0.05


def test_difference_below_the_resolution_is_same():
    overhead = [make_sample(value, variant="overhead", kind="overhead") for value in (0.01, 0.02, 0.03)]
    assert resolution_s(overhead) == pytest.approx(3 * 1.4826 * 0.01)
    assert verdict([0.10] * 3, [0.13] * 3) == "worse"
    assert verdict([0.10] * 3, [0.13] * 3, overhead) == "same"
    assert verdict([0.10] * 3, [0.15] * 3, overhead) == "worse"


def test_interval_of_constant_data_has_no_width():
    assert ratio_interval([2.0, 2.0, 2.0], [4.0, 4.0, 4.0]) == (0.5, 0.5)


def test_interval_is_reproducible():
    once, again = (ratio_interval([1, 2, 3, 4], [2, 3, 4, 5]) for _ in range(2))
    assert once == again


def test_loaded_samples_count_and_failed_ones_do_not():
    good = rows([1.0] * 3, [0.5] * 3)
    made = compare([*good, make_sample(variant="patched", outcome="failed", reason="x")])[0]
    assert (made.samples, made.loaded) == (3, 0)
    made = compare([*good, make_sample(0.5, variant="patched", loaded=True)])[0]
    assert (made.samples, made.loaded) == (4, 1)


def test_cells_are_separate_and_the_first_variant_replaces_base():
    samples = rows([9.0] * 3, [9.0] * 3, trigger="sigterm") + rows([1.0] * 3, [0.5] * 3)
    assert [row.ratio for row in compare(samples) if row.latency == "exit"] == [0.5, 1.0]
    assert compare([make_sample(variant="patched")]) == ()
    two = [make_sample(variant=name) for name in ("b", "a")]
    assert {(row.reference, row.variant) for row in compare(two)} == {("a", "b")}


def test_other_variants_are_compared_with_pristine():
    samples = [make_sample(variant=name) for name in ("patched", "base", "pristine", "distro")]
    pairs = {(row.reference, row.variant) for row in compare(samples)}
    assert pairs == {
        ("base", "patched"),
        ("base", "pristine"),
        ("base", "distro"),
        ("pristine", "patched"),
        ("pristine", "distro"),
    }


def test_order_of_cells_does_not_depend_on_the_run():
    order = [(256, "x86_64-softmmu"), (1024, "x86_64-softmmu"), (256, "s390x-softmmu")]
    for rank in (order, order[::-1]):
        samples = [
            make_sample(variant=name, memory_mib=memory, target=target)
            for memory, target in rank
            for name in ("patched", "pristine", "base")
        ]
        found = [(row.memory_mib, row.target) for row in compare(samples) if row.latency == "exit"]
        assert list(dict.fromkeys(found)) == order
        assert compare(samples)[0].variant == "pristine"


def test_restart_samples_give_only_restart_comparisons():
    samples = [
        make_sample(variant=name, kind="restart", restart_s=value)
        for name, value in (("base", 2.0), ("patched", 1.0))
        for _ in range(3)
    ]
    (row,) = compare(samples)
    assert (row.latency, row.ratio, row.verdict) == ("restart", 0.5, "better")


def test_cancelled_samples_give_a_comparison_without_figures():
    samples = [make_sample(variant=name, outcome="cancelled", reason="x") for name in ("base", "patched")]
    found = compare(samples)[0]
    assert (found.reference_s, found.ratio, found.verdict) == (None, None, "not enough data")


def test_deviation_of_no_values_is_none():
    assert mad([]) is None
    assert mad([1, 2, 3, 4, 100]) == 1
