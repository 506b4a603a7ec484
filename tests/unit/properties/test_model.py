import runpy
import sys
import types
from pathlib import Path

import msgspec
import pytest

from harness.errors import GuestError, OptionError
from harness.properties import ROWS, Part, parse_rows, worst
from harness.properties.checks import CHECKS
from harness.properties.model import OUTCOMES, outcome_of
from harness.properties.outcome import Cannot, Miss, Parts

from .support import make_binary, make_row, make_task

ROOT = Path(__file__).resolve().parents[3]


def part(outcome, name="n", reason="r"):
    return Part(name=name, outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        (("pass", "pass"), ("pass", "")),
        (("pass", "cancel"), ("pass", "not tried: n: r")),
        (("cancel", "cancel"), ("cancel", "r")),
        (("pass", "fail", "cancel"), ("fail", "n: r")),
        (("fail", "fail", "fail"), ("fail", "n: r (and 2 more)")),
        ((), ("cancel", "nothing was tried")),
    ],
)
def test_the_parts_make_the_row(outcomes, result):
    assert outcome_of([part(outcome) for outcome in outcomes]) == result


def test_the_worst_target_stands_for_the_row():
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
def test_an_unexpected_pass_is_a_surprise_too(outcome, expected, surprise):
    assert make_row(outcome=outcome, expected=expected).is_surprise is surprise


@pytest.mark.parametrize(
    ("text", "rows"), [("1", (1,)), ("1,3-5", (1, 3, 4, 5)), ("15, 2-3,3", (2, 3, 15)), ("1-15", tuple(ROWS))]
)
def test_rows_are_chosen(text, rows):
    assert parse_rows(text) == rows


@pytest.mark.parametrize("text", ["", "0", "16", "5-3", "1-99", "a", "1,", "1..3", "-1"])
def test_rows_that_are_not_there(text):
    with pytest.raises(OptionError, match="--rows"):
        parse_rows(text)


def test_a_part_is_what_its_block_found():
    parts = Parts()
    with parts.part("good") as figures:
        figures["exit_s"] = 0.00123456789
    with parts.part("bad"):
        raise Miss("two\nlines")
    with parts.part("not here"):
        raise Cannot("needs root")
    with parts.part("did not start"):
        raise GuestError("QEMU ended", "look")
    assert [(made.outcome, made.reason) for made in parts.made] == [
        ("pass", ""),
        ("fail", "two lines"),
        ("cancel", "needs root"),
        ("fail", "QEMU ended"),
    ]
    assert parts.made[0].figures == {"exit_s": 0.001235}


def test_a_fault_of_ours_is_not_a_finding():
    with pytest.raises(ZeroDivisionError), Parts().part("x"):
        _ = 1 // 0


class FakeTest:
    """What the test uses of avocado's Test."""

    outputdir = "/nowhere"

    def __init__(self, task):
        self.params = {"driver": "1", "task": msgspec.json.encode(task).decode()}
        self.said = []

    def fail(self, reason):
        self.said.append(("fail", reason))

    def cancel(self, reason):
        self.said.append(("cancel", reason))


@pytest.fixture
def avocado_test(monkeypatch):
    """The names of the avocado test, without avocado."""
    monkeypatch.setitem(sys.modules, "avocado", types.SimpleNamespace(Test=FakeTest))
    return runpy.run_path(str(ROOT / "tests" / "avocado" / "properties.py"))


@pytest.fixture
def expected(avocado_test):
    return avocado_test["EXPECTED"]


@pytest.mark.parametrize(
    ("variant", "row", "outcome", "said"),
    [
        ("patched", 3, "pass", []),
        ("patched", 3, "fail", [("fail", "fail instead of pass: r")]),
        ("patched", 3, "cancel", [("cancel", "r")]),
        ("pristine", 3, "fail", []),
        ("pristine", 3, "pass", [("fail", "pass instead of fail: r")]),
        ("base", 3, "cancel", [("cancel", "r")]),
        ("base", 1, "pass", [("fail", "pass instead of fail: r")]),
        ("mine", 3, "fail", []),
        ("mine", 3, "cancel", [("cancel", "r")]),
    ],
)
def test_the_avocado_test_fails_on_what_is_not_known(avocado_test, variant, row, outcome, said):
    kind = avocado_test["Properties"]
    kind.test.__globals__["end_with"] = lambda _: None

    def check(task, *, folder, expected):
        return make_row(task.row, variant, outcome, expected, reason="r")

    kind.test.__globals__["check"] = check
    test = kind(make_task(row, binary=make_binary(variant)))
    test.test()
    assert test.said == said
    assert msgspec.json.decode(test.whiteboard)["outcome"] == outcome


def test_every_variant_has_an_expectation_for_every_row(expected):
    assert set(expected) == {"patched", "pristine", "base"}
    for outcomes in expected.values():
        assert list(outcomes) == list(ROWS)
        assert set(outcomes.values()) <= set(OUTCOMES)
    assert all(outcome == "pass" for outcome in expected["patched"].values())
    assert [row for row, outcome in expected["pristine"].items() if outcome == "pass"] == [1, 14, 15]


def test_every_row_has_a_check_and_a_paragraph():
    assert list(CHECKS) == list(ROWS)
    text = (ROOT / "docs" / "properties.md").read_text(encoding="utf-8")
    told = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [(int(number), title.strip()) for number, title in told] == list(ROWS.items())
