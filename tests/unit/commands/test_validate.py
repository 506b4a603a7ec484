"""validate, check and ci: calls, output and exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.check import RULES
from harness.errors import FindingsError, InfrastructureError, OptionError
from harness.layout import Layout
from harness.properties import ROWS
from tests.unit.properties.support import make_row as property_row
from tests.unit.report.support import make_results
from tests.unit.teardown.support import make_sample

from .conftest import Calls, Run

QUICK = ("-Dbisect=none", "-Dmatrix=7.2", "-Disolation=none", "-Dtargets=x86_64-softmmu")


@pytest.fixture
def with_suites(layout: Layout) -> Any:
    """Return a function that adds suites to the series of the fake QEMU, during a test."""
    file = layout.root / "patches" / "async-teardown" / "series.toml"
    before = file.read_text()
    yield lambda *names: file.write_text(f"{before}suites = {json.dumps(names)}\n")
    file.write_text(before)


def test_series_is_judged_and_results_are_written(run: Run, layout: Layout) -> None:
    ended = run("validate", *QUICK, "-Dfail-on=never")
    assert ended.code == 0, ended.error
    stored = json.loads((layout.results / "validate.json").read_text())
    assert (stored["verdict"], stored["complete"]) == ("clean", True)
    assert (stored["command"], stored["base"]) == ("qemu-harness validate", "base")
    assert {finding["rule"] for finding in stored["findings"]} >= {"dco-missing"}
    for ending in ("json", "sarif", "xml", "tap"):
        assert list(layout.results.glob(f"validate*.{ending}")), ending
    assert str(layout.results / "validate.json") in ended.out
    assert "dco-missing" in ended.out


def test_findings_set_the_exit_code(run: Run) -> None:
    assert isinstance(run("validate", *QUICK).error, FindingsError)


def test_options_are_passed_to_the_run(run: Run, layout: Layout) -> None:
    """Skipped rules, requested patches, base and pin."""
    rules = {one["rule"] for one in findings(run, layout)}
    assert "dco-missing" in rules
    assert "dco-missing" not in {one["rule"] for one in findings(run, layout, "-Drules-off=dco-missing")}
    assert isinstance(run("validate", *QUICK, "-Dpatches=2").error, OptionError)
    findings(run, layout, "-Dbase=pristine")
    assert json.loads((layout.results / "validate.json").read_text())["base"] == "pristine"
    assert isinstance(run("validate", *QUICK, "-Dpin=9.9").error, OptionError)
    assert isinstance(run("validate", *QUICK, "-Dseries=no-such").error, OptionError)


def findings(run: Run, layout: Layout, *words: str) -> list[dict[str, Any]]:
    run("validate", *QUICK, *words)
    found: list[dict[str, Any]] = json.loads((layout.results / "validate.json").read_text())["findings"]
    return found


def test_failure_of_the_harness_is_not_attributed_to_the_series(
    run: Run, calls: Calls, layout: Layout
) -> None:
    from harness.errors import TreeError

    def broken(*_: object, **__: object) -> None:
        raise TreeError("the tree is damaged", "remove it")

    calls.spy("harness.validate.run.import_source", broken)
    ended = run("validate", *QUICK)
    assert isinstance(ended.error, InfrastructureError)
    assert "damaged" in ended.error.cause
    assert json.loads((layout.results / "validate.json").read_text())["verdict"] == "infrastructure"


def test_requested_isolation_is_used(run: Run, calls: Calls) -> None:
    calls.spy("harness.sandbox.open_sandbox")
    run("validate", *QUICK, "-Dfail-on=never")
    assert [given[0][1] for given in calls.given["open_sandbox"]] == ["none"]


# suites


@pytest.fixture
def behaviour(calls: Calls) -> Any:
    """Record the function for the suites that record_validate receives."""
    from harness.validate import run as module

    def record(*given: Any, behaviour: Any, **words: Any) -> Any:
        found.append(behaviour)
        return original(*given, behaviour=behaviour, **words)

    found: list[Any] = []
    original = module.record_validate
    calls.spy("harness.validate.record_validate", record)
    return found


def test_series_without_suites_runs_none(run: Run, behaviour: list[Any]) -> None:
    run("validate", *QUICK)
    assert behaviour == [None]


def test_unknown_suites_are_refused(run: Run, with_suites: Any) -> None:
    with_suites("dancing")
    ended = run("validate", *QUICK)
    assert isinstance(ended.error, OptionError)
    assert "dancing" in ended.error.cause


def test_each_suite_runs_on_base_and_patched_and_gives_findings(
    run: Run, behaviour: list[Any], with_suites: Any, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_properties(bench: Any, rows: Any, *, emulated: Any, on_row: Any) -> None:
        seen["properties"] = ([subject.variant for subject in bench.native], rows)
        on_row(property_row(4))
        on_row(property_row(3, outcome="fail", reason="two helpers"))

    def record_teardown(bench: Any, *, command: str, gates: Any) -> Any:
        seen["teardown"] = ([subject.variant for subject in bench.native], bool(gates.gate))
        failed = make_sample(outcome="failed", reason="it broke", variant="patched")
        gate = GateResult(gate="g", place="p", outcome="fail", reason="too slow")
        return make_results([failed, failed], gates=(gate,))

    from harness.teardown.results import GateResult

    seen: dict[str, Any] = {}
    monkeypatch.setattr("harness.properties.record.run_properties", run_properties)
    monkeypatch.setattr("harness.teardown.record.record_teardown", record_teardown)
    with_suites("teardown", "properties")
    run("validate", *QUICK, "-Daccel=tcg", "-Dccache=false", "-Djobs=2")
    (suites,) = behaviour
    made = [finding.message for finding in suites()]
    assert made == [
        "property 3 of patched: fail, not pass: two helpers",
        "gate g at p: too slow",
        "teardown of patched x86_64-softmmu: it broke",
    ]
    assert {finding.rule for finding in suites()} == {RULES["behaviour-fails"].id}
    assert seen == {
        "properties": (["base", "patched"], tuple(ROWS)),
        "teardown": (["base", "patched"], True),
    }
    behaviour.clear()
    with_suites("teardown")
    seen.clear()
    run("validate", *QUICK, "-Daccel=tcg", "-Dccache=false", "-Djobs=2")
    behaviour[0]()
    assert list(seen) == ["teardown"]


# check and ci


def test_rules_are_listed_and_skipped_ones_are_marked(run: Run) -> None:
    ended = run("check", "-Drules-off=dco-missing")
    assert ended.code == 0
    lines = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
    assert set(RULES) <= set(lines)
    assert "(off)" in lines["dco-missing"]
    assert sum("(off)" in line for line in lines.values()) == 1


@pytest.mark.parametrize(("forge", "word"), [("gitlab", "script:"), ("github", "runs-on:")])
def test_ci_configuration_is_printed(run: Run, forge: str, word: str) -> None:
    ended = run("ci", forge)
    assert ended.code == 0
    assert word in ended.out
    assert "-Dhosts=native" in ended.out


def test_child_pipeline_has_a_job_for_each_commit(run: Run) -> None:
    ended = run("ci", "gitlab", "--commits")
    assert ended.code == 0
    assert ended.out.count("-Dpatches=") == 1
    assert isinstance(run("ci", "github", "--commits").error, OptionError)
