"""Run the cycles of one variant. This is a separate program, because each of its lanes is a subreaper.

    python -m harness.cycles.driver JOB

JOB is a JSON file (DriverJob). The output is JSON lines: a Calibration, then a CycleRow for each cycle.
SIGTERM and SIGINT end all running QEMUs, then the program.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from harness.cycles.family import ProcessFamily
from harness.cycles.model import Calibration, Cycle, DriverJob
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
        cycle = Cycle(
            number=index + 1,
            life="paused",
            trigger="sigkill",
            scope="process",
            helper="let be",
            confinement="none",
            victim="qemu",
            backend="ram",
            accel="tcg",
            memory_mib=128,
            moment=0.0,
        )
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
    with (Path(job.folder) / "lock").open("wb") as lock:
        for cycle in cycles:
            line = msgspec.json.encode(run_cycle(job, cycle, ready_s)) + b"\n"
            fcntl.flock(lock, fcntl.LOCK_EX)  # writes of long lines to a pipe are not atomic
            os.write(stream, line)
            fcntl.flock(lock, fcntl.LOCK_UN)


def main(argv: list[str]) -> int:
    """Run the job in ``argv``. Return 0 if every cycle has a row."""
    stream = sys.stdout.fileno()
    exit_on_signals()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt_orphans()
    job = msgspec.json.decode(Path(argv[0]).read_bytes(), type=DriverJob)
    ready_s = calibrate(job)
    os.write(stream, msgspec.json.encode(Calibration(ready_s=ready_s)) + b"\n")
    return run_lanes(job.lanes, lambda index: lane(job, job.cycles[index :: job.lanes], ready_s, stream))


def exit_on_signals() -> None:
    """Make SIGTERM and SIGINT raise SystemExit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


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
