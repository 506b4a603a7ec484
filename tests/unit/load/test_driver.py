"""The driver with a fake QEMU: ends are counted, failures are detected, and no process remains."""

import msgspec
import pytest

from harness.load.model import LoadJob, LoadPlan, LoadRow, Remains
from tests.unit.cycles.support import drive, make_job

pytestmark = pytest.mark.slow


def run_load(folder, mode, *, guests, seconds=0.0, restarts=0, wait="none"):
    """Return rows and remains of a load with a fake QEMU in ``mode``."""
    lanes = min(2, guests)
    plan = LoadPlan(
        kind="restart" if restarts else "crowd",
        guests=guests,
        memory_mib=1,
        backend="ram",
        seconds=seconds,
        restarts=restarts,
        wait=wait,
        slices=1,
    )
    job = make_job(folder, mode, lanes=lanes)
    load = LoadJob(job=job, plan=plan, accel="tcg", seconds=seconds, restarts=restarts, seed="1")
    lines = drive("harness.load.driver", folder, load)
    rows = [msgspec.json.decode(line, type=LoadRow) for line in lines if b'"trigger"' in line]
    remains = [msgspec.json.decode(line, type=Remains) for line in lines if b'"starts"' in line]
    assert len(remains) == lanes
    return rows, remains


def test_crowd_is_ended_at_random_and_leaves_nothing(tmp_path):
    rows, remains = run_load(tmp_path, "helper:4000000", guests=4, seconds=2.0, wait="room")
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
    rows, _ = run_load(tmp_path, "helper:1500000", guests=1, restarts=2, wait=wait)
    restarted = [row for row in rows if row.restart_s]
    assert len(restarted) == 2
    for row in restarted:
        assert row.reclaim_s
        assert row.restart_s
        assert (row.restart_s > row.reclaim_s) == (wait == "memory")
        assert (row.waited_s > 0.5) == (wait == "memory")


def test_failed_starts_and_missing_helpers_are_failures(tmp_path):
    rows, _ = run_load(tmp_path, "crash", guests=1, restarts=1)
    assert rows
    assert all(row.failure for row in rows)
