"""Behaviour tests as measures of a commit, without avocado."""

from pathlib import Path

import pytest

from harness.behaviour.model import BehaviourRow, Metric
from harness.behaviour.tests import BehaviourTestName
from harness.bench import Subject
from harness.process import Finished
from harness.regression import measure
from harness.regression.measure import Behaviour, CannotMeasureError, Command, Place

TEST = BehaviourTestName(file=Path("/t.py"), case="T", method="test_it")


def place(name):
    subject = Subject(variant="x", target="x86_64-softmmu", path=f"/{name}")
    return Place(name=name, source=Path("/s"), build=Path("/b"), subject=subject)


PLACES = place("good"), place("candidate")


def behaviour(monkeypatch, metric, **fields):
    """Return a measure with rows of ``fields``, and the list of the binaries that it runs."""
    ran = []

    def run_test(_, test, order):
        ran.extend(f"{subject.path} {' '.join(subject.options)}" for _, subject in order)
        speed = Metric(name="speed", value=len(ran), unit="MiB/s", better="higher")
        plain = {"outcome": "pass", "metrics": (speed,)}
        return [
            BehaviourRow(test="t", variant=subject.variant, round=turn, index=1, **(plain | fields))
            for turn, subject in order
        ]

    monkeypatch.setattr(measure, "run_test", run_test)
    bench = None
    return Behaviour(bench=bench, test=TEST, metric=metric, arguments=("-a", "b")), ran


def test_metric_is_sampled_in_turns(monkeypatch):
    speed, ran = behaviour(monkeypatch, "speed")
    assert speed.judge(PLACES[0]) is None
    assert speed.sample(PLACES, 1) == (2, 2)
    assert speed.sample(PLACES, 2) == (4, 4)
    assert ran == ["/good -a b", "/candidate -a b", "/candidate -a b", "/good -a b"]
    assert (speed.unit, speed.lower_is_better, speed.name) == ("MiB/s", False, "t.py:T.test_it")


@pytest.mark.parametrize(
    ("outcome", "term"), [("pass", "good"), ("fail", "bad"), ("cancel", CannotMeasureError)]
)
def test_outcome_judges_without_a_metric(monkeypatch, outcome, term):
    test, _ = behaviour(monkeypatch, "", outcome=outcome, reason="r")
    if isinstance(term, str):
        assert test.judge(PLACES[0]) == term
    else:
        with pytest.raises(term, match=r"t\.py:T\.test_it was cancelled: r"):
            test.judge(PLACES[0])


@pytest.mark.parametrize(
    ("metric", "fields", "message"),
    [
        ("speed", {"outcome": "fail", "reason": "it broke"}, "it broke"),
        ("speed", {"outcome": "cancel", "reason": "no KVM"}, "no KVM"),
        ("other", {}, r"t\.py:T\.test_it recorded no other"),
    ],
)
def test_test_without_the_metric_skips_the_commit(monkeypatch, metric, fields, message):
    speed, _ = behaviour(monkeypatch, metric, **fields)
    with pytest.raises(CannotMeasureError, match=message):
        speed.sample(PLACES, 1)


@pytest.mark.parametrize(
    ("output", "status", "figure"),
    [
        ("1 2\nspeed: -3e2 MiB\n", 0, -300.0),
        ("5", 3, "ended with status 3"),
        ("", 0, "printed no number"),
        ("5\nnone", 0, "printed no number"),
        ("1e999", 0, "printed no number"),
    ],
)
def test_figure_of_a_command_is_the_last_number(monkeypatch, output, status, figure):
    ended = Finished(argv=("sh",), returncode=status, output=output, duration_s=0.0)
    monkeypatch.setattr(measure, "run", lambda *_, **__: ended)
    command = Command(command="c", counts=True, logs=Path("/l"))
    if isinstance(figure, float):
        assert command.sample(PLACES, 1) == (figure, figure)
    else:
        with pytest.raises(CannotMeasureError, match=figure):
            command.sample(PLACES, 1)
