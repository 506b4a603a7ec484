import os

import pytest

from harness.guest.memory import (
    available_mib,
    huge_pages_off,
    mapped_mib,
    memory_shortage,
    needed_mib,
    resident_mib,
    swapped_out_mib,
)


@pytest.fixture
def machine(tmp_path):
    """Fake /proc and /sys/fs/cgroup with 8,000 MiB available and no limit."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroups.mkdir()
    (proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {8000 * 1024} kB\n")
    (proc / "self" / "cgroup").write_text("0::/user/shell\n")
    return proc, cgroups


def limit(folder, names, limit_mib, usage_mib, cache_mib):
    folder.mkdir(parents=True, exist_ok=True)
    for name, mib in zip(names[:2], (limit_mib, usage_mib), strict=True):
        (folder / name).write_text(f"{mib * 1024 * 1024}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cache_mib * 1024 * 1024}\n")


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.mark.parametrize(
    ("cgroups", "limits", "available"),
    [
        ("0::/user/shell\n", {}, 8000),
        ("0::/user/shell\n", {"user": (V2, 3000, 1500, 500), "user/shell": (V2, 5000, 100, 0)}, 2000),
        ("4:cpu:/\n5:memory,hugetlb:/job\n", {"memory/job": (V1, 1000, 400, 100)}, 700),
    ],
    ids=["no limit", "tightest", "version 1"],
)
def test_cgroups_limit_available_memory(machine, cgroups, limits, available):
    proc, top = machine
    (proc / "self" / "cgroup").write_text(cgroups)
    for folder, figures in limits.items():
        limit(top / folder, *figures)
    assert available_mib(*machine) == available


def test_value_max_is_no_limit(machine):
    _, cgroups = machine
    limit(cgroups / "user", V2, 1, 0, 0)
    (cgroups / "user" / "memory.max").write_text("max\n")
    assert available_mib(*machine) == 8000


def test_huge_value_is_no_limit_in_cgroup_v1(machine):
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("5:memory:/\n")
    limit(cgroups / "memory", V1, 1, 0, 0)
    (cgroups / "memory" / V1[0]).write_text("9223372036854771712\n")
    assert available_mib(*machine) == 8000


def test_memory_shortage_reports_needed_and_available_memory():
    assert memory_shortage(1024, available=needed_mib(1024)) is None
    assert (
        memory_shortage(1024, available=1024)
        == f"needs {needed_mib(1024)} MiB of memory, 1024 MiB are available"
    )


def test_resident_memory_is_zero_without_a_process():
    assert 5 < resident_mib(os.getpid()) < 100000
    assert resident_mib(2**22 + 1) == 0


def test_huge_pages_flag_is_parsed(tmp_path):
    (tmp_path / "7").mkdir()
    for text, expected in (("THP_enabled:\t0\n", True), ("THP_enabled:\t1\n", False), ("Name:\tx\n", None)):
        (tmp_path / "7" / "status").write_text(text)
        assert huge_pages_off(7, tmp_path) is expected


def test_guest_that_runs_needs_more_memory():
    plain = needed_mib(8192)
    assert needed_mib(8192, "linux", "tcg") == plain + 128
    assert needed_mib(8192, "linux", "kvm") == plain + 16
    assert needed_mib(8192, "paused", "kvm") == plain


def test_largest_mapping_that_is_large_enough_is_used(tmp_path):
    (tmp_path / "7").mkdir()
    mappings = ((4096, 4000), (262144, 200000), (262144, 250880), (128, 128))
    text = "".join(f"7f-80 rw-p\nSize: {size:>9} kB\nRss: {rss:>9} kB\nPss: 1 kB\n" for size, rss in mappings)
    (tmp_path / "7" / "smaps").write_text(text)
    assert mapped_mib(7, 256, tmp_path) == 245
    assert mapped_mib(7, 512, tmp_path) == 0
    assert mapped_mib(8, 1, tmp_path) == 0


def test_swapped_memory_is_read_from_vmstat(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\npswpin 3\npswpout 512\n")
    assert swapped_out_mib(tmp_path) == 512 * os.sysconf("SC_PAGE_SIZE") // 2**20
    (tmp_path / "vmstat").write_text("nr_free_pages 1\n")
    assert swapped_out_mib(tmp_path) == 0
