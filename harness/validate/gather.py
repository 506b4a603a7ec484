"""Findings as people read them: one that each patch of a series has is listed once, for the series."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from harness.check import Finding, ValidateResults


def gathered(results: ValidateResults) -> tuple[Finding, ...]:
    """Return the findings of ``results``; those that all judged patches have become one of the series."""
    only = {int(number) for number in results.options.get("patches", ())}
    judged = only or {patch.number for patch in results.series.patches}
    same: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for finding in results.findings:
        if finding.patch:
            same[_key(finding)].append(finding)
    shared = {
        key: found
        for key, found in same.items()
        if len(judged) > 1 and {finding.patch for finding in found} == judged
    }
    once = [_for_all(found) for found in shared.values()]
    rest = [finding for finding in results.findings if not (finding.patch and _key(finding) in shared)]
    series = sorted([*(one for one in rest if not one.patch), *once], key=lambda one: _RANK[one.severity])
    return (*series, *(finding for finding in rest if finding.patch))


def base_words(results: ValidateResults) -> str:
    """Return what the series was applied to, for people: a pin, or a commit of -Dsource=."""
    if not results.options.get("source"):
        return f"{results.base} of pin {results.pin}"
    return f"commit {results.base_commit[:12]}" if results.base_commit else results.pin


def pin_words(results: ValidateResults, pin: str) -> str:
    """Return the name of a release; ``base`` for the tree of -Dsource=, whose name is that of a folder."""
    return "base" if pin == results.pin and results.options.get("source") else pin


_RANK = {"error": 0, "warning": 1, "note": 2}


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.severity, finding.message, finding.remedy, finding.file


def _for_all(found: Sequence[Finding]) -> Finding:
    patches = len({finding.patch for finding in found})
    message = f"each of the {patches} patches: {found[0].message}"
    return msgspec.structs.replace(found[0], patch=0, message=message, line=0, snippet=(), count=1)
