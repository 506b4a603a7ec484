"""The tables of docs/checks.md, generated from the registry: ``python -m harness.check.docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.check.registry import FAMILIES

MARK = (
    "<!-- The tables below are made by `python -m harness.check.docs docs/checks.md`; a test compares. -->\n"
)


def tables() -> str:
    """A table a family, with each rule's severity, what it finds and its remedy."""
    parts = []
    for family in FAMILIES:
        rows = "".join(
            f"| `{rule.id}` | {rule.severity} | {rule.summary} | {rule.remedy} |\n" for rule in family.rules
        )
        title = family.name.capitalize()
        parts.append(f"\n### {title}\n\n| rule | severity | finds | remedy |\n|---|---|---|---|\n{rows}")
    return "".join(parts)


def renew(text: str) -> str:
    """``text`` with the tables below the mark made anew."""
    return text.partition(MARK)[0] + MARK + tables()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
