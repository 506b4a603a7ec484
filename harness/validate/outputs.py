"""validate.json in the forms that other programs take, each made from the results and from nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.check import ValidateResults
from harness.jsonfile import write_bytes
from harness.layout import Layout
from harness.validate.annotate import github, gitlab_report
from harness.validate.junit import junit
from harness.validate.reply import reply
from harness.validate.sarif import sarif
from harness.validate.tap import tap


def write_outputs(layout: Layout, results: ValidateResults) -> tuple[Path, ...]:
    """Write all forms beside validate.json, each at once or not at all. Raises StorageError."""
    forms = {
        "validate.sarif": sarif(results),
        "validate.junit.xml": junit(results),
        "validate.tap": tap(results),
        "validate.txt": reply(results),
        "validate.codequality.json": gitlab_report(results),
    }
    for name, text in forms.items():
        write_bytes(layout.results / name, text.encode("utf-8", "replace"))
    return tuple(layout.results / name for name in forms)


def ci_marks(results: ValidateResults, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Lines that mark the findings in the log of the CI that this runs in; none elsewhere."""
    where = os.environ if environ is None else environ
    return github(results) if where.get("GITHUB_ACTIONS") == "true" else ()
