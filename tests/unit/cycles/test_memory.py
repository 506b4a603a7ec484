"""The memory meter and its cgroup."""

import errno
from pathlib import Path

import pytest

from harness.cycles import memory
from harness.cycles.memory import PREFIX, GroupMeter, held_mib, peak_mib
from harness.guest.group import make_group as make_cgroup
from harness.guest.group import remove_group

MIB = 1024 * 1024


def make_group(folder, held, peak):
    folder.mkdir(exist_ok=True)
    (folder / "memory.stat").write_text(f"anon {held * MIB}\nfile 999999999\nshmem {MIB}\n")
    (folder / "memory.peak").write_text(f"{peak * MIB}\n")
    return folder


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    monkeypatch.setattr(memory, "_median_available_mib", lambda: 20000.0)


def test_cgroups_of_both_versions_are_read(tmp_path):
    group = make_group(tmp_path / "group", 64, 300)
    assert (held_mib(group), peak_mib(group)) == (65.0, 300.0)
    (group / "memory.stat").write_text(f"cache 5\nrss {2 * MIB}\nshmem 0\n")
    (group / "memory.peak").unlink()
    (group / "memory.max_usage_in_bytes").write_text(f"{7 * MIB}\n")
    assert (held_mib(group), peak_mib(group)) == (2.0, 7.0)


def test_memory_that_remains_in_a_cgroup_is_a_leak(tmp_path):
    meter = GroupMeter(make_group(tmp_path / "group", 0, 0))
    make_group(tmp_path / "group", 256, 600)
    verdict = meter.verdict("patched")
    assert (verdict.source, verdict.lost_mib, verdict.leaked) == ("cgroup", 256.0, True)


def test_cgroup_that_never_held_a_guest_is_not_used(tmp_path):
    meter = GroupMeter(make_group(tmp_path / "group", 0, 3))
    assert meter.verdict("patched").source == "MemAvailable"


def test_without_a_cgroup_free_memory_is_compared(monkeypatch):
    meter = GroupMeter(None)
    monkeypatch.setattr(memory, "SETTLE_S", 0.0)
    monkeypatch.setattr(memory, "_median_available_mib", lambda: 19744.0)
    assert meter.verdict("patched").leaked


def test_cgroups_of_ended_processes_are_removed(tmp_path):
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("4:memory:/ours\n1:cpu:/\n")
    (top / "memory" / "ours").mkdir(parents=True)
    (proc / "41").mkdir()
    for pid in (41, 42):
        (top / "memory" / "ours" / f"qemu-harness-cycles-{pid}").mkdir()
    # The folder has no memory.stat, so it is not a cgroup, and is removed.
    with make_cgroup(PREFIX, proc, top) as group:
        assert group is None
    # The cgroup of a running process remains.
    assert [path.name for path in (top / "memory" / "ours").iterdir()] == ["qemu-harness-cycles-41"]


def test_cgroup_is_removed_with_its_children(tmp_path):
    (tmp_path / "group" / "machine" / "domain").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    remove_group(tmp_path / "group")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_removal_of_a_busy_cgroup_is_retried(tmp_path, monkeypatch):
    group, real, tries = tmp_path / "group", Path.rmdir, []
    group.mkdir()

    def rmdir(path):
        tries.append(path)
        if len(tries) < 3:
            raise OSError(errno.EBUSY, "Device or resource busy")
        real(path)

    monkeypatch.setattr(Path, "rmdir", rmdir)
    remove_group(group)
    assert not group.exists()
    group.mkdir()
    monkeypatch.setattr("harness.guest.group.BUSY_S", 0.1)
    monkeypatch.setattr(Path, "rmdir", lambda path: (_ for _ in ()).throw(OSError(errno.EBUSY, "busy")))
    remove_group(group)
    assert group.exists()
