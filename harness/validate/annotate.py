"""Findings as annotations of the code, in the formats of GitHub and GitLab.

Source: GitHub, "Workflow commands" (``::error file=…``); GitLab, "Code Quality report format".
"""

import hashlib
import json

from harness.check import Finding, ValidateResults
from harness.validate.gather import patch_of, told

_GITLAB = {"error": "critical", "warning": "minor", "note": "info"}
_GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def github(results: ValidateResults) -> tuple[str, ...]:
    """Return a workflow command for each finding."""
    lines = []
    for finding in results.findings:
        where = [f"file={_property(finding.file)}"] if finding.file else []
        where += [f"line={finding.line}"] if finding.file and finding.line else []
        where.append(f"title={_property(finding.rule)}")
        lines.append(f"::{_GITHUB[finding.severity]} {','.join(where)}::{_data(told(finding))}")
    return tuple(lines)


def gitlab_report(results: ValidateResults) -> str:
    """Return a Code Quality report, for ``artifacts:reports:codequality``."""
    rows = [
        {
            "description": told(finding),
            "check_name": finding.rule,
            "fingerprint": hashlib.sha256(
                f"{finding.rule}\0{finding.patch}\0{finding.file}\0{finding.message}".encode(
                    "utf-8", "replace"
                )
            ).hexdigest(),
            "severity": _GITLAB[finding.severity],
            # Every entry needs a path; findings without a file have that of their patch.
            "location": {
                "path": finding.file or _origin(results, finding),
                "lines": {"begin": max(finding.line, 1)},
            },
        }
        for finding in results.findings
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _origin(results: ValidateResults, finding: Finding) -> str:
    patch = patch_of(results, finding.patch)
    return patch.origin if patch else results.series.name


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
