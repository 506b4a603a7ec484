"""Run a program and end it if it writes too much. Used as a prefix of a command line.

    python -I diskwatch.py BYTES FOLDER... -- PROGRAM ARGUMENT...

The kernel can limit the size of a file (RLIMIT_FSIZE). The size of a folder can only be limited by a quota
or a separate file system, which ordinary users cannot create. So the folders are checked once a second, for
at most 5 % of the time. This file uses only Python's standard library, because it runs with ``-I``.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

TOO_MUCH = 122
"""Exit status if the program was ended: EDQUOT, "Disk quota exceeded" (errno(3))."""
FREE_BYTES = 1024**3
"""Space that must remain on the disk for others."""


def used_bytes(folders: Iterable[str]) -> int:
    """Return the bytes on disk of all files below ``folders``, except those that disappear meanwhile."""
    total, waiting = 0, list(folders)
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def excess(limit: int, folders: Sequence[str]) -> str:
    """Return why the program must end, or an empty string."""
    used = used_bytes(folders)
    if used > limit:
        return f"it has written {used / 1024**3:.1f} GiB, more than {limit / 1024**3:.1f} GiB"
    for folder in folders:
        with contextlib.suppress(OSError):
            disk = os.statvfs(folder)
            if disk.f_bavail * disk.f_frsize < FREE_BYTES and used > FREE_BYTES:
                return f"the disk is almost full, and it has written {used / 1024**3:.1f} GiB"
    return ""


def main(words: Sequence[str]) -> int:
    """Return the status of the program, or TOO_MUCH."""
    at = words.index("--")
    limit, folders, argv = int(words[0]), list(words[1:at]), list(words[at + 1 :])
    started: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def end(number: int, _frame: object) -> None:
        received.append(number)
        for one in started:
            one.terminate()

    # Pass SIGTERM on. The harness also ends the whole process group.
    signal.signal(signal.SIGTERM, end)
    with subprocess.Popen(argv) as child:
        started.append(child)
        if received:
            child.terminate()
        pause = 1.0
        while True:
            try:
                status = child.wait(pause)
            except subprocess.TimeoutExpired:
                began = time.monotonic()
                reason = excess(limit, folders)
                pause = max(1.0, 20 * (time.monotonic() - began))
                if reason:
                    child.kill()
                    sys.stderr.write(f"error: the program was ended: {reason}\n")
                    return TOO_MUCH
                continue
            return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
