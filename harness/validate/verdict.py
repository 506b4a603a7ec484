"""The error of a verdict, with the findings to fix first."""

from pathlib import Path

from harness.check import ValidateResults
from harness.check.model import SEVERITIES
from harness.errors import (
    ApplyError,
    FindingsError,
    InfrastructureError,
    SeriesBuildError,
    SeriesTestError,
)
from harness.layout import Layout
from harness.validate.gather import base_words, causes_of, gathered, patch_words
from harness.validate.run import BLOCKING, validate_file
from harness.validate.table import count_findings


def check_validate(layout: Layout, results: ValidateResults) -> None:
    """Raise the error of the verdict, unless it is ``clean``."""
    worst = _worst(results)
    see = f"see the summary above, {validate_file(layout)} and the reply next to it"
    name = results.series.name
    log = next((Path(row.log) for row in results.builds if row.outcome == "failed" and row.log), None)
    match results.verdict:
        case "apply":
            raise ApplyError(f"{name} does not apply to {base_words(results)}", see, details=worst)
        case "build":
            raise SeriesBuildError(f"{name} does not build at each commit", see, details=worst, log=log)
        case "tests":
            raise SeriesTestError(f"{name} makes tests fail", see, details=worst)
        case "findings":
            raise FindingsError(f"{name} has {count_findings(results)}", see, details=worst)
        case "infrastructure":
            raise InfrastructureError(
                f"{name} could not be judged completely",
                "this is not the series' fault: resolve the listed causes and run again",
                details=tuple(causes_of(results))[:5],
            )


def _worst(results: ValidateResults) -> tuple[str, ...]:
    """Return a line for each of the five findings to fix first: what stops the series, then by severity."""
    ranked = sorted(
        gathered(results),
        key=lambda finding: (
            SEVERITIES.index(finding.severity),
            results.verdict == "apply" and finding.rule not in BLOCKING,
        ),
    )
    return tuple(f"{patch_words(finding)}: {finding.message} [{finding.rule}]" for finding in ranked[:5])
