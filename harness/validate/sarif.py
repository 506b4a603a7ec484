"""Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), for forges."""

import hashlib
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from harness.check import RULES, Finding, ValidateResults
from harness.validate.gather import patch_of, told

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CLEAN_EXIT = ("clean", "findings", "apply", "build", "tests")


def sarif(results: ValidateResults) -> str:
    """Return the log: one run with the active rules and a result for each finding."""
    rules = [rule for rule in RULES.values() if rule.id not in results.switched_off]
    at = {rule.id: number for number, rule in enumerate(rules)}
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "qemu-harness validate",
                        "semanticVersion": version("qemu-harness"),
                        "rules": [
                            {
                                "id": rule.id,
                                "shortDescription": {"text": rule.summary},
                                "help": {
                                    "text": f"{rule.remedy}" + (f" ({rule.source})" if rule.source else "")
                                },
                                "defaultConfiguration": {"level": rule.severity},
                            }
                            for rule in rules
                        ],
                    }
                },
                "invocations": [
                    {
                        "commandLine": results.command,
                        "startTimeUtc": _time(results.started),
                        "endTimeUtc": _time(results.finished),
                        # A run that reports findings is successful (3.20.14).
                        "executionSuccessful": results.verdict in _CLEAN_EXIT,
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the root of the QEMU tree"}}},
                "results": [_result(results, finding, at) for finding in results.findings],
                "properties": {
                    "verdict": results.verdict,
                    "series": results.series.name,
                    "sha256": results.series.sha256,
                    "pin": results.pin,
                },
            }
        ],
    }
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _result(results: ValidateResults, finding: Finding, at: dict[str, int]) -> dict[str, Any]:
    patch = patch_of(results, finding.patch)
    subject = patch.subject if patch else ""
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": finding.severity,
        "message": {"text": told(finding)},
        "partialFingerprints": {"findingHash/v1": _fingerprint(finding, subject)},
        "occurrenceCount": finding.count,
        "properties": {"patch": finding.patch, "subject": subject},
    }
    if finding.rule in at:
        result["ruleIndex"] = at[finding.rule]
    location: dict[str, Any] = {
        "logicalLocations": [{"name": subject if patch else results.series.title, "kind": "module"}]
    }
    if finding.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.file), "uriBaseId": "SRCROOT"}}
        if finding.line:
            physical["region"] = {"startLine": finding.line}
            if finding.snippet:
                physical["region"]["snippet"] = {"text": "\n".join(finding.snippet)}
        location["physicalLocation"] = physical
    result["locations"] = [location]
    return result


def _fingerprint(finding: Finding, subject: str) -> str:
    """Return a digest that does not depend on line numbers and the order of patches."""
    parts = (finding.rule, finding.file, finding.message, subject)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _time(text: str) -> str:
    return text.replace("+00:00", "Z")
