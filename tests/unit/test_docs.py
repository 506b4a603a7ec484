"""Documents that are generated, compared with their sources."""

import re

from tests.docs import results_document
from tests.unit.defaults import ROOT

DOCS = ROOT / "docs"


def test_description_of_results_is_up_to_date():
    remedy = "run: python -m tests.docs > docs/results.md"
    assert (DOCS / "results.md").read_text(encoding="utf-8") == results_document(), remedy


def test_licences_are_those_of_the_pinned_dependencies():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    text = (DOCS / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) +\| (\S+) +\| (.+?) +\|$", text, re.MULTILINE)[1:]
    assert {name: version for name, version, _ in rows} == pinned, "run: nox -s lock"
    assert "UNKNOWN" not in [licence for _, _, licence in rows]
