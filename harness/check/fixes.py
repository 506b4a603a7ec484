"""Rules on ``Fixes:`` lines: their form, and the commits that they name, where the tree has its history."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.check.model import Finding, Rule, Severity
from harness.check.subject import Judged, JudgedPatch, snippet

FORM = Rule(
    id="body-fixes",
    severity="warning",
    summary="a Fixes: line is malformed",
    remedy='write it below the description as: Fixes: 14055ce53c2d ("subject of that commit")',
    source="docs/devel/submitting-a-patch.rst",
)
WRAPPED = Rule(
    id="fixes-wrapped",
    severity="note",
    summary="a Fixes: line is wrapped (a warning if git does not read its second line either)",
    remedy="write it in one line, however long: programs that look for Fixes: read only that",
    source="git-interpret-trailers(1); checkpatch.pl of Linux",
)
UNKNOWN = Rule(
    id="fixes-unknown",
    severity="warning",
    summary="a Fixes: line names a commit that the history of the base lacks (a note if that is short)",
    remedy="name the commit as it was merged: git log --oneline -- FILE",
    source="docs/devel/submitting-a-patch.rst",
)
SUBJECT = Rule(
    id="fixes-subject",
    severity="warning",
    summary="a Fixes: line quotes another subject than that of the commit that it names",
    remedy="correct the id or the subject: git log -1 --abbrev=12 --format='Fixes: %h (\"%s\")' COMMIT",
    source="docs/devel/submitting-a-patch.rst",
)
RULES = (FORM, WRAPPED, UNKNOWN, SUBJECT)

_FORM = re.compile(
    r"^([0-9a-f]{12,40}),? \(\s*(?:[\"'\u201c](.+)[\"'\u201d]\s*(?:,[^()]*)?|(.+), \d{4}-\d\d-\d\d)\)"
)
"""Also with a date, as git show --pretty=reference prints it, without or with quotation marks."""
_OTHER = re.compile(r"^(?:https?://|CVE-|Coverity|CID|#\d|LP|launchpad|<?http|bug)", re.IGNORECASE)
_COMMIT = re.compile(r"(?:commit )?([0-9a-fA-F]{1,40})\b")
DIGITS = 12
"""Digits of a commit id that QEMU asks for."""
_LINES = 3
"""Lines over which a wrapped title is looked for."""
LONG_HISTORY = 1000
"""Commits; QEMU has more than 100,000. A clone with fewer may be cut or made for a test."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A commit that a patch claims to fix. ``subject`` is empty if it is not known."""

    patch: int
    commit: str
    subject: str
    line: str


def check_form(patch: JudgedPatch) -> Iterator[Finding | Reference]:
    """Yield what is wrong with each Fixes: line of ``patch``, and the commit that it names."""
    lines = patch.mail.message.splitlines()
    for at, line in enumerate(lines):
        value = line.partition(":")[2].strip()
        if not line.lower().startswith("fixes:") or _OTHER.match(value):
            continue
        whole, wrapped = _unwrapped(value, lines[at + 1 : at + _LINES])
        found = _FORM.match(whole)
        commit = _COMMIT.match(value)
        if wrapped:
            folded = lines[at + 1].startswith((" ", "\t"))
            yield WRAPPED.finding(
                "the Fixes: line is wrapped",
                patch=patch.number,
                snippet=(*snippet(line), *snippet(lines[at + 1])),
                severity=None if folded else "warning",
            )
        if found:
            message = ""
        elif commit is None:
            message = "the Fixes: line names no commit"
        elif len(commit[1]) < DIGITS:
            message = f"the commit id {commit[1]} has {len(commit[1])} digits instead of {DIGITS}"
        else:
            message = "the Fixes: line lacks the subject of the commit"
        if message:
            yield FORM.finding(message, patch=patch.number, snippet=snippet(line))
        if commit is not None and len(commit[1]) >= DIGITS:  # a shorter one may be ambiguous
            subject = (found[2] or found[3]) if found else ""
            yield Reference(patch=patch.number, commit=commit[1], subject=subject, line=line)


def _unwrapped(value: str, following: Iterable[str]) -> tuple[str, bool]:
    """Return ``value`` with the lines that it goes on in, if they complete it, and whether there are any."""
    whole = value
    for line in following:
        if _FORM.match(whole) or not line.strip():
            break
        whole = f"{whole} {line.strip()}"
    complete = whole != value and _FORM.match(whole) is not None
    return (whole, True) if complete else (value, False)


def check_history(judged: Judged, references: Iterable[Reference]) -> Iterator[Finding]:
    """Yield the ``references`` that the history of the base contradicts; nothing if there is no history."""
    named = tuple(references)
    if not named or not judged.has_history:
        return
    git = judged.git
    count = int(git.read("rev-list", "--count", f"--max-count={LONG_HISTORY}", judged.base))
    names = "".join(f"{one.commit}^{{commit}}\n" for one in named)
    ids = git.read("cat-file", "--batch-check=%(objectname)", stdin=names.encode()).splitlines()
    for one, answer in zip(named, ids, strict=True):
        text = _why_unknown(judged, one, answer)
        if text and not _is_picked(judged, one.commit):
            severity: Severity | None = "note" if count < LONG_HISTORY else None
            text += _same_subject(judged, one.subject)
            text += f", which has {count} commits here" if severity else ""
            yield UNKNOWN.finding(text, patch=one.patch, snippet=snippet(one.line), severity=severity)
        elif not text and one.subject:
            actual = git.read("show", "-s", "--format=%s", answer)
            if _plain(one.subject) != _plain(actual):
                message = f"commit {one.commit} has the subject {actual!r}"
                yield SUBJECT.finding(message, patch=one.patch, snippet=snippet(one.line))


def _why_unknown(judged: Judged, one: Reference, answer: str) -> str:
    """Return how the commit ``one``, about which git gives the ``answer``, is missing from the history."""
    if answer.endswith(" missing"):
        return f"there is no commit {one.commit}"
    is_known = judged.git.is_ancestor(answer, judged.base)
    return "" if is_known else f"commit {one.commit} is not in the history of the base"


def _is_picked(judged: Judged, commit: str) -> bool:
    """Whether the base has ``commit`` as another one: in a stable branch, by git cherry-pick -x."""
    words = ("log", "-1", "--format=%h", "-F", f"--grep=(cherry picked from commit {commit}")
    return bool(judged.git.read(*words, judged.base))


def _same_subject(judged: Judged, subject: str) -> str:
    """Return what to add to a message if another commit has ``subject``."""
    words = ("log", "-1", "--abbrev=12", "--format=%h %s", "-F", f"--grep={subject}")
    found = judged.git.read(*words, judged.base) if subject else ""
    commit, _, actual = found.partition(" ")
    return f", but {commit} has this subject" if _plain(actual) == _plain(subject) and commit else ""


def _plain(subject: str) -> str:
    return re.sub(r"\W+", " ", subject).strip().lower()
