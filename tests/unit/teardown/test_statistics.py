import pytest

from harness.teardown.statistics import compare, ratio_interval

from .support import make_sample


def rows(base, other, **fields):
    return [make_sample(value, variant="base", **fields) for value in base] + [
        make_sample(value, variant="patched", **fields) for value in other
    ]


def verdict(base, other):
    return compare(rows(base, other))[0].verdict


def test_medians_and_their_ratio():
    exit_, reclaim = compare(rows([0.4, 0.1, 0.2], [0.05, 0.02, 0.09]))
    assert (exit_.latency, reclaim.latency) == ("exit", "reclaim")
    assert (exit_.base_s, exit_.variant_s, exit_.ratio) == (0.2, 0.05, pytest.approx(0.25))
    assert exit_.ratio_low <= exit_.ratio <= exit_.ratio_high


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        ([1.0, 1.1, 1.2, 1.05], [0.1, 0.11, 0.12, 0.13], "better"),
        ([0.1, 0.11, 0.12, 0.13], [1.0, 1.1, 1.2, 1.05], "worse"),
        ([1.0, 1.1, 0.9, 1.05], [1.02, 0.95, 1.1, 1.0], "same"),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], "same"),
        ([1.0, 1.0], [0.1, 0.1, 0.1], "not enough data"),
        ([1.0, 1.0, 1.0], [0.1, 0.1], "not enough data"),
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], "not enough data"),
    ],
)
def test_verdicts(base, other, expected):
    assert verdict(base, other) == expected


def test_constant_data_has_an_interval_without_width():
    assert ratio_interval([2.0, 2.0, 2.0], [4.0, 4.0, 4.0]) == (0.5, 0.5)


def test_the_same_samples_give_the_same_interval():
    once, again = (ratio_interval([1, 2, 3, 4], [2, 3, 4, 5]) for _ in range(2))
    assert once == again


def test_bad_samples_do_not_count():
    samples = [*rows([1.0] * 3, [0.5] * 3), make_sample(variant="patched", outcome="failed", reason="x")]
    assert compare(samples)[0].samples == 3


def test_places_are_not_mixed_and_without_base_there_is_nothing_to_compare():
    samples = rows([1.0] * 3, [0.5] * 3) + rows([9.0] * 3, [9.0] * 3, trigger="quit")
    assert [row.ratio for row in compare(samples) if row.latency == "exit"] == [0.5, 1.0]
    assert compare([make_sample(variant="patched")]) == ()


def test_all_cancelled_gives_a_comparison_without_figures():
    samples = [make_sample(variant=name, outcome="cancelled", reason="x") for name in ("base", "patched")]
    found = compare(samples)[0]
    assert (found.base_s, found.ratio, found.verdict) == (None, None, "not enough data")
