"""Judge the mail of one patch on a commit of a clone, without its series, as b4's check commands ask."""

import json
from collections.abc import Sequence
from pathlib import Path

from harness.check.checkpatch import FAILED
from harness.check.model import Finding
from harness.check.registry import FAMILIES, run_checks
from harness.check.subject import Judged, JudgedPatch
from harness.progress import Silent
from harness.series import Input, Mail
from harness.source.clone import Clone
from harness.tree.git import Git, borrow_objects, make_repository

OWN_COMMITS = 300
"""Number of latest commits among which the commit of a mail is looked for."""
ALONE = frozenset(
    {
        *(rule.id for family in FAMILIES if family.name in ("applying", "building") for rule in family.rules),
        *("input-missing", "input-excerpt", "input-base", "input-count"),
        *("cover-missing", "version-changelog"),
    }
)
"""Rules that ask for the whole series, for its base or for a build. They are off for a single mail."""


def judge_mail(series: Input, clone: Clone, scratch: Path) -> Judged:
    """Return the subject of the checks for the patch in ``series``, a mail, on the commit of ``clone``.

    If one of the latest commits is the patch (``b4 prep --check``), it is judged as that commit; otherwise as
    a new one, if it applies. Nothing is written to the clone: ``scratch``, an empty folder, has its own
    repository. Raises TreeError.
    """
    git = make_repository(scratch / "git")
    borrow_objects(git.repository, clone.objects, clone.shallow)
    tip = clone.commit
    patches: list[JudgedPatch] = []
    for number, mail in enumerate(series.patches, start=1):
        found = _own(git, tip, mail) or _applied(git, tip, mail) if mail.is_sound else None
        commit, parent = found or ("", "")
        tip = commit or tip
        patches.append(JudgedPatch(number=number, mail=mail, commit=commit, parent=parent))
    return Judged(
        input=series,
        patches=tuple(patches),
        pin=clone.folder.name,
        git=git,
        base=next((patch.parent for patch in patches if patch.commit), tip),
        tip=tip,
        source=clone.folder,
        origin=clone.commit,
    )


def check_mail(judged: Judged, active: frozenset[str]) -> tuple[Finding, ...]:
    """Return the errors and warnings of the ``active`` rules, and notes on what could not be checked."""
    found = run_checks(judged, active - ALONE, Silent())
    return tuple(one for one in found if one.severity != "note" or one.rule == FAILED.id)


def terse_line(finding: Finding) -> str:
    """Return ``finding`` as the line that ``checkpatch.pl --terse`` prints: b4 looks for ``ERROR:`` in it."""
    place = f"{finding.file}:{finding.line or ''}".rstrip(":") + ": " if finding.file else ""
    return f"{place}{_label(finding)}: {finding.message} [{finding.rule}]"


def check_results(findings: Sequence[Finding]) -> str:
    """Return the findings in JSON, as b4 (0.16, ``review-perpatch-check-cmd``) reads them."""
    errors = sum(finding.severity == "error" for finding in findings)
    counts = ((errors, "error"), (len(findings) - errors, "warning"))
    summary = ", ".join(f"{number} {word}{'s' * (number > 1)}" for number, word in counts if number)
    details = [
        {
            "status": "fail" if finding.severity == "error" else "warn",
            "description": terse_line(finding),
            **({"srcline": finding.snippet[0]} if finding.snippet else {}),
        }
        for finding in findings
    ]
    result = {
        "tool": "qemu-harness",
        "status": "fail" if errors else "warn" if findings else "pass",
        "summary": summary or "passed all checks",
        "details": json.dumps(details) if details else "",
    }
    return json.dumps([result])


def _label(finding: Finding) -> str:
    return "ERROR" if finding.severity == "error" else "WARNING"


def _own(git: Git, tip: str, mail: Mail) -> tuple[str, str] | None:
    """Return the latest commit with the title and the change of ``mail``, and its parent."""
    logged = git.read("log", "-z", f"-n{OWN_COMMITS}", "--format=%H %T %P%n%s", tip)
    for entry in filter(None, logged.split("\0")):
        ids, _, title = entry.partition("\n")
        commit, tree, *parents = ids.split()
        if parents and title == mail.subject.title and _tree(git, parents[0], mail) == tree:
            return commit, parents[0]
    return None


def _applied(git: Git, tip: str, mail: Mail) -> tuple[str, str] | None:
    """Return a commit of the change of ``mail`` on ``tip``, and ``tip``; None if it does not apply."""
    tree = _tree(git, tip, mail)
    return (git.read("commit-tree", tree, "-p", tip), tip) if tree else None


def _tree(git: Git, commit: str, mail: Mail) -> str:
    """Return the tree of ``commit`` with the change of ``mail``; empty if the diff does not apply."""
    git.run("read-tree", commit)
    diff = mail.diff.encode("utf-8", "surrogateescape")
    applies = git.run("apply", "--cached", stdin=diff, check=False).returncode == 0
    return git.read("write-tree") if applies else ""
