"""JUnit XML of a teardown run for CI: a test case for each cell and variant, and one for each gate."""

from collections.abc import Iterable
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.jsonfile import storing
from harness.teardown.model import Sample
from harness.teardown.places import place_words
from harness.teardown.results import GateResult, TeardownResults


def write_junit(path: Path, results: TeardownResults) -> None:
    """Write ``results`` to ``path``. Raises StorageError."""
    xml = JUnitXml()
    xml.add_testsuite(_suite("samples", _samples(results)))
    xml.add_testsuite(_suite("gates", [_gate(gate) for gate in results.gates]))
    with storing(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        xml.write(str(path), pretty=True)


def _suite(name: str, cases: Iterable[TestCase]) -> TestSuite:
    suite = TestSuite(f"teardown.{name}")
    for case in cases:
        suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    return suite


def _samples(results: TeardownResults) -> Iterable[TestCase]:
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for row in results.rows:
        place = place_words(row.place)
        groups.setdefault((row.kind, place, row.variant), []).append(row)
    for (kind, place, variant), rows in groups.items():
        good = [row for row in rows if row.counts]
        case = TestCase(
            name=f"{variant} {place}",
            classname=f"teardown.{kind}",
            time=round(sum((row.start_s or 0) + (row.reclaim_s or 0) for row in good), 3),
        )
        failed = [row for row in rows if row.outcome == "failed"]
        if failed:
            case.result = [Failure(f"{len(failed)} of {len(rows)} samples: {failed[0].reason}", "failed")]
        elif not good:
            case.result = [Skipped(rows[0].reason)]
        yield case


def _gate(gate: GateResult) -> TestCase:
    case = TestCase(
        name=f"{gate.gate}: {gate.place}" if gate.place else gate.gate, classname="teardown.gates"
    )
    if gate.outcome == "fail":
        case.result = [Failure(gate.reason, "gate")]
    elif gate.outcome in ("skip", "undecided"):
        case.result = [Skipped(f"{gate.outcome}: {gate.reason}")]
    elif gate.outcome != "pass":
        case.result = [Error(f"unknown outcome {gate.outcome}")]
    return case
