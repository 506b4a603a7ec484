from pathlib import Path

import msgspec
import pytest

from harness import job as jobs
from harness.errors import PropertyError
from harness.guest import Firmware
from harness.job import JobEvent, JobPlan
from harness.layout import Layout
from harness.process import Finished
from harness.properties import runner
from harness.properties.model import Part

from ..bench.support import make_bench
from ..teardown.test_scenario import options
from .support import make_binary, make_row

BINARIES = (make_binary("base", words=()), make_binary("patched"))


def test_plan_is_ordered_by_row_and_base_is_the_reference():
    tasks = runner.plan(
        options(memory_mib=(256, 4096)), BINARIES, (1, 3), Firmware(folders=(Path("/f"),)), {}
    )
    assert [(task.row, task.binary.variant) for task in tasks] == [
        (1, "base"),
        (1, "patched"),
        (3, "base"),
        (3, "patched"),
    ]
    assert {task.reference.variant for task in tasks} == {"base"}
    assert tasks[0].memory_mib == 16384
    smaller = options(memory_mib=(256, 4096), given=("-Dmemory=256M,4G",))
    assert runner.plan(smaller, BINARIES, (1,), Firmware(folders=()), {})[0].memory_mib == 4096
    assert tasks[3].name == "row03-patched-x86_64"
    other = runner.plan(options(), (make_binary(target="s390x-softmmu"),), (1,), Firmware(folders=()), {})
    assert other[0].reference is None


def test_results_of_emulated_hosts_are_passed_to_their_row_and_variant():
    found = (Part(name="s390x: clone", outcome="pass"),)
    tasks = runner.plan(options(), BINARIES, (14, 15), Firmware(folders=()), {"patched": found})
    assert [task.emulated for task in tasks] == [(), (), (), found]


def go(monkeypatch, tmp_path, answer):
    def run_job(layout, home, file, on_line):
        for item in msgspec.json.decode(file.read_bytes(), type=JobPlan).items:
            event = answer(item)
            if event is not None:
                on_line(msgspec.json.encode(event).decode())
        return Finished(argv=("x",), returncode=8, output="avocado crashed\n", duration_s=0.0)

    monkeypatch.setattr(jobs, "_run_job", run_job)
    layout = Layout(root=tmp_path, build=tmp_path / "b", trees=tmp_path / "t", cache=tmp_path / "c")
    received = []
    runner.run_properties(make_bench(layout, options(), BINARIES), (1,), emulated={}, on_row=received.append)
    return received


def test_rows_are_read_from_whiteboards(monkeypatch, tmp_path):
    made = {1: make_row(1, "base", "fail", "fail"), 2: make_row(1, "patched")}

    def answer(item):
        board = msgspec.json.encode(made[item.index]).decode()
        return JobEvent(index=item.index, status="PASS", whiteboard=board, reason="")

    assert go(monkeypatch, tmp_path, answer) == list(made.values())


def test_row_without_a_result_fails_unexpectedly(monkeypatch, tmp_path):
    def answer(item):
        if item.index == 2:
            return None
        return JobEvent(index=1, status="INTERRUPTED", whiteboard="", reason="Timeout\nreached")

    rows = go(monkeypatch, tmp_path, answer)
    assert [row.outcome for row in rows] == ["fail", "fail"]
    assert rows[0].reason == "the test ended with INTERRUPTED and no result: Timeout reached"
    assert rows[1].reason == "avocado reported no result for it"
    assert all(row.is_surprise for row in rows)


def test_avocado_without_a_test_is_an_error(monkeypatch, tmp_path):
    with pytest.raises(PropertyError, match="ran no test") as caught:
        go(monkeypatch, tmp_path, lambda _: None)
    assert caught.value.details == ("avocado crashed",)
