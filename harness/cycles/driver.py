"""Run the cycles of one variant. This is a separate program, because each of its lanes is a subreaper.

    python -m harness.cycles.driver JOB

JOB is a JSON file (DriverJob). The output is JSON lines: a CycleRow for each cycle.
SIGTERM and SIGINT end all running QEMUs, then the program.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from harness.cycles.family import ProcessFamily
from harness.cycles.model import Cycle, DriverJob
from harness.cycles.qemu import started
from harness.cycles.trial import run_cycle
from harness.teardown.cpu import adopt_orphans

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None).prctl


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise SystemExit(128 + number)


def calibrate(job: DriverJob) -> dict[str, float]:
    """Return the seconds from exec until the monitor answers, by target; the time limit if it does not."""
    ready: dict[str, float] = {}
    for index, (target, _, _) in enumerate(job.binaries):
        cycle = Cycle(number=index + 1, trigger="sigkill", backend="ram", accel="tcg", memory_mib=128)
        with started(job, cycle, Path(job.folder) / f"calibration-{target}-{os.getpid()}") as qemu:
            family = ProcessFamily(qemu.process.pid, "qemu", "helper")
            try:
                is_ready = qemu.wait_ready(job.limit_s)
                ready[target] = time.monotonic() - qemu.began if is_ready else job.limit_s
            finally:
                family.end()
    return ready


def lane(job: DriverJob, cycles: Sequence[Cycle], ready_s: dict[str, float], stream: int) -> None:
    """Run ``cycles`` one after another and write their rows."""
    with row_writer(job.folder, stream) as write:
        for cycle in cycles:
            write(run_cycle(job, cycle, ready_s))


def main(argv: list[str]) -> int:
    """Run the job in ``argv``. Return 0 if every cycle has a row."""
    stream = begin()
    job = msgspec.json.decode(Path(argv[0]).read_bytes(), type=DriverJob)
    ready_s = calibrate(job)
    return run_lanes(job.lanes, lambda index: lane(job, job.cycles[index :: job.lanes], ready_s, stream))


def begin() -> int:
    """Make SIGTERM and SIGINT raise SystemExit, write no core files, and become a subreaper.

    Return the descriptor for the rows.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt_orphans()
    return sys.stdout.fileno()


@contextlib.contextmanager
def row_writer(folder: str, stream: int) -> Iterator[Callable[[msgspec.Struct], None]]:
    """Yield a function that writes a row as a line; the lanes of ``folder`` write one after another."""
    with (Path(folder) / "lock").open("wb") as lock:

        def write(row: msgspec.Struct) -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)  # writes of long lines to a pipe are not atomic
            os.write(stream, msgspec.json.encode(row) + b"\n")
            fcntl.flock(lock, fcntl.LOCK_UN)

        yield write


def run_lanes(count: int, work: Callable[[int], None]) -> int:
    """Call ``work`` with 0 to ``count`` - 1, each in a subreaper process. Return the largest exit status."""
    driver, lanes = os.getpid(), []
    for index in range(count):
        pid = os.fork()
        if pid == 0:
            _lane_process(work, index, driver)
        lanes.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in lanes]
    return max(map(abs, statuses))


def _lane_process(work: Callable[[int], None], index: int, driver: int) -> None:
    status = 1
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() == driver:
            adopt_orphans()
            work(index)
            status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - the outermost frame of this process
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
