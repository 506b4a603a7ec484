"""Run one slice of load with one binary. This is a separate program, because each of its lanes is a
subreaper.

    python -m harness.load.driver JOB

JOB is a JSON file (LoadJob). The output is JSON lines: a LoadRow for each end of a guest, and Remains for
each lane. SIGTERM and SIGINT end all running QEMUs, then the program.
"""

import sys
from pathlib import Path

import msgspec

from harness.cycles.driver import begin, row_writer, run_lanes
from harness.load.lane import Lane
from harness.load.model import LoadJob
from harness.load.plan import share


def main(argv: list[str]) -> int:
    """Run the job in ``argv``. Return 0 if every lane completed."""
    stream = begin()
    load = msgspec.json.decode(Path(argv[0]).read_bytes(), type=LoadJob)
    return run_lanes(load.job.lanes, lambda index: _lane(load, index, stream))


def _lane(load: LoadJob, index: int, stream: int) -> None:
    with row_writer(load.job.folder, stream) as emit:
        places = share(load.plan.guests, load.job.lanes, index)
        emit(Lane(load, index, places, emit).run(load.seconds, share(load.restarts, load.job.lanes, index)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
