"""Write the results in the formats of other programs. Each depends only on the results."""

import os
from collections.abc import Mapping
from pathlib import Path

from harness.check import ValidateResults
from harness.jsonfile import write_bytes
from harness.layout import Layout
from harness.validate.annotate import github, gitlab_report
from harness.validate.cobertura import cobertura
from harness.validate.junit import junit
from harness.validate.page import page
from harness.validate.reply import reply
from harness.validate.sarif import sarif
from harness.validate.tap import tap


def write_outputs(layout: Layout, results: ValidateResults) -> tuple[Path, ...]:
    """Write all formats next to validate.json, each file atomically. Raises StorageError.

    Without coverage, that of an earlier run is removed.
    """
    (layout.results / "validate.cobertura.xml").unlink(missing_ok=True)
    formats = {
        "validate.sarif": sarif(results),
        "validate.junit.xml": junit(results),
        "validate.tap": tap(results),
        "validate.txt": reply(results),
        "validate.html": page(results),
        "validate.codequality.json": gitlab_report(results),
        **({"validate.cobertura.xml": cobertura(results)} if results.coverage else {}),
    }
    for name, text in formats.items():
        write_bytes(layout.results / name, text.encode("utf-8", "replace"))
    return tuple(layout.results / name for name in formats)


def ci_marks(results: ValidateResults, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return log lines that annotate the findings in GitHub Actions; none elsewhere."""
    variables = os.environ if environ is None else environ
    return github(results) if variables.get("GITHUB_ACTIONS") == "true" else ()
