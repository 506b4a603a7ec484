"""The driver with a fake QEMU: ends are counted, failures are detected, and no process remains."""

import subprocess
import sys

import msgspec
import pytest

from harness.cycles.model import DriverJob
from harness.load.model import LoadJob, LoadPlan, LoadRow, Remains
from tests.unit.defaults import ROOT
from tests.unit.guest.support import fake_binary
from tests.unit.programs import running

pytestmark = pytest.mark.slow


def drive(folder, mode, *, guests, seconds=0.0, restarts=0, wait="none"):
    """Return rows and remains of a load with a fake QEMU in ``mode``."""
    lanes = min(2, guests)
    load = LoadJob(
        job=DriverJob(
            variant="fake",
            binaries=(("x86_64-softmmu", str(fake_binary(folder)), ()),),
            options=("-fake", mode),
            cycles=(),
            lanes=lanes,
            limit_s=10.0,
            folder=str(folder / "load"),
        ),
        plan=LoadPlan(
            kind="restart" if restarts else "crowd",
            guests=guests,
            memory_mib=1,
            backend="ram",
            seconds=seconds,
            restarts=restarts,
            wait=wait,
            slices=1,
        ),
        accel="tcg",
        seconds=seconds,
        restarts=restarts,
        seed="1",
    )
    (folder / "load").mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(load))
    words = [sys.executable, "-m", "harness.load.driver", str(folder / "job.json")]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=60, check=True)
    lines = ended.stdout.splitlines()
    rows = [msgspec.json.decode(line, type=LoadRow) for line in lines if b'"trigger"' in line]
    remains = [msgspec.json.decode(line, type=Remains) for line in lines if b'"starts"' in line]
    assert len(remains) == lanes
    assert not running(str(folder))
    return rows, remains


def test_crowd_is_ended_at_random_and_leaves_nothing(tmp_path):
    rows, remains = drive(tmp_path, "helper:4000000", guests=4, seconds=2.0, wait="room")
    assert not [row.failure for row in rows if row.failure]
    assert len({row.trigger for row in rows}) > 1
    assert all(row.exit_s and row.reclaim_s and row.helpers == 1 for row in rows)
    assert any(row.restart_s for row in rows)
    assert sum(each.starts for each in remains) == len(rows)  # each guest was ended once
    for each in remains:
        assert not each.left
        assert not each.zombies
        assert each.fds_after == each.fds_before


@pytest.mark.parametrize("wait", ["none", "memory"])
def test_restart_waits_for_the_helper_only_if_requested(tmp_path, wait):
    rows, _ = drive(tmp_path, "helper:1500000", guests=1, restarts=2, wait=wait)
    restarted = [row for row in rows if row.restart_s]
    assert len(restarted) == 2
    for row in restarted:
        assert row.reclaim_s
        assert row.restart_s
        assert (row.restart_s > row.reclaim_s) == (wait == "memory")
        assert (row.waited_s > 0.5) == (wait == "memory")


def test_failed_starts_and_missing_helpers_are_failures(tmp_path):
    rows, _ = drive(tmp_path, "crash", guests=1, restarts=1)
    assert rows
    assert all(row.failure for row in rows)
