"""Rules create findings."""

from harness.check import Finding
from harness.check.model import Rule

RULE = Rule(id="a-rule", severity="note", summary="a problem", remedy="fix it")


def test_finding_has_the_severity_and_remedy_of_its_rule():
    assert RULE.finding("here") == Finding(
        rule="a-rule", severity="note", message="here", remedy="fix it", patch=0, file="", line=0, snippet=()
    )


def test_finding_may_have_its_own_severity_remedy_and_place():
    finding = RULE.finding(
        "here", patch=2, file="a.c", line=3, snippet=("x",), severity="error", remedy="do not"
    )
    assert finding == Finding(
        rule="a-rule",
        severity="error",
        message="here",
        remedy="do not",
        patch=2,
        file="a.c",
        line=3,
        snippet=("x",),
    )
