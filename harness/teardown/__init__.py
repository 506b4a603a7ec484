"""Teardown stage: a bench → samples and comparisons.

Takes: a Bench. Gives: TeardownResults. The avocado test tests/avocado/teardown.py starts and times the
guests, one at a time, with the functions of this package. Cross-built binaries run on an emulated host, in
one boot, under guest/programs/measure.c (emulated.py).
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
    TeardownRun,
)
from harness.teardown.presets import apply_preset
from harness.teardown.runner import Hooks, run_teardown

__all__ = [
    "Cell",
    "Comparison",
    "EmulatedHost",
    "Hooks",
    "Property",
    "Sample",
    "Slope",
    "TeardownRun",
    "apply_preset",
    "can_run",
    "emulated_accel",
    "refuse_hosts",
    "run_emulated",
    "run_teardown",
]
