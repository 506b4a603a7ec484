"""A stand-in for avocado, which reads a plan and prints a line for each test."""

import msgspec

from harness import job
from harness.job import JobPlan
from harness.process import Finished


def replace_job(monkeypatch, lines_of):
    """Let avocado print ``lines_of(plan)`` instead of running the tests of its plan."""

    def run_job(layout, home, file, on_line):
        for line in lines_of(msgspec.json.decode(file.read_bytes(), type=JobPlan)):
            on_line(line)
        return Finished(argv=("x",), returncode=8, output="avocado crashed\n", duration_s=0.0)

    monkeypatch.setattr(job, "_run_job", run_job)
