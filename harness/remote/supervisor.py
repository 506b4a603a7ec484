"""Run a program on another machine until standard input is closed. This file imports nothing of the harness.

    python3 -I supervisor.py FOLDER PROGRAM ARGUMENT...

The process that starts this keeps standard input open. If it is closed, because the connection is lost or
that process has ended, the program gets SIGTERM, time to end its own processes, and SIGKILL. Then FOLDER,
which was created for it, is removed. The program's output is discarded, because it writes results to files.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE_S = 90.0
"""Seconds between SIGTERM and SIGKILL: a guest of hundreds of GiB needs long to end."""


def main(argv: Sequence[str]) -> int:
    """Return the program's status, or 128 + n if signal n ended it."""
    folder, *command = argv
    stopped = threading.Event()
    started: list[subprocess.Popen[bytes]] = []

    def end(*_: object) -> None:
        stopped.set()
        for one in started:
            one.terminate()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)
    # A new session, so that the hangup of a shell does not reach the program.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        started.append(child)
        if stopped.is_set():
            child.terminate()

        def watch_stdin() -> None:
            while os.read(0, 4096):
                pass
            end()
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)

        threading.Thread(target=watch_stdin, daemon=True).start()
        status = child.wait()
    if stopped.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
