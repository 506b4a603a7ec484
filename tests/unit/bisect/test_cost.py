"""The estimate before the builds, from rates that earlier builds have measured."""

from types import SimpleNamespace

import pytest

from harness.bisect.cost import ENOUGH, Rates, estimate, measure_rates, read_rates
from harness.bisect.scope import Scope
from harness.build.probe import Sources
from harness.build.result import CacheUse
from tests.unit.bisect.support import Walk


def built(hits, misses, *, reused=False, compile_s=100.0):
    cache = CacheUse(direct_hits=hits, preprocessed_hits=0, misses=misses, uncacheable=0)
    return SimpleNamespace(reused=reused, cache=cache, compile_s=compile_s)


def test_builds_of_many_files_measure_the_rates(layout):
    assert read_rates(layout) == Rates()
    for build in (built(0, ENOUGH - 1), built(500, 500), built(0, 500, reused=True)):
        measure_rates(layout, build)
    measure_rates(layout, SimpleNamespace(reused=False, cache=None))
    assert not read_rates(layout).measured
    measure_rates(layout, built(0, 500))
    measure_rates(layout, built(1000, 10, compile_s=10.1))
    assert read_rates(layout) == Rates(cold_s=0.2, warm_s=0.01, measured=True)
    (layout.cache / "rates" / "compile.json").write_text("{")
    assert read_rates(layout) == Rates()


@pytest.mark.parametrize(
    ("hits", "misses", "rates"),
    [
        (0, ENOUGH, Rates(cold_s=0.25, measured=True)),
        (15, 285, Rates(cold_s=0.1667, measured=True)),
        (16, 284, Rates()),
        (285, 15, Rates(warm_s=0.1667, measured=True)),
        (284, 16, Rates()),
    ],
)
def test_build_measures_one_rate_if_most_files_were_compiled_in_one_way(layout, hits, misses, rates):
    measure_rates(layout, built(hits, misses, compile_s=50.0))
    assert read_rates(layout) == rates


def test_rates_that_cannot_be_stored_are_no_error(layout):
    layout.cache.mkdir(exist_ok=True)
    (layout.cache / "rates").touch()
    measure_rates(layout, built(0, ENOUGH))
    assert read_rates(layout) == Rates()


def test_estimate_names_steps_and_times():
    rates = Rates(cold_s=0.5, warm_s=0.05, measured=True)
    assert estimate(1000, [10, 20], ["gcc"], rates) == (
        "estimate: 1,000 compile steps for the base and 30 for 2 commits, with gcc: "
        "65 s to 9 min (0.50 s a step, 0.05 s from ccache; measured here)"
    )
    text = estimate(1000, [10], ["gcc", "clang"], Rates(cold_s=0.5, warm_s=0.05))
    assert "for 1 commit, with gcc and clang: 2 min to 17 min" in text
    assert "assumed, not measured here yet" in text
    assert "14 s to 2 min" in estimate(190, [10], ["gcc"], rates)


def test_estimate_is_printed_before_the_first_build(layout, monkeypatch):
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.scope = Scope(
        targets=("x86_64-softmmu",),
        sources=Sources(programs=("a",), steps=(9,), needed=9, users={"hw/a.c": (0,)}),
        steps={"hw/a.c": 1, "hw/a.h": 3},
        changes={1: frozenset({"hw/a.c"}), 2: frozenset({"hw/a.h", "hw/a.c", "docs/x"}), 3: frozenset()},
    )
    walk()
    (line,) = [text for text in walk.reporter.lines if "estimate: " in text]
    assert "9 compile steps for the base and 5 for 4 commits" in line
    walk(bisect="ends")
    (line,) = [text for text in walk.reporter.lines if "estimate: " in text]
    assert "9 compile steps for the base and 4 for 1 commit," in line


def test_steps_of_a_commit_are_not_more_than_those_of_the_base():
    scope = Scope(targets=(), sources=Sources(needed=5), steps={"a": 4, "b": 4}, changes={1: frozenset("ab")})
    assert scope.again([1]) == 5
    assert scope.again([2]) == 0
