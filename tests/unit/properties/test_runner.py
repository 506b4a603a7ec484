from pathlib import Path

import msgspec
import pytest

from harness.errors import PropertyError
from harness.guest.firmware import Firmware
from harness.job import JobEvent
from harness.properties import runner
from harness.properties.model import Part

from ..bench.support import make_bench
from ..fake_avocado import replace_job
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


def go(layout, monkeypatch, *events):
    """Return the rows of a run in which avocado reports ``events``."""
    replace_job(monkeypatch, lambda _: [msgspec.json.encode(event).decode() for event in events])
    received = []
    runner.run_properties(make_bench(layout, options(), BINARIES), (1,), emulated={}, on_row=received.append)
    return received


def test_rows_are_read_from_whiteboards(layout, monkeypatch):
    made = [make_row(1, "base", "fail", "fail"), make_row(1, "patched")]
    boards = [msgspec.json.encode(row).decode() for row in made]
    events = [JobEvent(index=at, status="PASS", whiteboard=board) for at, board in enumerate(boards, 1)]
    assert go(layout, monkeypatch, *events) == made


def test_row_without_a_result_fails_unexpectedly(layout, monkeypatch):
    rows = go(layout, monkeypatch, JobEvent(index=1, status="INTERRUPTED", reason="Timeout\nreached"))
    assert [row.outcome for row in rows] == ["fail", "fail"]
    assert rows[0].reason == "the test ended with INTERRUPTED and no result: Timeout reached"
    assert rows[1].reason == "avocado reported no result for it"
    assert all(row.is_surprise for row in rows)


def test_avocado_without_a_test_is_an_error(layout, monkeypatch):
    with pytest.raises(PropertyError, match="ran no test") as caught:
        go(layout, monkeypatch)
    assert caught.value.details == ("avocado crashed",)
