"""Cycles stage: start and end QEMU many times, at random moments and in random ways, and look what stays.

Takes: Subjects and options. Gives: a CyclesRun, a Row for each cycle. The cycles run in a program of its own
(harness.cycles.driver), because each lane of it is the subreaper of what its cycle starts.
"""

from harness.cycles.model import Cycle, CycleRow, CyclesRun, Memory, Report
from harness.cycles.plan import plan_cycles
from harness.cycles.runner import run_cycles
from harness.cycles.subjects import subjects_from

__all__ = [
    "Cycle",
    "CycleRow",
    "CyclesRun",
    "Memory",
    "Report",
    "plan_cycles",
    "run_cycles",
    "subjects_from",
]
