"""What the checklist is judged by, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.series import Series
from harness.submit.provenance import Reason
from harness.submit.recipients import Recipients
from harness.submit.validated import Validated

Verdict = Literal["yes", "no", "person", "not needed"]
BOXES: dict[Verdict, str] = {"yes": "[x]", "no": "[!]", "person": "[ ]", "not needed": "[-]"}


@dataclass(frozen=True, kw_only=True)
class ChecklistItem:
    """One rule. ``section`` is the anchor in submitting-a-patch.rst."""

    section: str
    rule: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rules are judged by."""

    series: Series
    validated: Validated
    recipients: Recipients
    reasons: tuple[Reason, ...]
    unsigned: tuple[str, ...]
    """Subjects of the patches that will have no Signed-off-by of their author."""
    dropped_tags: tuple[str, ...]
    base_commit: str
    base_words: str
    has_cover: bool
    odd_mails: tuple[str, ...]
    """What is odd about the mails as they were read back: parts, HTML, flowed text; a line each."""
    round_trip: str
    """What ``git am`` of the result gave."""
    send_email: tuple[Verdict, str]
    """What a dry run of git send-email gave."""
