import runpy
import sys
import types

import msgspec
import pytest

from harness.errors import GuestError, OptionError
from harness.properties.checks import CHECKS
from harness.properties.model import OUTCOMES, ROWS, Part, outcome_of, parse_rows, worst
from harness.properties.outcome import Cancelled, Failed, Parts
from tests.unit.defaults import ROOT

from .support import make_binary, make_row, make_task


def part(outcome, name="n", reason="r"):
    return Part(name=name, outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        (("pass", "pass"), ("pass", "")),
        (("pass", "cancel"), ("pass", "not checked: n: r")),
        (("cancel", "cancel"), ("cancel", "r")),
        (("pass", "fail", "cancel"), ("fail", "n: r")),
        (("fail", "fail", "fail"), ("fail", "n: r (and 2 more)")),
        ((), ("cancel", "no part was checked")),
    ],
)
def test_outcome_of_a_row_follows_from_its_parts(outcomes, result):
    assert outcome_of([part(outcome) for outcome in outcomes]) == result


def test_outcomes_of_several_targets_are_combined():
    assert worst(["pass", "fail", "cancel"]) == "fail"
    assert worst(["cancel", "pass"]) == "pass"
    assert worst(["cancel"]) == "cancel"


@pytest.mark.parametrize(
    ("outcome", "expected", "surprise"),
    [
        ("pass", "pass", False),
        ("fail", "fail", False),
        ("fail", "pass", True),
        ("pass", "fail", True),
        ("pass", "cancel", True),
        ("cancel", "pass", False),
        ("fail", "", False),
    ],
)
def test_unexpected_outcomes_include_a_pass(outcome, expected, surprise):
    assert make_row(outcome=outcome, expected=expected).is_surprise is surprise


@pytest.mark.parametrize(
    ("text", "rows"), [("1", (1,)), ("1,3-5", (1, 3, 4, 5)), ("15, 2-3,3", (2, 3, 15)), ("1-18", tuple(ROWS))]
)
def test_row_lists_are_parsed(text, rows):
    assert parse_rows(text) == rows


@pytest.mark.parametrize("text", ["", "0", "19", "5-3", "1-99", "a", "1,", "1..3", "-1"])
def test_invalid_rows_are_refused(text):
    with pytest.raises(OptionError, match="--rows"):
        parse_rows(text)


def test_part_has_the_outcome_of_its_block():
    parts = Parts()
    with parts.part("good") as figures:
        figures["exit_s"] = 0.00123456789
    with parts.part("bad"):
        raise Failed("two\nlines")
    with parts.part("not here"):
        raise Cancelled("needs root")
    with parts.part("did not start"):
        raise GuestError("QEMU ended", "look")
    assert [(made.outcome, made.reason) for made in parts.made] == [
        ("pass", ""),
        ("fail", "two lines"),
        ("cancel", "needs root"),
        ("fail", "QEMU ended"),
    ]
    assert parts.made[0].figures == {"exit_s": 0.001235}


def test_bug_of_the_harness_is_not_an_outcome():
    with pytest.raises(ZeroDivisionError), Parts().part("x"):
        _ = 1 // 0


class FakeTest:
    """The part of avocado's Test that the test uses."""

    outputdir = "/nowhere"

    def __init__(self, task):
        self.params = {"driver": "1", "task": msgspec.json.encode(task).decode()}
        self.calls = []

    def fail(self, reason):
        self.calls.append(("fail", reason))

    def cancel(self, reason):
        self.calls.append(("cancel", reason))


@pytest.fixture
def avocado_test(monkeypatch):
    """Return the names in the module of the avocado test, imported without avocado."""
    monkeypatch.setitem(sys.modules, "avocado", types.SimpleNamespace(Test=FakeTest))
    return runpy.run_path(str(ROOT / "tests" / "avocado" / "properties.py"))


@pytest.fixture
def expected(avocado_test):
    return avocado_test["EXPECTED"]


@pytest.mark.parametrize(
    ("variant", "row", "outcome", "calls"),
    [
        ("patched", 3, "pass", []),
        ("patched", 3, "fail", [("fail", "fail instead of pass: r")]),
        ("patched", 3, "cancel", [("cancel", "r")]),
        ("pristine+option", 3, "fail", []),
        ("pristine+option", 3, "pass", [("fail", "pass instead of fail: r")]),
        ("base", 3, "cancel", [("cancel", "r")]),
        ("base", 1, "pass", [("fail", "pass instead of fail: r")]),
        ("mine", 3, "fail", []),
        ("mine", 3, "cancel", [("cancel", "r")]),
    ],
)
def test_avocado_test_fails_on_unexpected_outcomes(avocado_test, variant, row, outcome, calls):
    kind = avocado_test["Properties"]

    def check(task, *, folder, expected):
        return make_row(task.row, variant, outcome, expected, reason="r")

    kind.test.__globals__["check"] = check
    test = kind(make_task(row, binary=make_binary(variant)))
    test.test()
    assert test.calls == calls
    assert msgspec.json.decode(test.whiteboard)["outcome"] == outcome


def test_each_variant_has_an_expectation_for_each_row(expected):
    assert set(expected) == {"patched", "pristine+option", "pristine", "base", "installed"}
    for outcomes in expected.values():
        assert list(outcomes) == list(ROWS)
        assert set(outcomes.values()) <= set(OUTCOMES)
    assert all(outcome == "pass" for outcome in expected["patched"].values())
    assert [row for row, outcome in expected["pristine+option"].items() if outcome == "pass"] == [
        1,
        14,
        15,
        16,
        18,
    ]


def test_each_row_has_a_check_and_documentation():
    assert list(CHECKS) == list(ROWS)
    text = (ROOT / "docs" / "properties.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [(int(number), title.strip()) for number, title in rows] == list(ROWS.items())
