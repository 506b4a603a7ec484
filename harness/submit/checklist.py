"""QEMU's docs/devel/submitting-a-patch.rst as a checklist.

A program judges the rules that it can, with evidence; the others are open boxes for a person. Every section
of the text has at least one item, which a test checks.
"""

from pathlib import Path

import msgspec

from harness.submit import judges
from harness.submit.facts import ChecklistItem, Facts, Verdict


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of checklist.toml, judged in one of the ways ``judge``, ``findings`` and ``person``."""

    rule: str
    judge: str = ""
    findings: tuple[str, ...] = ()
    clean: str = ""
    notes: bool = False
    person: str = ""

    def verdict(self, facts: Facts) -> tuple[Verdict, str]:
        """Return the verdict and the evidence."""
        if self.findings:
            return judges.no_finding(facts, self.findings, self.clean, notes=self.notes)
        if self.person:
            return "person", self.person
        judge: judges.Judge = getattr(judges, self.judge)
        return judge(facts)


RULES = msgspec.toml.decode(
    Path(__file__).with_name("checklist.toml").read_bytes(), type=dict[str, tuple[Rule, ...]]
)
"""Rules by the section of the text that states them."""


def make_checklist(facts: Facts) -> tuple[ChecklistItem, ...]:
    """Return every rule with its verdict, in the order of the text."""
    return tuple(
        ChecklistItem(section=section, rule=rule.rule, verdict=verdict, evidence=evidence)
        for section, rules in RULES.items()
        for rule in rules
        for verdict, evidence in [rule.verdict(facts)]
    )
