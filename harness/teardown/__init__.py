"""Teardown stage: binaries and options → samples and comparisons.

Takes: Subjects (binaries with a variant's name). Gives: a TeardownRun. Guests are started and timed by the
avocado test tests/avocado/teardown.py, one at a time; this package holds all that the test does.
"""

from harness.teardown.hold import Held, hold_guest
from harness.teardown.model import Cell, Comparison, Sample, Subject, TeardownRun
from harness.teardown.runner import probe_accels, run_teardown
from harness.teardown.subjects import refuse_timing, subjects_of

__all__ = [
    "Cell",
    "Comparison",
    "Held",
    "Sample",
    "Subject",
    "TeardownRun",
    "hold_guest",
    "probe_accels",
    "refuse_timing",
    "run_teardown",
    "subjects_of",
]
