"""The tables of docs/checks.md."""

from pathlib import Path

from harness.check import FAMILIES, RULES
from harness.check.docs import MARK, regenerate, tables


def test_document_lists_every_rule():
    text = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")
    assert text == regenerate(text), "run: python -m harness.check.docs docs/checks.md"
    assert text.count("\n| `") >= len(RULES)


def test_text_above_the_mark_is_kept():
    assert regenerate(f"text\n{MARK}old\n{MARK}older\n") == f"text\n{MARK}{tables()}"


def test_each_family_has_a_table():
    assert tables().count("| rule | severity | problem | remedy |\n|---|") == len(FAMILIES)
    rule = RULES["cover-missing"]
    row = f"| `cover-missing` | warning | {rule.summary} | {rule.remedy} |\n"
    assert (
        f"\n### Cover letter\n\n| rule | severity | problem | remedy |\n|---|---|---|---|\n{row}" in tables()
    )
