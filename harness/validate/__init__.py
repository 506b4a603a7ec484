"""Validate stage: try, apply, check, build and test a series, and write the results.

Input is an Input and a Pin. Output is ValidateResults as validate.json and in the formats of other programs.
"""

from harness.validate.outputs import ci_marks, write_outputs
from harness.validate.run import record_validate, validate_file
from harness.validate.table import render_validate
from harness.validate.verdict import check_validate

__all__ = [
    "check_validate",
    "ci_marks",
    "record_validate",
    "render_validate",
    "validate_file",
    "write_outputs",
]
