"""The driver with a fake QEMU: failures are detected, and no process remains."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.cycles.model import CycleRow, DriverJob
from tests.unit.cycles.support import make_cycle
from tests.unit.defaults import ROOT
from tests.unit.guest.support import fake_binary
from tests.unit.programs import running

pytestmark = pytest.mark.slow


def drive(folder, mode, *cycles):
    """Return the rows of ``cycles`` by number, with a fake QEMU in ``mode``."""
    job = DriverJob(
        variant="fake",
        binaries=(("x86_64-softmmu", str(fake_binary(folder)), ()),),
        options=("-fake", mode),
        cycles=cycles,
        lanes=2,
        limit_s=10.0,
        folder=str(folder / "cycles"),
    )
    (folder / "cycles").mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    words = [sys.executable, "-m", "harness.cycles.driver", str(folder / "job.json")]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=60, check=True)
    rows = [msgspec.json.decode(line, type=CycleRow) for line in ended.stdout.splitlines()]
    assert not running(str(folder))
    return sorted(rows, key=lambda row: row.cycle.number)


def test_helpers_that_end_in_time_pass_and_unreaped_ones_fail(tmp_path):
    rows = drive(
        tmp_path,
        "helper:400000",
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
    (row,) = drive(tmp_path, "crash", make_cycle())
    assert row.reasons == ("no process shares QEMU's memory", "qemu: SIGSEGV")
