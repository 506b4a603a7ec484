"""The faults that are tried: their documents, their results, and a quick run of each for CI."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from harness.errors import FaultsError, OptionError
from tests.faults import __main__ as program
from tests.faults.bench import CASES, Bench, Case, Tried, judge, stage_under_way
from tests.faults.report import FaultRow, FaultsResults, check_faults, render_faults
from tests.faults.weak import WEAKNESS, WEAKNESSES, Weakness, site
from tests.faults.world import Ended
from tests.structs import filled
from tests.unit.defaults import ROOT
from tests.unit.screen import rendered_lines


def row(outcome, name="this", case="kill"):
    reason = "" if outcome == "survived" else "because"
    return FaultRow(case=case, name=name, outcome=outcome, reason=reason, duration_s=2.0)


def results(*rows, complete=True):
    return filled(FaultsResults, complete=complete, rows=rows)


def test_table_counts_trials_and_lists_failures():
    made = results(
        row("survived"),
        row("failed"),
        row("cancelled", case="paths"),
        row("survived", case="paths"),
        complete=False,
    )
    lines = rendered_lines(render_faults(made))
    assert {"kill 2 1 0 4", "paths 1 1 1 4", "all 3 2 1 8"} <= set(lines)
    assert "failed: kill: this: because" in lines
    assert "cancelled: paths: this: because" in lines
    assert lines[-1] == "The run was stopped before its end."


def test_failed_fault_is_an_error(layout):
    check_faults(layout, results(row("survived"), row("cancelled")))
    with pytest.raises(FaultsError) as caught:
        check_faults(layout, results(row("survived"), row("failed")))
    assert (caught.value.code, caught.value.details) == (32, ("kill: this: because",))


def test_missed_weakness_is_an_error(layout):
    noticed = results(row("noticed"), row("cancelled"))
    check_faults(layout, noticed)
    assert "noticed" in rendered_lines(render_faults(noticed))[0]
    with pytest.raises(FaultsError, match="1 of 2 weaknesses were not noticed"):
        check_faults(layout, results(row("noticed"), row("missed")))


@pytest.mark.slow
@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_weakness_is_installed_at_the_start_of_python(weakness, tmp_path):
    environment = {**os.environ, WEAKNESS: weakness, "PYTHONPATH": site(tmp_path / "site")}
    # Once more, where an ImportError is not let pass: what it weakens has to be there.
    again = f"from tests.faults.weak import WEAKNESSES; WEAKNESSES[{weakness!r}].put_in()"
    text = f"import sys; assert 'tests.faults.weak' in sys.modules; import harness.cli; {again}"
    words = [sys.executable, "-c", text]
    ended = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


class Noted(program._Run):
    """Rows of a run that writes nothing."""

    def __init__(self, layout):
        super().__init__(layout, "x", 1)


@pytest.mark.parametrize(
    ("trials", "outcome"),
    [
        ((Tried(name="one"), Tried(name="two", reason="as it should")), "noticed"),
        ((Tried(name="one", reason="no compiler"), Tried(name="two", reason="as it should")), "noticed"),
        ((Tried(name="one", reason="no compiler"), Tried(name="two", reason="no compiler")), "missed"),
        ((Tried(name="one"), Tried(name="two")), "missed"),
        (OSError("the test itself"), "missed"),
    ],
)
def test_only_the_sign_of_a_weakness_counts_as_noticed(layout, monkeypatch, trials, outcome):
    def run(_):
        if isinstance(trials, Exception):
            raise trials
        yield from trials

    monkeypatch.setitem(CASES, "x", Case(name="x", does="", private=False, asked=False, run=run))
    one = Weakness(name="w", case="x", sign="^two: as it should", does="it", put_in=lambda: None)
    noted = Noted(layout)
    noted.try_weakness(one, Bench(folder=layout.root, seed=1, kills=1, quick=False))
    assert [each.outcome for each in noted.rows] == [outcome]
    stopped = Noted(layout)
    stopped.stopped.set()
    stopped.try_weakness(one, Bench(folder=layout.root, seed=1, kills=1, quick=False))
    assert stopped.rows == []


@pytest.mark.parametrize("words", [("--quick",), ("--kills", "2"), ("--cases", "kill-qemu")])
def test_options_that_weakened_excludes_are_refused(words):
    arguments = program.parser().parse_args(["--weakened", *words])
    with pytest.raises(OptionError, match=r"^--weakened"):
        program.try_all(arguments, ["--weakened", *words])


def test_every_fault_is_documented():
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^`|]+) \|$", text, re.MULTILINE))
    assert rows == {case.name: case.does for case in CASES.values()}
    weak = re.findall(r"^\| `([a-z-]+)` \| `([a-z-]+)` \| (.+) \|$", text, re.MULTILINE)
    assert weak == [(each.name, each.case, each.does) for each in WEAKNESSES.values()]
    assert {each.case for each in WEAKNESSES.values()} == {
        each.name for each in CASES.values() if not each.asked
    }
    for words in program.parser()._actions:
        assert all(word in text for word in words.option_strings if word not in ("-h", "--help"))


def test_interrupted_step_is_found_in_the_progress():
    lines = ["fetching a …\n", "fetching a: done in 0.1 s\n", "importing b …\n", "  importing b: 10 %\n"]
    assert stage_under_way(lines) == "importing b"
    assert stage_under_way(lines[:2]) == "between steps"


@pytest.mark.parametrize(
    ("code", "error", "problem"),
    [
        (14, "error: no room\nremedy: make some\n", ""),
        (14, "error: no room\n", "no cause and remedy"),
        (5, "error: no room\nremedy: make some\n", "status 5"),
        (70, "error: internal error of the harness\nremedy: report it\n", "a traceback"),
        (14, "Traceback (most recent call last):\n", "a traceback"),
        (0, "", ""),
    ],
)
def test_end_of_a_run_is_judged(code, error, problem):
    found = judge(Ended(code=code, out="", error=error, took_s=1.0), 0, 14, 70)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_unknown_faults_are_refused():
    words = ["--cases", "kill,flood"]
    with pytest.raises(OptionError, match="there is no case flood"):
        program.try_all(program.parser().parse_args(words), words)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("words", "cases", "outcome"),
    [
        (("--quick", "--kills", "2"), "poisoned-cache,kill", "survived"),
        (("--weakened",), "poisoned-cache,bad-downloads", "noticed"),
    ],
    ids=["quick", "weakened"],
)
def test_some_faults_are_survived(tmp_path, words, cases, outcome):
    words = (*words, "--seed", "7", "--cases", cases, "--at-once", "1")
    environment = {**os.environ, "QEMU_HARNESS_BUILD": str(tmp_path / "build"), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 3:
        pytest.skip("what a build of QEMU needs is not installed")
    assert ended.returncode == 0, ended.stderr
    kept = json.loads((tmp_path / "build" / "results" / "faults.json").read_text(encoding="utf-8"))
    assert kept["complete"]
    assert {each["case"] for each in kept["rows"]} == set(cases.split(","))
    assert {each["outcome"] for each in kept["rows"]} == {outcome}
    assert not list(tmp_path.glob("qemu-harness-faults-*"))
