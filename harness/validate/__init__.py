"""The whole of ``nox -s validate``: read, try, apply, check, build, test, and what is made of the results.

Takes an Input and a Pin; gives ValidateResults as validate.json, and the forms that other programs read.
"""

from harness.validate.outputs import ci_marks, write_outputs
from harness.validate.run import check_validate, read_validate, record_validate, validate_file
from harness.validate.table import render_validate

__all__ = [
    "check_validate",
    "ci_marks",
    "read_validate",
    "record_validate",
    "render_validate",
    "validate_file",
    "write_outputs",
]
