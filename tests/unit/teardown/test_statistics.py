import math
import statistics

import msgspec
import numpy
import pytest
from scipy.stats import t as student

from harness.teardown.statistics import (
    by_place,
    chance,
    compare,
    compare_pair,
    holm,
    judge,
    mad,
    ratio_interval,
    resolution_s,
)

from .support import make_sample
from .test_significance import SPECIAL


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
    crowd = [row for number in range(50) for row in rows(pair[0], pair[0][::-1], memory_mib=number)]
    among = next(row for row in compare([*rows(*pair, memory_mib=99), *crowd]) if row.memory_mib == 99)
    assert among.p == pytest.approx(alone[0].p, rel=0.9)
    assert among.p_holm > 50 * among.p
    assert among.verdict == "same"


def test_comparisons_without_samples_count_in_the_correction():
    """What a run does not reach depends on what it finds, so it counts as if it had been tested."""
    pair = rows(BASE, TENTH)
    some = rows(BASE[:1], TENTH[:1], memory_mib=2)
    alone, among = compare(pair)[0], compare([*pair, *some])[0]
    assert among.p_holm == pytest.approx(2 * alone.p_holm)


def test_looks_during_the_run_cost_part_of_the_error():
    """At 3 samples a third of it may be used."""
    once, often = (compare(rows(BASE[:3], TENTH[:3]), looks=looks)[0] for looks in (False, True))
    assert often.p == pytest.approx(3 * once.p)


def test_emulated_hosts_are_tested_once_and_lend_no_noise():
    noisy = rows([1.0, 5.0, 2.0], [3.0, 1.0, 9.0], host="s390x", memory_mib=3)
    alone, among = (
        {row.host: row.p for row in compare([*rows(BASE[:3], TENTH[:3]), *extra], looks=True)}
        for extra in ([], noisy)
    )
    assert among["native"] == pytest.approx(alone["native"])
    emulated = compare(rows(BASE[:3], TENTH[:3], host="s390x"), looks=True)[0]
    assert emulated.p == pytest.approx(compare(rows(BASE[:3], TENTH[:3]))[0].p)


def test_noise_of_other_variants_is_not_borrowed():
    """Upstream's reclaim takes up to a second longer by chance; that of patched does not."""
    noisy = [make_sample(value, variant="pristine+option") for value in (0.03, 1.0, 0.03)]
    alone, among = (
        {
            row.variant: row.p
            for row in compare([*rows(BASE[:3], TENTH[:3]), *extra])
            if row.reference == "base"
        }
        for extra in ([], noisy)
    )
    assert among["patched"] == pytest.approx(alone["patched"])


def test_holm_follows_the_paper():
    """Sorted 0.005 0.01 0.03 0.04, multiplied by 4 3 2 1, and never decreasing."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_chance_is_that_of_welch_for_the_logarithms():
    """Welch (1947): the variances of the sides are not pooled, which Student's test does."""
    ours, theirs = [1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 9.0, 12.0, 20.0, 80.0]
    logs = [[math.log(value) for value in side] for side in (ours, theirs)]
    errors = [statistics.variance(side) / len(side) for side in logs]
    t = (statistics.mean(logs[0]) - statistics.mean(logs[1])) / math.sqrt(sum(errors))
    freedom = sum(errors) ** 2 / sum(
        error**2 / (len(side) - 1) for error, side in zip(errors, logs, strict=True)
    )
    assert chance(ours, theirs) == pytest.approx(2 * student.sf(abs(t), freedom))


@pytest.mark.parametrize(("ours", "theirs", "p"), SPECIAL)
def test_chance_of_constant_few_or_impossible_values(ours, theirs, p):
    assert chance(ours, theirs) == p


def test_chance_with_one_constant_side_depends_on_the_other():
    constant, noisy = [2.0] * 3, [1.9, 2.1, 2.05]
    assert chance(constant, noisy) == pytest.approx(chance(noisy, constant))
    assert 0.5 < chance(constant, noisy) < 1
    assert chance([20.0] * 3, noisy) < 0.01


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
    draw = numpy.random.default_rng(1)
    sides = draw.lognormal(size=(2, 9))
    once, again = (ratio_interval(*sides) for _ in range(2))
    assert once == again


def test_interval_reflects_the_noise_of_each_side():
    noisy, constant = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5
    low, high = ratio_interval(noisy, constant)
    assert low <= 2
    assert high >= 4
    low, high = ratio_interval(constant, noisy)
    assert low <= 1 / 4
    assert high >= 1 / 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "same"),
        ({"ratio_low": 0.80, "ratio_high": 1.25}, "same"),
        ({"ratio_low": 0.79, "ratio_high": 1.25}, "not enough data"),
        ({"ratio_low": 0.80, "ratio_high": 1.26}, "not enough data"),
        ({"p": 0.05}, "better"),
        ({"p": 0.0501}, "same"),
        ({"p": 0.01, "ratio": 1.1}, "worse"),
        ({"p": 0.01, "variant_s": 0.89}, "same"),
        ({"p": 0.01, "variant_s": 0.875, "reference_s": 1.0}, "same"),
        ({"p": None}, "not enough data"),
    ],
)
def test_verdict_has_its_bounds(fields, expected):
    """Significant at 5 %; equivalent within 0.80 to 1.25; the resolution here is 0.125 s."""
    (row, _) = compare(rows(BASE, BASE))
    plain = {
        "p": 0.5,
        "ratio": 0.9,
        "ratio_low": 0.9,
        "ratio_high": 1.1,
        "reference_s": 1.0,
        "variant_s": 0.5,
    }
    (judged,) = judge([msgspec.structs.replace(row, **{**plain, **fields})], 0.125)
    assert judged.verdict == expected
    assert judged.p_holm == {**plain, **fields}["p"]


def test_every_difference_counts_without_a_resolution():
    row = msgspec.structs.replace(compare(rows([1.0] * 3, [0.99] * 3))[0], verdict="")
    assert judge([row])[0].verdict == "better"


def test_pair_has_its_counts_before_it_is_judged():
    base, other = [make_sample(value) for value in BASE], [make_sample(value) for value in TENTH[:3]]
    ((place, _),) = by_place(base, "teardown").items()
    pair = compare_pair(place, "reclaim", ("one", "two"), (base, other))
    assert (pair.reference, pair.variant, pair.latency) == ("one", "two", "reclaim")
    assert (pair.samples_reference, pair.samples, pair.verdict, pair.p_holm) == (
        4,
        3,
        "not enough data",
        None,
    )
    assert pair.memory_mib == base[0].memory_mib


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
    samples = [make_sample(variant=name) for name in ("patched", "base", "pristine+option", "distro")]
    pairs = {(row.reference, row.variant) for row in compare(samples)}
    assert pairs == {
        ("base", "patched"),
        ("base", "pristine+option"),
        ("base", "distro"),
        ("pristine+option", "patched"),
        ("pristine+option", "distro"),
    }


def test_order_of_cells_does_not_depend_on_the_run():
    order = [(256, "x86_64-softmmu"), (1024, "x86_64-softmmu"), (256, "s390x-softmmu")]
    for rank in (order, order[::-1]):
        samples = [
            make_sample(variant=name, memory_mib=memory, target=target)
            for memory, target in rank
            for name in ("patched", "pristine+option", "base")
        ]
        found = [(row.memory_mib, row.target) for row in compare(samples) if row.latency == "exit"]
        assert list(dict.fromkeys(found)) == order
        assert compare(samples)[0].variant == "pristine+option"


def test_native_hosts_and_private_memory_come_first():
    fields = [
        {"host": "native", "backend": "ram"},
        {"host": "native", "backend": "file"},
        {"host": "native", "backend": "memfd"},
        {"host": "aarch64", "backend": "ram"},
    ]
    found = by_place([make_sample(**each) for each in reversed(fields)], "teardown")
    samples = [sides["base"][0] for sides in found.values()]
    assert [{"host": one.host, "backend": one.backend} for one in samples] == fields


def test_known_variants_come_before_others():
    names = ["base", "pristine", "patched", "another", "distro"]
    (sides,) = by_place([make_sample(variant=name) for name in sorted(names)], "teardown").values()
    assert list(sides) == names


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
