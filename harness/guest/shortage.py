"""End a guest before the machine runs out of memory.

The memory that a guest needs is known before it starts (harness.guest.memory). Other processes may allocate
memory meanwhile, so the machine's available memory is polled until the guest's memory is populated.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

from harness.errors import GuestError
from harness.guest.memory import available_mib
from harness.guest.spawn import Child, signal_child

POLL_S = 0.25
SHORTAGE_MIB = 256
"""If less memory is available while a guest populates its memory, the guest is ended."""


class ShortageWatch:
    """``reason`` is why the guest was ended, or empty."""

    def __init__(self) -> None:
        self.reason = ""


@contextlib.contextmanager
def end_in_shortage(child: Child) -> Iterator[ShortageWatch]:
    """Kill ``child`` if less than SHORTAGE_MIB of memory are available while the block runs.

    If the block then raises a GuestError, it is replaced by one with this reason and the same details. The
    thread ends with the block, so that it does not disturb later measurements.
    """
    over = threading.Event()
    watch = ShortageWatch()

    def poll() -> None:
        while not over.wait(POLL_S):
            room = available_mib()
            if room < SHORTAGE_MIB:
                watch.reason = (
                    f"the guest was ended because only {room} MiB of the machine's memory were available"
                )
                signal_child(child, signal.SIGKILL)
                return

    watcher = threading.Thread(target=poll, daemon=True, name="memory-shortage")
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
