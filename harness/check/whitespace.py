"""Rules on whitespace and line ends in added lines: docs/devel/style.rst and git-diff(1), ``--check``."""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch, snippet

TRAILING = Rule(
    id="whitespace-trailing",
    severity="warning",
    summary="an added line has trailing whitespace",
    remedy="remove it: git rebase --whitespace=fix",
    source="docs/devel/style.rst",
)
TAB = Rule(
    id="whitespace-space-tab",
    severity="warning",
    summary="the indentation of an added line has a space before a tab",
    remedy="indent the line like the lines around it",
    source="git-diff(1)",
)
END = Rule(
    id="whitespace-end",
    severity="warning",
    summary="the patch makes a file end in a blank line or without a line end",
    remedy="end the file with exactly one line end",
    source="git-diff(1)",
)
CR = Rule(
    id="whitespace-cr",
    severity="warning",
    summary="an added line ends in CR LF, unlike the other lines of the file",
    remedy="use Unix line ends",
    source="docs/devel/style.rst",
)
CONFLICT = Rule(
    id="whitespace-conflict",
    severity="error",
    summary="an added line is the marker of a merge conflict",
    remedy="resolve the conflict in the patch that adds the line: git rebase -i, edit",
    source="git-diff(1)",
)
RULES = (TRAILING, TAB, END, CR, CONFLICT)

_FREE = (".patch", ".diff", ".svg", ".md")
"""Types of file in which trailing whitespace is allowed or has a meaning."""
_MARKER = re.compile(r"(?:<{7}|>{7}) \S")
"""A line of seven equals signs may underline a title."""


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        yield from _lines(patch)
        if patch.commit:
            yield from _ends(judged, patch)


def _lines(patch: JudgedPatch) -> Iterator[Finding]:
    for change, number, text in patch.added():
        if change.path.endswith(_FREE) or change.new_mode == "120000":
            continue
        bare = text.removesuffix("\r")
        where = {"patch": patch.number, "file": change.path, "line": number}
        if bare != bare.rstrip(" \t"):
            yield TRAILING.finding("trailing whitespace", snippet=snippet(text), **where)  # type: ignore[arg-type]
        indent = bare[: len(bare) - len(bare.lstrip(" \t"))]
        if " \t" in indent:
            yield TAB.finding("space before a tab in the indentation", snippet=snippet(text), **where)  # type: ignore[arg-type]
        if _MARKER.match(bare):
            yield CONFLICT.finding("the line marks a conflict", snippet=snippet(bare), **where)  # type: ignore[arg-type]
        if text.endswith("\r") and not any(
            line.endswith("\r") for hunk in change.hunks for line in hunk.lines if line[:1] in " -"
        ):
            yield CR.finding("the line ends in CR LF", **where)  # type: ignore[arg-type]


def _ends(judged: Judged, patch: JudgedPatch) -> Iterator[Finding]:
    for change in patch.changes:
        if not change.new or change.binary or change.new_mode == "120000" or not change.hunks:
            continue
        now = judged.read(patch.commit, change.new) or ""
        before = (judged.read(patch.parent, change.old) or "") if change.old else ""
        last = now.count("\n") or 1
        if now.endswith("\n\n") and not before.endswith("\n\n"):
            yield END.finding(
                "blank line at the end of the file", patch=patch.number, file=change.new, line=last
            )
        elif now and not now.endswith("\n") and (before.endswith("\n") or not before):
            message = "no line end at the end of the file"
            yield END.finding(message, patch=patch.number, file=change.new, line=last + 1)
