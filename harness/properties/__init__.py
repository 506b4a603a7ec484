"""Properties stage: binaries → a row for each property: pass, fail or cancel, and why.

Takes: Binaries (of builds, or named). Gives: Rows. QEMUs are started and watched by the avocado test
tests/avocado/properties.py, one at a time; this package holds all that the test does.
"""

from harness.properties.elsewhere import try_elsewhere
from harness.properties.model import (
    HOSTS_ROW,
    ROWS,
    CheckedBinary,
    Part,
    PropertyRow,
    Task,
    parse_rows,
    worst,
)
from harness.properties.runner import run_properties
from harness.properties.subjects import built_binaries, named_binaries

__all__ = [
    "HOSTS_ROW",
    "ROWS",
    "CheckedBinary",
    "Part",
    "PropertyRow",
    "Task",
    "built_binaries",
    "named_binaries",
    "parse_rows",
    "run_properties",
    "try_elsewhere",
    "worst",
]
