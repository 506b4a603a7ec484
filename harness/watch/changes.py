"""Wait until a file system reports a change, by inotify(7)."""

import ctypes
import os
import select
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from harness.errors import StorageError

_MASK = 0x2 | 0x8 | 0x80 | 0x100  # IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE
_EVENT = struct.Struct("iIII")
_SETTLE_S = 1.0
"""Seconds to wait after a change: git and programs that deliver mail make several."""


class Changes:
    """Changes in folders since the last ``wait``."""

    def __init__(self) -> None:
        """Raises StorageError if the kernel refuses."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._names: dict[int, str] = {}
        if self._fd < 0:
            raise _refused("inotify")

    def add(self, places: Mapping[Path, str]) -> None:
        """Watch the folders in ``places``; a name that is not empty restricts one to that file.

        Raises StorageError.
        """
        for path, name in places.items():
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _MASK)
            if watch < 0:
                raise _refused(str(path))
            self._names[watch] = name

    def wait(self, timeout_s: float) -> bool:
        """Return whether something changed, at the latest after ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0] and self._read():
                time.sleep(min(_SETTLE_S, left))
                self._read()
                return True
        return False

    def _read(self) -> bool:
        """Read the pending events. Returns whether one of them is about a watched file."""
        found = False
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                watch, _, _, length = _EVENT.unpack_from(data, at)
                name = os.fsdecode(data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0"))
                found = found or self._names.get(watch, "") in ("", name)
                at += _EVENT.size + length

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


def _refused(what: str) -> StorageError:
    reason = os.strerror(ctypes.get_errno())
    return StorageError(
        f"cannot wait for changes of {what}: {reason}",
        "raise fs.inotify.max_user_watches and max_user_instances (sysctl), or run with --once from cron",
    )
