"""Advisories are failures, a silent service is said plainly, and licences are those of what is pinned."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.audit import ask, check_audit, licences_document, pinned
from harness.audit.advisories import describe_audit, parse_answer
from harness.audit.licences import UNKNOWN
from harness.errors import AuditError, MissingError, OptionError
from harness.progress import Silent

ROOT = Path(__file__).resolve().parents[3]
ANSWER = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {
            "name": "bad",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": "x"}],
        },
        {"name": "unknown", "skip_reason": "Dependency not found"},
    ],
    "fixes": [],
}


def program(folder: Path, text: str, status: int) -> Path:
    path = folder / "pip-audit"
    path.write_text(f"#!{sys.executable} -IS\nimport sys\nprint({text!r})\nsys.exit({status})\n")
    path.chmod(0o755)
    return path


def test_what_was_skipped_was_not_audited_and_an_advisory_is_an_error() -> None:
    audit = parse_answer(json.dumps(ANSWER))
    assert (audit.audited, audit.skipped) == (("good", "bad"), {"unknown": "Dependency not found"})
    assert describe_audit(audit)[1].startswith("1 were NOT audited")
    with pytest.raises(AuditError) as caught:
        check_audit(audit)
    assert caught.value.details == ("bad 2.0: PYSEC-1, fixed in 2.1",)


def test_an_answer_is_taken_whatever_the_status(tmp_path: Path) -> None:
    found = ask(program(tmp_path, json.dumps(ANSWER), 1), tmp_path, ("good",), Silent(), log=tmp_path / "log")
    assert [each.name for each in found.advisories] == ["PYSEC-1"]


def test_no_network_is_told_and_no_error(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d", "e")
    found = ask(program(tmp_path, "no such host", 1), tmp_path, names, Silent(), log=tmp_path / "log")
    check_audit(found)
    lines = describe_audit(found)
    assert lines[0] == "0 pinned dependencies were audited: 0 advisories"
    assert lines[1].startswith("5 were NOT audited")
    assert lines[2] == "  a: pip-audit ended with status 1: no such host"
    assert lines[-1] == "  … and 2 more"


def test_no_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        ask(tmp_path / "none", tmp_path, (), Silent(), log=tmp_path / "log")


def test_licences_are_those_of_what_is_pinned() -> None:
    assert (ROOT / "docs" / "licences.md").read_text(encoding="utf-8") == licences_document()
    assert UNKNOWN not in licences_document()


def test_a_line_that_pins_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("# head\nrich==15.0.0\nnumpy>=2\n")
    with pytest.raises(OptionError, match="numpy>=2"):
        pinned(tmp_path / "constraints.txt")
