"""End a guest before it takes the machine's last memory.

What a guest needs is known before it is started (harness.guest.memory); what others take meanwhile is not.
So from its start until its memory is populated, the machine's available memory is looked at all the time.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from harness.errors import GuestError
from harness.guest.memory import available_mib
from harness.guest.spawn import Child, signal_child

LOOK_EVERY_S = 0.25
SHORTAGE_MIB = 256
"""A guest that is about to have its memory is ended when the machine has less than this available."""


class ShortageWatch:
    """``reason`` says why the guest was ended; empty as long as it was not."""

    def __init__(self) -> None:
        self.reason = ""


@contextlib.contextmanager
def end_in_shortage(child: Child) -> Iterator[ShortageWatch]:
    """While the block runs, kill ``child`` as soon as less than SHORTAGE_MIB of memory are available.

    Whatever GuestError the block then raises is replaced by one that says so, with its details; when it
    raises none, the caller's next look at ``child`` finds it ended. The thread is gone after the block: it
    disturbs nothing that is timed later.
    """
    over = threading.Event()
    watch = ShortageWatch()

    def look() -> None:
        while not over.wait(LOOK_EVERY_S):
            room = available_mib()
            if room < SHORTAGE_MIB:
                watch.reason = (
                    f"the guest was ended because only {room} MiB of the machine's memory were left"
                )
                signal_child(child, signal.SIGKILL)
                return

    watcher = threading.Thread(target=look, daemon=True, name="memory-shortage")
    watcher.start()
    try:
        yield watch
    except GuestError as error:
        if not watch.reason:
            raise
        raise GuestError(
            watch.reason,
            "free memory, or use smaller guests (-Dmemory=)",
            details=error.details,
            log=error.log,
        ) from error
    finally:
        over.set()
        watcher.join()
