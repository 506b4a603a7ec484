"""The driver with a fake QEMU: failures are detected, and no process remains."""

from pathlib import Path

import msgspec
import pytest

from harness.cycles.model import CycleRow
from tests.unit.cycles.support import drive, make_cycle, make_job

pytestmark = pytest.mark.slow


def run_cycles(folder, mode, *cycles):
    """Return the rows of ``cycles`` by number, with a fake QEMU in ``mode``."""
    lines = drive("harness.cycles.driver", folder, make_job(folder, mode, *cycles))
    rows = [msgspec.json.decode(line, type=CycleRow) for line in lines]
    return sorted(rows, key=lambda row: row.cycle.number)


def test_helpers_that_end_in_time_pass_and_unreaped_ones_fail(tmp_path):
    rows = run_cycles(
        tmp_path,
        "helper:1500000",
        make_cycle(number=1),
        make_cycle(number=2, trigger="sigkill", scope="group"),
        make_cycle(number=3, helper="killed"),
        make_cycle(number=4, trigger="quit", helper="stopped"),
        make_cycle(number=5, life="start", trigger="sigkill"),
    )
    assert [row.outcome for row in rows] == ["pass", "pass", "fail", "pass", "pass"]
    assert [row.helpers for row in rows] == [1, 1, 1, 1, 0]
    (reason,) = rows[2].reasons
    assert reason.startswith("zombie while QEMU was running: helper")
    assert Path(rows[2].kept, "qemu.log").is_file()
    assert not rows[0].kept


def test_crash_and_missing_helper_are_detected(tmp_path):
    (row,) = run_cycles(tmp_path, "crash", make_cycle())
    assert row.reasons == ("no process shares QEMU's memory", "qemu: SIGSEGV")
