"""Documents that are generated, compared with their sources."""

from __future__ import annotations

from pathlib import Path

from tests.docs import results_document

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_description_of_results_is_up_to_date() -> None:
    remedy = "run: python -m tests.docs > docs/results.md"
    assert (DOCS / "results.md").read_text(encoding="utf-8") == results_document(), remedy
