"""Rules on the cover letter and the version of a series. Source: docs/devel/submitting-a-patch.rst."""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged

_SOURCE = "docs/devel/submitting-a-patch.rst"

MISSING = Rule(
    id="cover-missing",
    severity="warning",
    summary="a series of several patches has no cover letter",
    remedy="write one: git format-patch --cover-letter",
    source=_SOURCE,
)
BLANK = Rule(
    id="cover-blank",
    severity="error",
    summary="the cover letter still contains git's placeholder text",
    remedy="replace the placeholder with a subject and a text",
    source="git-format-patch(1)",
)
TAG = Rule(
    id="version-tag",
    severity="warning",
    summary="the subjects of the mails disagree on the version, count or kind of the series",
    remedy="regenerate all mails: git format-patch -vN --cover-letter",
    source=_SOURCE,
)
LOG = Rule(
    id="version-changelog",
    severity="warning",
    summary="a new version has no change log",
    remedy="add a change log to the cover letter, or below the --- line of each patch",
    source=_SOURCE,
)
RULES = (MISSING, BLANK, TAG, LOG)

_LOG = re.compile(
    r"\bv\d+\b|\bchange ?log\b|\bchanges? (?:since|from|in)\b|\bsince (?:the )?last\b", re.IGNORECASE
)
_BLANK = re.compile(r"\*\*\* (?:SUBJECT|BLURB) HERE \*\*\*")


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    version, cover = judged.input.version, judged.input.cover
    if len(judged.patches) > 1 and cover is None:
        yield MISSING.finding(f"{len(judged.patches)} patches have no cover letter")
    if cover is not None and (match := _BLANK.search(f"{cover.subject.text}\n{cover.message}")):
        yield BLANK.finding(f"the cover letter contains {match[0]!r}")
    mails = [*([cover] if cover else []), *(patch.mail for patch in judged.patches)]
    reused = [judged.input.patches[at - 1] for at, _ in version.reused]
    sent = [mail for mail in mails if not any(mail is one for one in (*reused, cover if reused else None))]
    tags = {
        (mail.subject.version, mail.subject.total, mail.subject.rfc, mail.subject.kind)
        for mail in sent
        if mail.subject.counted or mail is cover
    }
    if len(tags) > 1:
        listed = ", ".join(f"v{tag[0]} of {tag[1]}{' RFC' if tag[2] else ''}" for tag in sorted(tags))
        yield TAG.finding(f"the subjects disagree: {listed}")
    if version.number > 1 and mails:
        texts = [mail.notes for mail in mails] + [cover.message if cover else ""]
        if not any(_LOG.search(_without_stat(text)) for text in texts):
            yield LOG.finding(
                f"v{version.number} has no change log in its cover letter or below the --- line"
            )


def _without_stat(text: str) -> str:
    """Remove git's diffstat from ``text``, because its file names can look like a change log."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"^ \S.* \|\s+(?:\d+|Bin)", line))
