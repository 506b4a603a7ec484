"""Load stage: many guests started and ended at random for minutes, and one large guest restarted at once.

Takes: Subjects, a LoadPlan. Gives: a Slice for each part of the run, its rows, and a Summary for each binary.
Slices of the binaries alternate, so that a machine that drifts does so for all of them alike.
"""

from harness.load.judge import summarize
from harness.load.model import LoadPlan, LoadRow, Slice, Summary
from harness.load.plan import plan_load
from harness.load.runner import run_load

__all__ = ["LoadPlan", "LoadRow", "Slice", "Summary", "plan_load", "run_load", "summarize"]
