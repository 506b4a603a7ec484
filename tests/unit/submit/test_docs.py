"""docs/submit.md, compared with the code."""

import dataclasses
import re

from harness.authoring.tags import StaleTag
from harness.commands import ARGUMENTS
from harness.submit.checklist import RULES
from harness.submit.facts import ChecklistItem
from harness.submit.mails import REFUSED
from harness.submit.policy import QUOTED
from harness.submit.provenance import Declaration, Reason
from harness.submit.recipients import Recipient
from harness.submit.record import Outgoing, Sent
from harness.submit.validated import SIGNING
from tests.unit.defaults import ROOT

TEXT = (ROOT / "docs" / "submit.md").read_text(encoding="utf-8")


def rows(title):
    """Return the names in the first column of the table of a section."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")][1:]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_docs_explain_every_reason():
    sources = "".join(path.read_text() for path in (ROOT / "harness" / "submit").glob("*.py"))
    given = set(re.findall(r'Reason\(\s*rule="([a-z-]+)"', sources))
    assert len(given) > 10
    assert rows("Not ready to send") == given


def test_docs_explain_every_question():
    keys = {name.strip("[]") for name in rows("Declaring and signing")}
    assert keys == set(Declaration.__struct_encode_fields__)


def test_docs_list_every_field():
    section = TEXT.split("`outgoing.json`: ")[1].split("\n\n")[0]
    documented = set(re.findall(r"`([a-z_0-9]+)`", section))
    fields = set(Outgoing.__struct_fields__) | set(Sent.__struct_fields__)
    for kind in (ChecklistItem, Reason, Recipient, StaleTag):
        fields |= {field.name for field in dataclasses.fields(kind)}
    assert documented == fields


def test_docs_quote_mark_rules_and_policy():
    assert REFUSED in TEXT
    for rule in SIGNING:
        assert f"`{rule}`" in TEXT
    quoted = " ".join(" ".join(TEXT.split("> ")[1:]).split())
    assert " ".join(QUOTED.split("\n\n")[0].split()) in quoted


def test_docs_show_every_action_of_series():
    actions = ARGUMENTS["series"][0][1]["choices"]
    for action in actions:
        assert f"series {action} NAME" in TEXT, action


def test_rules_of_the_checklist_are_unique():
    rules = [rule.rule for section in RULES.values() for rule in section]
    assert len(set(rules)) == len(rules)
