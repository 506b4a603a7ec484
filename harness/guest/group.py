"""Create a control group, to measure the memory of a guest apart from other processes."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from harness.machine import text_of

BUSY_S = 3.0


@contextlib.contextmanager
def make_group(
    prefix: str, proc: Path = Path("/proc"), top: Path = Path("/sys/fs/cgroup")
) -> Iterator[Path | None]:
    """Provide a group with a memory controller, called ``prefix`` and this pid, below the current group.

    The group is removed afterwards. The value is None if it cannot be created (no permission, no controller).
    """
    group = _make(prefix, proc, top)
    try:
        yield group
    finally:
        if group is not None:
            remove_group(group)


def remove_group(group: Path) -> None:
    """Remove a group and its subgroups. Groups that still contain processes remain.

    A killed process belongs to its group until its memory is freed; wait for that up to BUSY_S seconds.
    """
    deadline = time.monotonic() + BUSY_S
    for folder in (*sorted(group.rglob("*/"), reverse=True), group):
        while True:
            try:
                folder.rmdir()
            except OSError as error:
                if error.errno == errno.EBUSY and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
            break


def _make(prefix: str, proc: Path, top: Path) -> Path | None:
    for line in text_of(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        parent = (top / "memory" if controllers else top) / path.strip("/")
        _sweep(parent, prefix, proc)
        folder = parent / f"{prefix}{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / "memory.stat").is_file() and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
        with contextlib.suppress(OSError):
            folder.rmdir()
    return None


def _sweep(parent: Path, prefix: str, proc: Path) -> None:
    """Remove the groups of killed runs, which are empty."""
    for left in parent.glob(f"{prefix}*"):
        if not (proc / left.name.removeprefix(prefix)).exists():
            remove_group(left)
