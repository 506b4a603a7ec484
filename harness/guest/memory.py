"""Measure the memory that is available for a guest, and the memory of a guest."""

import contextlib
import os
from pathlib import Path

from harness.guest.model import LINUX, TB_MIB
from harness.machine import find, number_in, text_of

MIB = 1024 * 1024
SLACK_MIB = 400
"""Memory needed in addition to the guest's: for QEMU, the files that it reads, and the harness."""


def needed_mib(memory_mib: int, payload: str = "paused", accel: str = "tcg") -> int:
    """Return the MiB that must be available to start a guest of ``memory_mib``.

    This includes SLACK_MIB and the page tables, which take 2 MiB for each GiB. A guest that runs also needs,
    under KVM, a second set of page tables (of the same size for 4 KiB pages) or, under TCG, the buffer for
    translated code.
    """
    tables = memory_mib // 512
    running = 0
    if payload in LINUX:
        running = tables if accel == "kvm" else TB_MIB
    return memory_mib + tables + running + SLACK_MIB


def available_mib(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the MiB available without swapping: MemAvailable (proc(5)), or the limit of a cgroup."""
    free = number_in(proc / "meminfo", r"^MemAvailable:\s*(\d+)") * 1024
    return min([free, *_cgroup_rooms(proc, cgroups)]) // MIB


def memory_shortage(
    memory_mib: int, payload: str = "paused", accel: str = "tcg", *, available: int | None = None
) -> str | None:
    """Return why there is too little memory for a guest of ``memory_mib``, or None if there is enough."""
    room = available_mib() if available is None else available
    needed = needed_mib(memory_mib, payload, accel)
    return None if needed <= room else f"needs {needed} MiB of memory, {room} MiB are available"


def resident_mib(pid: int, proc: Path = Path("/proc")) -> int:
    """Return the MiB of physical memory that the process maps (statm, proc(5)); 0 if it has ended.

    smaps_rollup would be exact, but walks 4 million page table entries for 16 GiB, which takes longer than
    some of the measured teardowns.
    """
    return number_in(proc / str(pid) / "statm", r"^\d+ (\d+)") * os.sysconf("SC_PAGE_SIZE") // MIB


def hugetlb_mib(pid: int, proc: Path = Path("/proc")) -> int:
    """Return the MiB of reserved huge pages that the process maps (HugetlbPages, proc(5)).

    No other counter includes them.
    """
    return number_in(proc / str(pid) / "status", r"^HugetlbPages:\s*(\d+) kB$") // 1024


def mapped_mib(pid: int, memory_mib: int, proc: Path = Path("/proc")) -> int:
    """Return the resident MiB of the guest's memory: of mappings of at least that size, the maximum.

    The value is from smaps (proc(5)). It is exact and does not include other memory of QEMU, but the kernel
    walks the page tables to compute it. It is 0 if the process has ended.
    """
    most = size = 0
    with contextlib.suppress(OSError), (proc / str(pid) / "smaps").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("Size:"):
                size = int(line.split()[1]) // 1024
            elif line.startswith("Rss:") and size >= memory_mib:
                most = max(most, int(line.split()[1]) // 1024)
    return most


def swapped_out_mib(proc: Path = Path("/proc")) -> int:
    """Return the MiB that the machine has written to swap since boot (vmstat, proc(5)); 0 without swap."""
    return number_in(proc / "vmstat", r"^pswpout (\d+)$") * os.sysconf("SC_PAGE_SIZE") // MIB


def huge_pages_off(pid: int, proc: Path = Path("/proc")) -> bool | None:
    """Return whether transparent huge pages are disabled for the process (THP_enabled, Linux 5.0).

    None means unknown.
    """
    enabled = find(r"^THP_enabled:\s*(\d)", text_of(proc / str(pid) / "status"))
    return enabled == "0" if enabled else None


def _cgroup_rooms(proc: Path, cgroups: Path) -> list[int]:
    """Return the available bytes of each limited cgroup above this process, v1 and v2 (cgroups(7))."""
    rooms: list[int] = []
    for line in text_of(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = cgroups / "memory"
        else:
            continue
        folder = top / path.strip("/")
        while True:
            room = _room(folder, *names)
            if room is not None:
                rooms.append(room)
            if folder in (top, folder.parent):
                break
            folder = folder.parent
    return rooms


def _room(folder: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Return limit minus usage; file pages that the kernel can drop do not count as used."""
    try:
        limit = int((folder / limit_name).read_text(encoding="ascii"))
        usage = int((folder / usage_name).read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
    if limit >= 1 << 62:  # no limit in v1
        return None
    droppable = dict(line.split() for line in stat.splitlines() if len(line.split()) == 2).get(
        cache_name, "0"
    )
    return max(0, limit - usage + int(droppable))
