"""Locks, so that one run at a time writes a cache entry, tree or build folder.

The locks use flock(2) (by filelock), so a killed run leaves no stale lock. A second file contains the pid of
the holder, for the message alone.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from harness.errors import BusyError, StorageError
from harness.progress import Reporter


@contextlib.contextmanager
def locked(path: Path, what: str, reporter: Reporter, *, timeout_s: float = 3600) -> Iterator[None]:
    """Hold the lock ``path.lock`` while the block runs; report the holder once if the lock is taken.

    Raises BusyError after ``timeout_s`` seconds, StorageError if the lock file cannot be created.
    """
    lock_path = path.with_name(path.name + ".lock")
    holder = path.with_name(path.name + ".lock-holder")
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            reporter.note(f"waiting for {_who(holder)}, which holds {what}")
            try:
                lock.acquire(timeout=timeout_s, poll_interval=0.1)
            except filelock.Timeout:
                raise BusyError(
                    f"{what} has been held by {_who(holder)} for {timeout_s:.0f} s",
                    "wait for that run or end it, then run the same command again",
                ) from None
    except OSError as error:
        raise StorageError(
            f"cannot lock {what}: {error}",
            f"make {lock_path.parent} writable and free some disk space, or choose other folders with"
            " QEMU_HARNESS_BUILD, QEMU_HARNESS_TREES and QEMU_HARNESS_CACHE",
        ) from error
    try:
        with contextlib.suppress(OSError):
            holder.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        return f"process {int(holder.read_text(encoding='ascii'))}"
    except (OSError, ValueError):
        return "another run"
