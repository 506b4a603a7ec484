"""Rules on blanks and line ends in what a patch adds: docs/devel/style.rst and git-diff(1), ``--check``."""

from __future__ import annotations

from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch, snippet

TRAILING = Rule(
    id="whitespace-trailing",
    severity="warning",
    summary="an added line ends in blanks",
    remedy="take them off: git rebase --whitespace=fix",
    source="docs/devel/style.rst",
)
TAB = Rule(
    id="whitespace-space-tab",
    severity="warning",
    summary="an added line is indented by a space before a tab",
    remedy="indent it as the lines around it",
    source="git-diff(1)",
)
END = Rule(
    id="whitespace-end",
    severity="warning",
    summary="a file ends in a blank line that the patch adds, or without a line end",
    remedy="let it end in one line end",
    source="git-diff(1)",
)
CR = Rule(
    id="whitespace-cr",
    severity="warning",
    summary="an added line ends in CR LF where the file's others do not",
    remedy="set the editor to Unix line ends",
    source="docs/devel/style.rst",
)
RULES = (TRAILING, TAB, END, CR)

_FREE = (".patch", ".diff", ".svg", ".md")
"""Kinds of file in which blanks at the end of a line mean something."""


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
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
            yield TRAILING.finding("blanks at the end of a line", snippet=snippet(text), **where)  # type: ignore[arg-type]
        indent = bare[: len(bare) - len(bare.lstrip(" \t"))]
        if " \t" in indent:
            yield TAB.finding("a space before a tab", snippet=snippet(text), **where)  # type: ignore[arg-type]
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
            yield END.finding("a blank line at its end", patch=patch.number, file=change.new, line=last)
        elif now and not now.endswith("\n") and (before.endswith("\n") or not before):
            yield END.finding("no line end at its end", patch=patch.number, file=change.new, line=last + 1)
