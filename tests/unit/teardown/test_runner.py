import msgspec
import pytest

from harness import job as jobs
from harness.errors import TeardownError
from harness.guest import Accel, Firmware
from harness.job import Event, Plan
from harness.process import Finished
from harness.progress import Silent
from harness.teardown import runner
from harness.teardown.model import Cell, Sample

from .support import make_sample
from .test_scenario import TARGETS, options, subjects


@pytest.fixture
def layout(tmp_path):
    from harness.layout import Layout

    return Layout(root=tmp_path, build=tmp_path / "b", trees=tmp_path / "t", cache=tmp_path / "c")


@pytest.fixture
def job(monkeypatch):
    """Takes avocado's place: lines to say for each plan, in ``job.lines``."""

    class Job:
        lines = staticmethod(lambda cells: [])
        interrupt = False

    def run_job(layout, home, file, on_line):
        plan = msgspec.json.decode(file.read_bytes(), type=Plan)
        cells = [msgspec.json.decode(item.params["cell"], type=Cell) for item in plan.items]
        for line in Job.lines(cells):
            on_line(line)
        if Job.interrupt:
            raise KeyboardInterrupt
        return Finished(argv=("x",), returncode=8, output="avocado crashed\n", duration_s=0.0)

    monkeypatch.setattr(jobs, "_run_job", run_job)
    monkeypatch.setattr(runner, "fetch_firmware", lambda *_: Firmware(folders=()))
    return Job


def line(cell, sample=None, status="PASS", reason=""):
    whiteboard = "" if sample is None else msgspec.json.encode(sample).decode()
    event = Event(index=cell.index, status=status, whiteboard=whiteboard, reason=reason)
    return msgspec.json.encode(event).decode()


def go(layout, on_sample=None, **fields):
    accels = {(target, "paused"): Accel(target=target, name="tcg", reason="") for target in TARGETS}
    chosen = options(rounds=1, memory_mib=(256,), triggers=("sigkill",), **fields)
    said = Silent()
    wanted = subjects("base", "patched")
    return runner.run_teardown(layout, chosen, wanted, said, accels=accels, on_sample=on_sample), said.lines


def good(cell):
    return make_sample(variant=cell.variant, target=cell.target, memory_mib=cell.memory_mib, index=cell.index)


def test_samples_come_from_whiteboards_and_other_output_is_ignored(layout, job):
    job.lines = staticmethod(lambda cells: ["Traceback", "{}", *(line(cell, good(cell)) for cell in cells)])
    run, _ = go(layout)
    assert [sample.outcome for sample in run.samples] == ["ok"] * 4
    assert len(run.comparisons) == 4


def test_every_cell_has_a_row_even_if_avocado_loses_it(layout, job):
    job.lines = staticmethod(
        lambda cells: [
            line(cells[0], good(cells[0])),
            line(cells[1], status="INTERRUPTED", reason="Test interrupted:\n Timeout reached"),
        ]
    )
    run, said = go(layout)
    assert [sample.outcome for sample in run.samples] == ["ok", "failed", "failed", "failed"]
    assert run.samples[1].reason == (
        "the test ended with INTERRUPTED and no result: Test interrupted: Timeout reached"
    )
    assert run.samples[2].reason == "avocado gave no result for this test"
    assert any("failed" in text for text in said)


def test_a_cancelled_size_is_said_once(layout, job):
    def cancelled(cell):
        return make_sample(
            variant=cell.variant, memory_mib=256, index=cell.index, outcome="cancelled", reason="needs much"
        )

    job.lines = staticmethod(lambda cells: [line(cell, cancelled(cell), "CANCEL") for cell in cells])
    _, said = go(layout)
    assert [text for text in said if "cancelled" in text] == ["256 MiB cancelled: needs much"]


def test_avocado_that_runs_nothing_is_an_error_with_its_last_words(layout, job):
    with pytest.raises(TeardownError, match="ran no test") as caught:
        go(layout)
    assert caught.value.details == ("avocado crashed",)


def test_an_interrupt_leaves_what_has_come_so_far(layout, job):
    job.lines = staticmethod(lambda cells: [line(cells[0], good(cells[0]))])
    job.interrupt = True
    kept: list[Sample] = []
    with pytest.raises(KeyboardInterrupt):
        go(layout, kept.append)
    assert len(kept) == 1
    assert not list((layout.build / "avocado").glob("plan-*"))
