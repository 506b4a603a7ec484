"""Teardown stage: binaries and options → samples and comparisons.

Takes: Subjects (binaries with a variant's name). Gives: a TeardownRun. Guests are started and timed by the
avocado test tests/avocado/teardown.py, one at a time; this package holds all that the test does. What was
built for another machine is timed on an emulated one, in one boot, by tests/guest/measure.c (emulated.py).
"""

from harness.teardown.emulated import run_emulated
from harness.teardown.image import can_run, emulated_accel, refuse_hosts
from harness.teardown.model import (
    Cell,
    Comparison,
    EmulatedHost,
    Property,
    Sample,
    Slope,
    Subject,
    TeardownRun,
)
from harness.teardown.presets import apply_preset
from harness.teardown.runner import Hooks, probe_accels, run_teardown
from harness.teardown.single import SingleGuest, single_guest
from harness.teardown.subjects import refuse_timing, subjects_of

__all__ = [
    "Cell",
    "Comparison",
    "EmulatedHost",
    "Hooks",
    "Property",
    "Sample",
    "SingleGuest",
    "Slope",
    "Subject",
    "TeardownRun",
    "apply_preset",
    "can_run",
    "emulated_accel",
    "probe_accels",
    "refuse_hosts",
    "refuse_timing",
    "run_emulated",
    "run_teardown",
    "single_guest",
    "subjects_of",
]
