"""Check a series against the rules that QEMU's maintainers and tools apply.

The input is a series and the commits that it becomes on a base; the result is a list of findings. Each family
of rules has a module, and ``registry`` lists them. This package runs no code of the series.
"""

from harness.check.model import (
    Bisect,
    CommitBuild,
    CompiledFiles,
    CoveredFile,
    Finding,
    Fit,
    GivenTrailer,
    HeaderUse,
    StageRow,
    TestProof,
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
    "CompiledFiles",
    "CoveredFile",
    "Finding",
    "Fit",
    "GivenTrailer",
    "HeaderUse",
    "Judged",
    "JudgedPatch",
    "StageRow",
    "TestProof",
    "TestRow",
    "ValidateResults",
    "ValidatedPatch",
    "ValidatedSeries",
    "choose_rules",
    "merge",
    "order",
    "run_checks",
]
