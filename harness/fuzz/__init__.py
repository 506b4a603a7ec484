"""Fuzzing: whatever is read from outside, read again after it was spoilt in thousands of ways.

Takes: a layout and seconds. Gives: for each reader how many examples it saw, and the examples that it did not
bear: anything but a HarnessError, more than a few seconds, a path outside of where it belongs. Hypothesis
makes and shrinks the examples (https://hypothesis.readthedocs.io); atheris, when asked, looks where they go.
"""

from harness.fuzz.guided import fuzz_guided
from harness.fuzz.runner import FuzzResults, check_fuzz, fuzz, render_fuzz, repeat
from harness.fuzz.targets import TARGETS, Target

__all__ = ["TARGETS", "FuzzResults", "Target", "check_fuzz", "fuzz", "fuzz_guided", "render_fuzz", "repeat"]
