"""The items of the checklist, and the facts that they are judged by."""

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
    """The facts that the rules are judged by."""

    series: Series
    validated: Validated
    recipients: Recipients
    reasons: tuple[Reason, ...]
    unsigned: tuple[str, ...]
    """Subjects of the patches without a Signed-off-by of their author."""
    dropped_tags: tuple[str, ...]
    base_commit: str
    base_words: str
    has_cover: bool
    irregular_mails: tuple[str, ...]
    """One line for each irregularity of the finished mails: multipart, HTML, flowed text."""
    round_trip: str
    """Result of ``git am`` of the mails."""
    send_email: tuple[Verdict, str]
    """Result of a dry run of git send-email."""
