"""Work that is done ahead of its turn, in a second thread."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from harness.errors import HarnessError
from harness.progress import Reporter, Silent

Job = Callable[[Reporter], object]
PATIENCE_S = 1.0
"""How long the end of the jobs is waited for without a report of progress."""


@contextlib.contextmanager
def ahead(jobs: Sequence[Job], reporter: Reporter) -> Iterator[None]:
    """Do ``jobs`` one after the other while the block runs, and wait for them at its end.

    A job is what a later stage does itself if it finds it undone. So an error of a job ends the jobs, and is
    left to that stage to report. If the block raises, jobs that have not begun are dropped; the running one
    ends with the process, because the kernel ends its programs with their thread (harness.process).
    """
    quiet, dropped = Silent(), threading.Event()

    def work() -> None:
        with contextlib.suppress(HarnessError):
            for job in jobs:
                if dropped.is_set():
                    return
                job(quiet)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        dropped.set()
        raise
    thread.join(PATIENCE_S)
    if thread.is_alive():
        with reporter.step(quiet.lines[-1] if quiet.lines else "work ahead"):
            thread.join()
    if quiet.lines:
        reporter.note(f"meanwhile: {'; '.join(dict.fromkeys(quiet.lines))}")
