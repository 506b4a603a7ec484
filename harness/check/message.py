"""Rules on the commit message: docs/devel/submitting-a-patch.rst, "Write a meaningful commit message"."""

import re
from collections.abc import Iterator

from harness.check import fixes
from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch, snippet
from harness.series.trailers import TRAILER

WIDTH = 76
_SOURCE = "docs/devel/submitting-a-patch.rst"

PREFIX = Rule(
    id="subject-prefix",
    severity="warning",
    summary="the subject does not begin with a subsystem",
    remedy="write it as 'subsystem: summary'; git log --oneline FILE shows the usual prefix",
    source=_SOURCE,
)
LENGTH = Rule(
    id="subject-length",
    severity="warning",
    summary=f"the subject is longer than {WIDTH} characters",
    remedy="shorten the subject and move details to the body",
    source=_SOURCE,
)
DOT = Rule(
    id="subject-dot",
    severity="warning",
    summary="the subject ends in a full stop",
    remedy="remove the full stop",
    source=_SOURCE,
)
MISSING = Rule(
    id="body-missing",
    severity="warning",
    summary="the message has no body",
    remedy="add a body that explains why the change is needed",
    source=_SOURCE,
)
WRAP = Rule(
    id="body-wrap",
    severity="warning",
    summary=f"a line of the message is longer than {WIDTH} characters",
    remedy=f"wrap the line at {WIDTH} characters",
    source=_SOURCE,
)
ALONE = Rule(
    id="body-alone",
    severity="note",
    summary="the body depends on the subject or on other mails",
    remedy="begin the body with a complete sentence, and name commits by id or subject",
    source=_SOURCE,
)
LOG = Rule(
    id="body-changelog",
    severity="warning",
    summary="the commit message contains a change log between versions",
    remedy="move the change log below the --- line",
    source=_SOURCE,
)
RULES = (PREFIX, LENGTH, DOT, MISSING, WRAP, ALONE, *fixes.RULES, LOG)

_PREFIXED = re.compile(r"^[A-Za-z0-9_.][\w\s.,/+*{}()\[\]'&|-]{0,60}?: ?\S")
_CHANGES = re.compile(
    r"^\s*(?:[-*]\s*)?(?:v\d+\s*(?:->|=>|\u2192)\s*v?\d+|v\d+:\s*$|v\d+:|changes? (?:in|since|from) v\d+|"
    r"since v\d+:)",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"^(?:\.\.\.|\u2026|so that |and |which |because |to be able )", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(?:the )?(?:previous|next|last|following|preceding|earlier) (?:patch(?:es)?|commits?)\b|"
    r"\b(?:see|in) the cover letter\b",
    re.IGNORECASE,
)


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        yield from _subject(patch)
        yield from _body(patch)
    found = [one for patch in judged.patches for one in fixes.check_form(patch)]
    yield from (one for one in found if isinstance(one, Finding))
    yield from fixes.check_history(judged, (one for one in found if isinstance(one, fixes.Reference)))


def _subject(patch: JudgedPatch) -> Iterator[Finding]:
    title = patch.mail.subject.title
    if not title:
        return
    if not _PREFIXED.match(title) and not title.startswith(('Revert "', "Reapply ")):
        yield PREFIX.finding(f"{title!r} names no subsystem", patch=patch.number)
    if len(title) > WIDTH:
        message = f"the subject has {len(title)} characters"
        yield LENGTH.finding(message, patch=patch.number, snippet=snippet(title))
    if title.endswith(".") and not title.endswith("..."):
        yield DOT.finding(f"{title!r} ends in a full stop", patch=patch.number)


def _body(patch: JudgedPatch) -> Iterator[Finding]:
    lines = patch.mail.message.splitlines()
    prose = [line for line in lines if line.strip() and not TRAILER.match(line)]
    if not prose:
        yield MISSING.finding("the message consists of the subject alone", patch=patch.number)
        return
    for line in lines:
        if len(line.rstrip()) > WIDTH and _should_wrap(line):
            message = f"a line has {len(line.rstrip())} characters"
            yield WRAP.finding(message, patch=patch.number, snippet=snippet(line))
    if _CONTINUES.match(prose[0]):
        message = "the body continues the sentence of the subject"
        yield ALONE.finding(message, patch=patch.number, snippet=snippet(prose[0]))
    if match := _ELSEWHERE.search(" ".join(prose)):
        yield ALONE.finding(f"the body refers to {match[0]!r}", patch=patch.number)
    if log := next((line for line in prose if _CHANGES.match(line)), ""):
        message = "a change log is above the --- line"
        yield LOG.finding(message, patch=patch.number, snippet=snippet(log))


def _should_wrap(line: str) -> bool:
    """Whether ``line`` can be wrapped: it is no quotation, log or trailer, and has no link or long word."""
    if line.startswith((" ", "\t", ">", "|", "#", "$")) or TRAILER.match(line):
        return False
    if line.startswith(("[", "(cherry picked from ")) or re.search(r"https?://\S+|\S{60,}", line):
        return False
    return len(line.split()) > 3
