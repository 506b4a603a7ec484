"""What QEMU's tests show of a series, in lines for a terminal and a mail."""

from __future__ import annotations

from typing import Any

from harness.check import TestRow
from harness.validate.points import points
from harness.validate.reply import reply
from harness.validate.tested import skipped_lines
from tests.unit.validate.test_outputs import results


def row(name: str, outcome: Any, patch: int = 1, reason: str = "") -> TestRow:
    return TestRow(patch=patch, suite="unit", name=name, outcome=outcome, seconds=0, reason=reason)


def test_skipped_tests_are_named_once_with_their_reason() -> None:
    run = results(
        tests=(
            row("a", "skipped", 0, "skipped: no KVM"),
            row("a", "skipped", 1, "skipped: no KVM"),
            row("b", "skipped"),
            row("c", "skipped", 1),
            row("c", "ok", 2),
        )
    )
    lines = list(skipped_lines(run))
    assert lines == ["test a skipped: no KVM", "test b skipped: it gives no reason"]
    assert all(f"Not run: {line}." in reply(run) for line in lines)


def test_failure_of_a_test_with_spaces_in_its_name_counts() -> None:
    from harness.check import RULES

    run = results(
        tests=(row("QAPI schema tests", "failed", 1, "why"),),
        findings=(RULES["test-fails"].finding("QAPI schema tests fails", patch=1),),
    )
    found = {point.name: point.outcome for point in points(run)}
    assert found["test QAPI schema tests"] == "failed"
