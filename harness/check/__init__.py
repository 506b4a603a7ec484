"""Series and tree → findings: what QEMU's maintainers and their tools would say of a series.

Takes an Input and the commits that it became on a base; gives Findings, each with its rule, severity, place
and remedy. One module a family of rules; ``registry`` has them all. Nothing of the series is run here.
"""

from harness.check.model import (
    Bisect,
    CommitBuild,
    Finding,
    Fit,
    GivenTrailer,
    Rule,
    StageRow,
    TestRow,
    ValidatedPatch,
    ValidatedSeries,
    ValidateResults,
)
from harness.check.registry import FAMILIES, RULES, choose_rules, merge, order, run_checks
from harness.check.subject import Judged, JudgedPatch

__all__ = [
    "FAMILIES",
    "RULES",
    "Bisect",
    "CommitBuild",
    "Finding",
    "Fit",
    "GivenTrailer",
    "Judged",
    "JudgedPatch",
    "Rule",
    "StageRow",
    "TestRow",
    "ValidateResults",
    "ValidatedPatch",
    "ValidatedSeries",
    "choose_rules",
    "merge",
    "order",
    "run_checks",
]
