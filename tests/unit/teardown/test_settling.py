import math

import msgspec
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from harness.teardown.settling import MOST, open_cells, samples_needed, visit_seconds
from harness.teardown.significance import LOOKS, Pair
from harness.teardown.statistics import compare

from .support import make_sample


def pair(factor, sd=0.1, size=3):
    draw = numpy.random.default_rng(2)
    ours, theirs = numpy.exp(draw.normal(0, sd, (2, size)))
    return Pair.of(list(ours * factor), list(theirs))


def test_smaller_differences_need_more_samples():
    found = [
        samples_needed(pair(factor), 0.01, 2, level=0.005, looks=True) for factor in (5.0, 1.7, 1.45, 1.3)
    ]
    assert found == sorted(found)
    assert found[0] == 6
    assert found[-1] > 12


def test_looks_are_the_only_numbers_of_samples_in_an_adaptive_run():
    assert samples_needed(pair(1.6), 0.01, 2, level=0.005, looks=True) in LOOKS
    once = samples_needed(pair(1.4), 0.01, 2, level=0.005, looks=False)
    assert once not in LOOKS
    assert once < samples_needed(pair(1.4), 0.01, 2, level=0.005, looks=True)


def test_equal_variants_need_samples_for_a_narrow_interval():
    equal = pair(1.0, sd=0.15, size=6)
    needed = samples_needed(equal, 0.0, 0, level=0.005, looks=False)
    assert 6 < needed < MOST


def test_noise_beyond_every_run_needs_infinitely_many():
    assert samples_needed(pair(1.0, sd=3.0), 9.0, 2, level=0.005, looks=True) == math.inf


@given(some.floats(0.01, 100), some.floats(0.01, 2), some.booleans())
@settings(max_examples=50, deadline=None)
def test_needed_samples_are_more_than_there_are(factor, sd, looks):
    assert samples_needed(pair(factor, sd, 4), 0.02, 2, level=0.01, looks=looks) > 4


def run(rows):
    """Samples from (variant, memory, exit, seconds), one after another."""
    samples, at = [], 0.0
    for index, (variant, memory, exit_s, seconds) in enumerate(rows, 1):
        sample = make_sample(exit_s, variant=variant, memory_mib=memory, index=index, round=index)
        samples.append(
            msgspec.structs.replace(sample, started=f"2026-01-01T00:{at // 60:02.0f}:{at % 60:06.3f}+00:00")
        )
        at += seconds
    return samples


def test_visit_takes_a_sample_of_each_variant():
    samples = run(
        [("base", 1, 0.1, 2.0), ("patched", 1, 0.1, 1.0), ("base", 2, 0.1, 4.0), ("patched", 2, 0.1, 1)]
    )
    costs = {(kind, place[2]): seconds for (kind, place), seconds in visit_seconds(samples).items()}
    assert costs["teardown", 1] == pytest.approx(3.0)
    # The last sample has no end; the mean of the others stands for it.
    assert costs["teardown", 2] == pytest.approx(8.0)
    assert costs["restart", 1] == pytest.approx(6.0)


def test_quickest_cell_comes_first_and_decided_ones_are_missing():
    draw = numpy.random.default_rng(4)
    rows = []
    for _ in range(4):
        for memory, factor, seconds in ((1, 1.3, 0.5), (2, 1.3, 5.0), (3, 0.01, 0.5)):
            rows += [
                (name, memory, float(scale * numpy.exp(draw.normal(0, 0.3))), seconds)
                for name, scale in (("base", 1.0), ("patched", factor))
            ]
    samples = run(rows)
    cells = open_cells(samples, compare(samples), looks=True)
    assert [cell.place[2] for cell in cells] == [1, 2]
    assert [cell.latencies for cell in cells] == [("exit", "reclaim")] * 2
    assert cells[0].samples == 4
    assert 0 < cells[0].seconds < cells[1].seconds


def test_cell_without_samples_needs_three():
    samples = run([("base", 1, 0.1, 1.0), ("patched", 1, 0.1, 1.0)])
    (cell,) = open_cells(samples, compare(samples), looks=True)
    assert (cell.samples, cell.needed) == (1, 3)
