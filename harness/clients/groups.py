"""A cgroup of version 2, used as by a service manager: without controllers, only cgroup.events."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.machine import find, text_of

EMPTY_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """A cgroup. ``events`` is the open cgroup.events; a change gives POLLPRI (cgroup-v2, "populated")."""

    folder: Path
    events: int

    def add(self, pid: int) -> None:
        """Move a process into the cgroup."""
        (self.folder / "cgroup.procs").write_text(f"{pid}\n", encoding="ascii")

    def members(self) -> tuple[int, ...]:
        """Return its processes without zombies."""
        return tuple(map(int, (self.folder / "cgroup.procs").read_text(encoding="ascii").split()))

    def is_empty(self) -> bool:
        """Return whether no process remains. This also arms the next POLLPRI."""
        return b"populated 0" in os.pread(self.events, 4096, 0)

    def terminate(self) -> None:
        """Send SIGTERM to each process, as KillMode=control-group of systemd.kill(5)."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to all processes at once (cgroup.kill, Linux 5.14)."""
        try:
            (self.folder / "cgroup.kill").write_text("1\n", encoding="ascii")
        except FileNotFoundError:
            for pid in self.members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def unified_mount(mounts: str) -> Path | None:
    """Return the mount point of cgroup version 2 from the text of /proc/self/mounts."""
    for line in mounts.splitlines():
        words = line.split()
        if words[2:3] == ["cgroup2"]:
            return Path(words[1])
    return None


@contextlib.contextmanager
def unified_group(prefix: str, proc: Path = Path("/proc/self")) -> Iterator[Group | None]:
    """Create a cgroup below our own, named ``prefix`` and our pid. Empty and remove it afterwards.

    Yields None if it cannot be created.
    """
    with contextlib.ExitStack() as stack:
        yield _make(stack, prefix, proc)


def _make(stack: contextlib.ExitStack, prefix: str, proc: Path) -> Group | None:
    top, own = unified_mount(text_of(proc / "mounts")), find(r"^0::(.+)", text_of(proc / "cgroup"))
    if top is None or not own:
        return None
    parent = top / own.strip("/")
    for stale in parent.glob(f"{prefix}*"):  # of killed runs; rmdir fails for those in use
        with contextlib.suppress(OSError):
            stale.rmdir()
    folder = parent / f"{prefix}{os.getpid()}"
    try:
        folder.mkdir()
        events = os.open(folder / "cgroup.events", os.O_RDONLY)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    group = Group(folder=folder, events=events)
    stack.callback(_remove, group)
    stack.callback(os.close, events)
    if not os.access(folder / "cgroup.procs", os.W_OK):
        return None
    group.is_empty()
    return group


def _remove(group: Group) -> None:
    """Kill the remaining processes, and remove the cgroup."""
    deadline = time.monotonic() + EMPTY_LIMIT_S
    while group.folder.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            group.kill()
        try:
            group.folder.rmdir()
        except OSError:
            time.sleep(0.01)
