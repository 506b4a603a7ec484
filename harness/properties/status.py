"""Facts about a process from the kernel: identity, confinement, descriptors, stack."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path

import psutil

KCMP_FILE = 0  # linux/kcmp.h
_SYS_KCMP = {"x86_64": 312, "s390x": 343, "aarch64": 272, "ppc64le": 354, "riscv64": 272}
AT_MINSIGSTKSZ = 51  # linux/auxvec.h
CONFINEMENT = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")


def fields(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status with normalized blanks (proc(5)). Raises ProcessLookupError."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} has ended") from error
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in pairs}


def confinement(pid: int) -> dict[str, str]:
    """Return ids, capabilities, no_new_privs, root directory. Raises ProcessLookupError, PermissionError."""
    status = fields(pid)
    # Not readlink, because two different root directories may have the same path.
    root = Path(f"/proc/{pid}/root/.").stat()
    return {name: status.get(name, "") for name in CONFINEMENT} | {"root": f"{root.st_dev}:{root.st_ino}"}


def differences(pid: int, other: int) -> tuple[str, ...]:
    """Describe the differences of the confinement of ``other`` from that of ``pid``."""
    mine, its = confinement(pid), confinement(other)
    return tuple(f"{name} {its[name]} instead of {mine[name]}" for name in mine if mine[name] != its[name])


def zombies_below(pid: int) -> tuple[int, ...]:
    """Return the children of ``pid`` that have ended and were not reaped."""
    return tuple(
        child.pid for child in psutil.Process(pid).children() if child.status() == psutil.STATUS_ZOMBIE
    )


def session_of(pid: int) -> int:
    """Return the session of a process. Raises ProcessLookupError."""
    return os.getsid(pid)


def shared_descriptors(pid: int, other: int) -> tuple[int, ...]:
    """Return the descriptors of ``other`` that are the same open file as one of ``pid`` (kcmp(2), KCMP_FILE).

    Without kcmp, return those with the same link in /proc/PID/fd.
    """
    mine, its = _descriptors(pid), _descriptors(other)
    shared = []
    for number, link in its.items():
        for candidate, name in mine.items():
            same = _same_file(pid, other, candidate, number)
            if same or (same is None and name == link and not link.startswith("anon_inode:[pidfd]")):
                shared.append(number)
                break
    return tuple(sorted(shared))


def _descriptors(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:
            continue
    return found


def _same_file(pid: int, other: int, mine: int, its: int) -> bool | None:
    number = _SYS_KCMP.get(platform.machine())
    if number is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    answer = int(
        libc.syscall(*(ctypes.c_long(value) for value in (number, pid, other, KCMP_FILE, mine, its)))
    )
    return answer == 0 if answer >= 0 else None


def stack_pointer(pid: int) -> int | None:
    """Return the stack pointer of a sleeping process (/proc/PID/syscall, proc(5)); None if not available."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(words[-2], 16) if len(words) >= 3 else None


def stack_of(maps: str, pointer: int) -> tuple[int, bool]:
    """Measure the stack that contains ``pointer``, from the text of /proc/PID/maps.

    Returns the bytes from the start of its mapping to ``pointer``, rounded up to pages, and whether a page
    without access is directly below the mapping.
    """
    previous_end, previous_access = -1, ""
    for line in maps.splitlines():
        span, access = line.split()[:2]
        low, high = (int(part, 16) for part in span.split("-"))
        if low <= pointer < high:
            size = -(-(pointer - low) // os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PAGE_SIZE")
            return size, previous_end == low and previous_access.startswith("---")
        previous_end, previous_access = high, access
    return 0, False


def signal_stack_size() -> int:
    """Return the stack size for a signal handler: four times the kernel's frame (glibc's SIGSTKSZ)."""
    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong
    libc.getauxval.argtypes = (ctypes.c_ulong,)
    return 4 * (int(libc.getauxval(AT_MINSIGSTKSZ)) or 2048)
