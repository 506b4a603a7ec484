"""Properties stage: binaries → a row for each property: pass, fail or cancel, and why.

Takes: Binaries (of builds, or named). Gives: Rows. QEMUs are started and watched by the avocado test
tests/avocado/properties.py, one at a time; this package holds all that the test does.
"""

from harness.properties.model import (
    HOSTS_ROW,
    ROWS,
    Part,
    PropertyRow,
    Task,
    parse_rows,
    worst,
)
from harness.properties.runner import run_properties

__all__ = [
    "HOSTS_ROW",
    "ROWS",
    "Part",
    "PropertyRow",
    "Task",
    "parse_rows",
    "run_properties",
    "worst",
]
