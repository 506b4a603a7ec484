"""Run a program and end it when it has written too much: a program of its own, put in front of others.

    python -I diskwatch.py BYTES FOLDER... -- PROGRAM ARGUMENT...

A file's size can be bounded by the kernel (RLIMIT_FSIZE), the sum of all files in a folder only by a quota
or a file system of its own, which ordinary users cannot make. So folders are looked through once a second,
and never for more than a twentieth of the time. It uses nothing but Python's own library, since it runs with
the harness's interpreter alone (``-I``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

TOO_MUCH = 122
"""Exit status when the program was ended: EDQUOT, "Disk quota exceeded" (errno(3))."""
FREE_BYTES = 1024**3
"""Left to everybody else on that disk."""


def used_bytes(folders: Iterable[str]) -> int:
    """Bytes on disk of all that lies below ``folders``; what goes away meanwhile counts nothing."""
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
    """Why the program has to end; empty while all is well."""
    used = used_bytes(folders)
    if used > limit:
        return f"{used / 1024**3:.1f} GiB were written, more than {limit / 1024**3:.1f} GiB"
    for folder in folders:
        with contextlib.suppress(OSError):
            disk = os.statvfs(folder)
            if disk.f_bavail * disk.f_frsize < FREE_BYTES and used > FREE_BYTES:
                return f"the disk is nearly full, with {used / 1024**3:.1f} GiB of this build"
    return ""


def main(words: Sequence[str]) -> int:
    """Status of the program, or TOO_MUCH."""
    at = words.index("--")
    limit, folders, argv = int(words[0]), list(words[1:at]), list(words[at + 1 :])
    started: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def end(number: int, _frame: object) -> None:
        asked.append(number)
        for one in started:
            one.terminate()

    # Who ends us has the whole process group ended; by itself this program just passes it on.
    signal.signal(signal.SIGTERM, end)
    with subprocess.Popen(argv) as child:
        started.append(child)
        if asked:
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
                    sys.stderr.write(f"error: ended, as {reason}\n")
                    return TOO_MUCH
                continue
            return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
