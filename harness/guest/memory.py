"""How much memory there is for a guest, and how much a guest holds."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from harness.guest.model import LINUX, TB_MIB

MIB = 1024 * 1024
SLACK_MIB = 400
"""What a guest needs beside its memory: QEMU itself, the files it reads, and room for the harness."""


def needed_mib(memory_mib: int, payload: str = "paused", accel: str = "tcg") -> int:
    """What has to be free to start a guest of ``memory_mib``.

    Beside SLACK_MIB: page tables, 2 MiB a GiB. A guest that runs has a second set of them under KVM (as
    large, for pages of 4 KiB), and under TCG the buffer for translated code.
    """
    tables = memory_mib // 512
    running = 0
    if payload in LINUX:
        running = tables if accel == "kvm" else TB_MIB
    return memory_mib + tables + running + SLACK_MIB


def available_mib(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """MiB that can be used without swapping: MemAvailable (proc(5)), or less where a cgroup limits us."""
    meminfo = (proc / "meminfo").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limits = _cgroup_rooms(proc, cgroups)
    return min([free, *limits]) // MIB


def memory_shortage(
    memory_mib: int, payload: str = "paused", accel: str = "tcg", *, available: int | None = None
) -> str | None:
    """The reason why a guest of ``memory_mib`` cannot be started now, or None when it fits."""
    room = available_mib() if available is None else available
    needed = needed_mib(memory_mib, payload, accel)
    return None if needed <= room else f"needs {needed} MiB of memory, {room} MiB are available"


def resident_mib(pid: int, proc: Path = Path("/proc")) -> int:
    """MiB of physical memory that the process maps (statm, proc(5)); 0 when it has gone.

    smaps_rollup would be exact, yet walks 4 million page table entries at 16 GiB, which costs more than
    some of the teardowns we time.
    """
    try:
        pages = int((proc / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // MIB


def hugetlb_mib(pid: int, proc: Path = Path("/proc")) -> int:
    """MiB of reserved huge pages that the process maps (HugetlbPages, proc(5)): no other figure has them."""
    try:
        status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^HugetlbPages:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def mapped_mib(pid: int, memory_mib: int, proc: Path = Path("/proc")) -> int:
    """MiB of the guest's memory that are resident: of mappings as large as that, the one that holds most.

    From smaps (proc(5)), exact, without what else QEMU holds; the kernel walks its page tables for it. 0 when
    the process has gone.
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
    """MiB that the machine has written to swap since it was started (vmstat, proc(5))."""
    try:
        counters = dict(line.split() for line in (proc / "vmstat").read_text(encoding="ascii").splitlines())
        return int(counters["pswpout"]) * os.sysconf("SC_PAGE_SIZE") // MIB
    except (OSError, ValueError, KeyError):  # a kernel without swap
        return 0


def huge_pages_off(pid: int, proc: Path = Path("/proc")) -> bool | None:
    """Whether transparent huge pages are off for the process (THP_enabled, Linux 5.0); None: unknown."""
    try:
        status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("THP_enabled:"):
            return line.split()[1] == "0"
    return None


def _cgroup_rooms(proc: Path, cgroups: Path) -> list[int]:
    """Bytes that each limiting cgroup above us leaves, v1 and v2 (cgroups(7), memory controller)."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    rooms: list[int] = []
    for line in lines:
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
    """Limit less usage, where file pages that can be dropped do not count as used."""
    try:
        limit = int((folder / limit_name).read_text(encoding="ascii"))
        usage = int((folder / usage_name).read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):  # not there, or "max": no limit
        return None
    if limit >= 1 << 62:  # v1's way to say: no limit
        return None
    droppable = dict(line.split() for line in stat.splitlines() if len(line.split()) == 2).get(
        cache_name, "0"
    )
    return max(0, limit - usage + int(droppable))
