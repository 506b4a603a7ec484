"""Run a program on another machine for as long as somebody holds on to it: a program of its own, without the
harness's modules.

    python3 -I leash.py FOLDER PROGRAM ARGUMENT...

Standard input is the leash. Whoever started this keeps it open; when that end is gone, because the connection
broke or the process there was killed, the program gets SIGTERM, time to end what it started, and SIGKILL, and
FOLDER, which was made for it, is removed. Its standard output is nobody's: what it finds is in files.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

PATIENCE_S = 90.0
"""A guest of hundreds of GiB takes its time to end."""


def main(argv: Sequence[str]) -> int:
    """The program's status, 128 + n when signal n ended it."""
    folder, *command = argv
    broken = threading.Event()
    started: list[subprocess.Popen[bytes]] = []

    def end(*_: object) -> None:
        broken.set()
        for one in started:
            one.terminate()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)
    # A session of its own: what a shell's hangup sends is not for the program.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        started.append(child)
        if broken.is_set():
            child.terminate()

        def hold() -> None:
            while os.read(0, 4096):
                pass
            end()
            try:
                child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)

        threading.Thread(target=hold, daemon=True).start()
        status = child.wait()
    if broken.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
