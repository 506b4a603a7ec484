"""Facts about a process from the kernel: identity, confinement, descriptors, stack."""

import ctypes
import errno
import os
from collections.abc import Collection
from pathlib import Path

import psutil

from harness.machine import text_of
from harness.teardown.watch import kcmp

KCMP_FILE = 0  # linux/kcmp.h
MANY = 500
"""With more descriptors, only those with the same link are compared."""
AT_MINSIGSTKSZ = 51  # linux/auxvec.h
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CONFINEMENT = ("Uid", "Gid", "Groups", *CAPABILITIES, "NoNewPrivs", "Seccomp", "Umask")


def fields(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status with normalized blanks (proc(5)). Raises ProcessLookupError."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} has ended") from error
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in pairs}


def confinement(pid: int) -> dict[str, str]:
    """Return all that confines a process: ids, capabilities, no_new_privs, mode of the system call filter,
    umask, root directory, namespaces, control groups, limits and security label.

    Raises ProcessLookupError, PermissionError.
    """
    status, folder = fields(pid), Path(f"/proc/{pid}")
    found = {name: status.get(name, "") for name in CONFINEMENT}
    # Not readlink, because two different root directories may have the same path.
    root = (folder / "root" / ".").stat()
    found["root"] = f"{root.st_dev}:{root.st_ino}"
    for space in sorted((folder / "ns").iterdir()):
        found[f"namespace {space.name}"] = str(space.readlink())
    found["control groups"] = _text(folder / "cgroup")
    found["score for the OOM killer"] = _text(folder / "oom_score_adj")
    found["security label"] = _text(folder / "attr" / "current")
    for line in _text(folder / "limits").splitlines()[1:]:
        found[line[:26].strip()] = " ".join(line[26:].split())
    return found


def _text(path: Path) -> str:
    """Return the text of a file below /proc; empty without the file or a security module."""
    return text_of(path).strip("\0\n")


def differences(
    mine: dict[str, str], its: dict[str, str], *, besides: Collection[str] = ()
) -> tuple[str, ...]:
    """Describe where ``its`` confinement differs from ``mine``, except for the names ``besides``."""
    return tuple(
        f"{name} {its.get(name) or 'none'} instead of {mine.get(name) or 'none'}"
        for name in mine | its
        if mine.get(name) != its.get(name) and name not in besides
    )


def unfiltered_threads(pid: int) -> int:
    """Return how many threads of a process are under no system call filter (proc(5), Seccomp)."""
    return sum(fields(int(task.name)).get("Seccomp") != "2" for task in Path(f"/proc/{pid}/task").iterdir())


def zombies_below(pid: int) -> tuple[int, ...]:
    """Return the children of ``pid`` that have ended and were not reaped."""
    return tuple(
        child.pid for child in psutil.Process(pid).children() if child.status() == psutil.STATUS_ZOMBIE
    )


def shared_descriptors(pid: int, other: int, *, most: int = 9) -> tuple[int, ...]:
    """Return descriptors of ``other`` that are the same open file as one of ``pid`` (kcmp(2), KCMP_FILE), at
    most ``most`` of them.

    Without kcmp, return those with the same link in /proc/PID/fd.
    """
    mine, its = _descriptors(pid), _descriptors(other)
    shared: list[int] = []
    for number, link in sorted(its.items()):
        # Those with the same number first: inherited ones, of which there may be thousands.
        for candidate in sorted(mine, key=lambda each: each != number):
            if len(mine) > MANY and mine[candidate] != link:
                continue
            same = _same_file(pid, other, candidate, number)
            unknown = same is None and mine[candidate] == link and not link.startswith("anon_inode:[pidfd]")
            if same or unknown:
                shared.append(number)
                break
        if len(shared) == most:
            break
    return tuple(shared)


def open_paths(pid: int) -> tuple[str, ...]:
    """Return the files and folders that a process has open; sockets, pipes and pidfds are neither."""
    return tuple(link for link in _descriptors(pid).values() if link.startswith("/"))


def _descriptors(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:
            continue
    return found


def _same_file(pid: int, other: int, mine: int, its: int) -> bool | None:
    answer = kcmp(pid, other, KCMP_FILE, mine, its)
    return answer == 0 if answer >= 0 else None


def sleeping_registers(pid: int) -> tuple[int, int] | None:
    """Return the stack pointer and the address of the instruction of a sleeping process (/proc/PID/syscall,
    proc(5)); None if not available."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
    except OSError:
        return None
    return (int(words[-2], 16), int(words[-1], 16)) if len(words) >= 3 else None


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
