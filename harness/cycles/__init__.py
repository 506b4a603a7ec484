"""Cycles stage: start and end QEMU many times, at random moments and in random ways, and check for leftovers.

Takes: Subjects and options. Gives: a a Row for each cycle. The cycles run in a program of its own
(harness.cycles.driver), because each lane of it is the subreaper of what its cycle starts.
"""

from harness.cycles.model import Cycle, CycleRow, Memory, Report
from harness.cycles.plan import plan_cycles
from harness.cycles.runner import run_cycles

__all__ = [
    "Cycle",
    "CycleRow",
    "Memory",
    "Report",
    "plan_cycles",
    "run_cycles",
]
