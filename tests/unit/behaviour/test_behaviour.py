"""Behaviour tests of a series: found, run by avocado on each variant in turns, and compared."""

import json
import math
from types import SimpleNamespace

import pytest

from harness.behaviour import run
from harness.behaviour.judge import compare, judge_metrics, problems_of, proofs_of
from harness.behaviour.model import BehaviourResults, BehaviourRow, Metric
from harness.behaviour.tests import find_tests
from harness.bench import Subject
from harness.errors import OptionError
from harness.job import JobEvent
from harness.teardown.gates import NO_GATES, Gate, Gates
from tests.faults.world import WORDS, World
from tests.structs import filled
from tests.unit.defaults import ROOT

TESTS = """
import os, time
import msgspec
from harness.behaviour.api import BehaviourTest

class Odd(BehaviourTest):
    def test_figures(self):
        with self.guest(memory_mib=16) as machine:
            names = machine.execute("query-status")
            assert os.path.exists(f"/proc/{machine.pid}")
        self.metric("slow", 3.0 if self.variant == "patched" else 1.0, unit="s", better="lower")
        self.metric("fast", 30.0 if self.variant == "patched" else 10.0, unit="MiB/s", better="higher")
        self.metric("feature", len(self.feature), unit="", better="higher")
        for name, value, better in (("odd", float("nan"), "lower"), ("fast", 1, "lower"), ("odd", 1, "less")):
            with self.assertRaises((ValueError, msgspec.ValidationError)):
                self.metric(name, value, unit="", better=better)

    def helper(self):
        raise AssertionError("no test")
"""

BROKEN = """
    def test_fails_with_the_series(self):
        self.metric("lost", 1, unit="", better="lower")
        if self.variant == "patched":
            self.fail("it is broken")
"""


def subject(variant):
    return Subject(variant=variant, target="x86_64-softmmu", path="/q")


def row(variant, turn, value, **changes):
    metric = Metric(name="time", value=value, unit="s", better=changes.pop("better", "lower"))
    fields = {
        "test": "t",
        "variant": variant,
        "round": turn,
        "index": turn,
        "outcome": "pass",
        "metrics": (metric,),
    }
    return BehaviourRow(**(fields | changes))


def pairs_of(*values, **changes):
    return [
        row(variant, turn, value, **changes)
        for turn, pair in enumerate(values, start=1)
        for variant, value in zip(("base", "patched"), pair, strict=True)
    ]


BOTH = (subject("base"), subject("patched"))


def test_metrics_are_compared_round_by_round():
    # The machine becomes ten times slower; the ratio stays.
    (one,) = compare(pairs_of((1, 2.0), (3, 6.1), (10, 19.9), (11, 22)), BOTH)
    assert (one.reference, one.variant, one.pairs, one.verdict) == ("base", "patched", 4, "worse")
    assert one.effect == pytest.approx(math.log(2), rel=0.02)
    assert (one.reference_median, one.variant_median) == (6.5, 13.0)
    (one,) = compare(pairs_of((1, 2.0), (3, 6.1), (10, 19.9), (11, 22), better="higher"), BOTH)
    assert one.verdict == "better"
    (one,) = compare(pairs_of((1, 2.0), (3, 1.0), (10, 19.9)), BOTH)
    assert one.verdict == "?"


def test_runs_that_fail_or_lack_a_partner_do_not_count():
    rows = [
        *pairs_of((1, 2), (1, 2)),
        row("base", 3, 1),
        row("patched", 3, 9, outcome="fail"),
        row("base", 4, 1),
    ]
    (one,) = compare(rows, BOTH)
    assert (one.pairs, one.low, one.verdict) == (2, None, "?")
    assert list(compare([row("base", 1, 1)], BOTH)) == []


def test_error_is_shared_by_all_metrics():
    near = [(1.0, 1.0 + 0.1 * step) for step in range(1, 6)]
    (alone,) = compare(pairs_of(*near), BOTH)
    many = [one for number in range(8) for one in pairs_of(*near, test=f"t{number}")]
    assert len(list(compare(many, BOTH))) == 8
    assert all(one.high > alone.high for one in compare(many, BOTH) if one.high and alone.high)


def results(rows, subjects=BOTH, gates=NO_GATES):
    found = tuple(compare(rows, subjects))
    gates = judge_metrics(found, gates)
    given = {"binaries": subjects, "rows": tuple(rows), "comparisons": found, "gates": gates}
    return filled(BehaviourResults, complete=True, **given)


@pytest.mark.parametrize(
    ("status", "metrics", "outcome"),
    [("PASS", (), "pass"), ("PASS", None, "fail"), ("CANCEL", (), "cancel"), ("ERROR", (), "fail")],
)
def test_run_without_a_result_has_failed(monkeypatch, status, metrics, outcome):
    monkeypatch.setattr(run, "_setup", lambda *_: None)
    event = JobEvent(index=1, status=status)
    monkeypatch.setattr(run, "run_plan", lambda *given, **_: given[4](event, metrics))
    bench = SimpleNamespace(layout=None, options=SimpleNamespace(timeout=1))
    (test,) = find_tests([ROOT / "tests" / "avocado" / "boot_time.py"])
    (made,) = run.run_test(bench, test, [(1, subject("base"))])
    assert (made.outcome, "no result" in made.reason) == (outcome, metrics is None)


def test_failures_of_the_reference_are_no_problem_of_the_series():
    broken = row("base", 1, 1, outcome="fail", reason="old bug")
    assert problems_of(results([broken, row("patched", 1, 1)])) == []
    assert problems_of(results([broken], (subject("base"),))) == ["t fails on base in 1 of its runs: old bug"]
    worse = results(pairs_of((1, 2.0), (3, 6.1), (10, 19.9), (11, 22)))
    assert problems_of(worse) == ["time of t is worse on patched: 13 s instead of 6.5 s"]


TWICE = pairs_of((1, 2.0), (3, 6.1), (10, 19.9), (11, 22))
EQUAL = pairs_of((1, 1.01), (3, 2.98), (10, 10.1), (11, 11))


@pytest.mark.parametrize(
    ("rows", "fields", "outcome"),
    [
        (TWICE, {"at_most": 2.5}, "pass"),
        (TWICE, {"at_most": 1.5}, "fail"),
        (TWICE, {"at_most": 2.0}, "undecided"),
        (pairs_of((2, 1), (6.1, 3), (19.9, 10), better="higher"), {"at_most": 1.5}, "fail"),
        (pairs_of((1, 2.0), (3, 6.1)), {"at_most": 1.5}, "undecided"),
        (pairs_of((0, 2.0), (3, 6.1), (3, 6)), {}, "skip"),
        (TWICE, {"variant": "mine"}, "skip"),
        (TWICE, {"reference": "mine"}, "skip"),
        (TWICE, {"test": "other"}, "skip"),
        (TWICE, {"metric": "other"}, "skip"),
        (TWICE, {"kind": "verdict"}, "fail"),
        (EQUAL, {"kind": "verdict"}, "pass"),
        (EQUAL, {"kind": "verdict", "verdicts": ("better",)}, "fail"),
        (pairs_of((1, 2.0), (3, 1), (9, 12)), {"kind": "verdict"}, "undecided"),
    ],
)
def test_gates_on_metrics(rows, fields, outcome):
    gate = Gate(**({"name": "g", "kind": "ratio", "metric": "time", "test": "t"} | fields))
    found = results(rows, gates=Gates(gate=(gate, Gate(name="exit", kind="ratio"))))
    assert [one.outcome for one in found.gates] == [outcome]
    # The gate judges instead of the verdict.
    worse = any(one.verdict == "worse" for one in found.comparisons)
    assert bool(problems_of(found)) == (worse and outcome == "skip")


@pytest.mark.parametrize(
    ("rows", "proof"),
    [
        (EQUAL, ("passes on the base", "")),
        (TWICE, ("passes on the base", "")),
        (pairs_of((2, 1), (6, 3), (19.9, 10)), ("proves", "time is worse there: 6 s instead of 3 s")),
        ([row("base", 1, 1, outcome="fail", reason="r"), row("patched", 1, 1)], ("proves", "r")),
        ([row("base", 1, 1, outcome="cancel", reason="r"), row("patched", 1, 1)], ("skipped", "r")),
        (
            [row("base", 1, 1, outcome="fail"), row("patched", 1, 1, outcome="fail", reason="r")],
            ("fails with the series", "r"),
        ),
    ],
)
def test_tests_that_pass_on_the_reference_prove_nothing(rows, proof):
    assert list(proofs_of(results(rows))) == [("t", *proof)]


def test_tests_are_found_without_running_the_file(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text("raise SystemExit\n" + TESTS + BROKEN)
    assert [one.name for one in find_tests([file])] == [
        "odd.py:Odd.test_figures",
        "odd.py:Odd.test_fails_with_the_series",
    ]
    for text, message in (("def (", "cannot read"), ("class A: pass", "has no test"), ("\0", "cannot read")):
        file.write_text(text)
        with pytest.raises(OptionError, match=message):
            find_tests([file])
    with pytest.raises(OptionError, match="cannot read"):
        find_tests([tmp_path / "none.py"])
    assert [one.method for one in find_tests([ROOT / "tests" / "avocado" / "boot_time.py"])] == [
        "test_console"
    ]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.limit_s = 280  # each run starts an interpreter, and avocado another
    folder = made.root / "patches" / "async-teardown" / "tests"
    folder.mkdir()
    (folder / "odd.py").write_text(TESTS)
    yield made
    made.close()


def stored(world):
    return dict(json.loads((world.build / "results" / "behaviour.json").read_text()))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_tests_of_a_series_run_on_base_and_patched(world):
    gates = world.root / "patches" / "async-teardown" / "tests" / "gates.toml"
    gates.write_text('[[gate]]\nname = "g"\nkind = "ratio"\nmetric = "fast"\nat_most = 0.2\n')
    ended = world.run("behaviour", *WORDS, "-Drounds=3", "-Dseed=5")
    assert ended.code == 41, ended.error
    found = stored(world)
    assert found["complete"]
    rows = [(one["test"], one["variant"], one["outcome"], one["round"]) for one in found["rows"]]
    name = "odd.py:Odd.test_figures"
    assert sorted(rows) == [
        (name, variant, "pass", turn) for variant in ("base", "patched") for turn in (1, 2, 3)
    ]
    assert [row[3] for row in rows] == [1, 1, 2, 2, 3, 3], "the variants take turns"
    verdicts = {one["metric"]: (one["verdict"], one["pairs"]) for one in found["comparisons"]}
    assert verdicts == {"slow": ("worse", 3), "fast": ("better", 3), "feature": ("better", 3)}
    assert [(one["place"], one["outcome"]) for one in found["gates"]] == [(f"fast of {name}", "fail")]
    assert "gate: g: 1 fail" in ended.out
    assert "slow of odd.py:Odd.test_figures is worse on patched: 3 s instead of 1 s" in ended.error
    assert world.leftovers() == ""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_validate_runs_the_tests_of_our_own_series(world):
    tests = world.root / "patches" / "async-teardown" / "tests" / "odd.py"
    idle = "\n    def test_nothing(self):\n        pass\n"
    tests.write_text(TESTS.partition("    def test_figures")[0] + BROKEN + idle)
    ended = world.run("validate", *WORDS, "-Dqemu-tests=none", "-Dmatrix=7.2")
    assert ended.code == 23, ended.error
    validated = json.loads((world.build / "results" / "validate.json").read_text())
    lines = [one["message"] for one in validated["findings"] if one["rule"] == "behaviour-fails"]
    assert lines == [
        "odd.py:Odd.test_fails_with_the_series fails on patched in 1 of its runs: it is broken"
    ], ended.error
    nothing = [one["message"] for one in validated["findings"] if one["rule"] == "test-proves-nothing"]
    assert nothing == ["odd.py:Odd.test_nothing passes on the base, and none of its metrics is worse there"]
    assert [(one["test"], one["outcome"], one["patch"]) for one in validated["proofs"]] == [
        ("odd.py:Odd.test_fails_with_the_series", "fails with the series", 0),
        ("odd.py:Odd.test_nothing", "passes on the base", 0),
    ]
    assert "test odd.py:Odd.test_nothing: passes on the base" in ended.out
