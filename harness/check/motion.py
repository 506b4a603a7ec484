"""A rule on code that moves: movement and change in one patch cannot be told apart by a reviewer.

Source: docs/devel/submitting-a-patch.rst, "Split up long patches": "code motion … keep that separate".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch

MIXED = Rule(
    id="motion-mixed",
    severity="note",
    summary="a patch moves code and changes other code (a heuristic)",
    remedy="move the code in a patch of its own, without changing it",
    source="docs/devel/submitting-a-patch.rst",
)
RULES = (MIXED,)

MOVED = 25
"""Lines that have to turn up elsewhere before it counts as moving code."""
CHANGED = 15
"""Lines of other changes beside it: includes, declarations and build files come with every move."""
RUN = 5
"""Lines in a row that have to be the same: single ones are the same by chance."""


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    for patch in judged.patches:
        moved, other = motion(patch)
        if moved >= MOVED and other >= CHANGED:
            told = f"about {moved} lines are moved, and {other} others changed"
            yield MIXED.finding(told, patch=patch.number)


def motion(patch: JudgedPatch) -> tuple[int, int]:
    """Lines that ``patch`` takes out in one place and puts in at another; lines that it changes otherwise."""
    removed: list[tuple[str, int, list[str]]] = []
    added: list[tuple[str, int, list[str]]] = []
    for change in patch.changes:
        for number, hunk in enumerate(change.hunks):
            for mark, runs in (("-", removed), ("+", added)):
                lines: list[str] = []
                for line in (*hunk.lines, " "):
                    if line[:1] == mark:
                        lines.append(line[1:].strip())
                    elif lines and line[:1] == " ":
                        runs.append((change.path, number, lines))
                        lines = []
    places: dict[tuple[str, ...], set[tuple[str, int]]] = {}
    for path, number, lines in removed:
        for start in range(len(lines) - RUN + 1):
            places.setdefault(tuple(lines[start : start + RUN]), set()).add((path, number))
    taken: Counter[str] = Counter()
    moved = 0
    for path, number, lines in added:
        hit = [False] * len(lines)
        for start in range(len(lines) - RUN + 1):
            # The same hunk that takes lines out and puts them in again has changed what is around them.
            if places.get(tuple(lines[start : start + RUN]), set()) - {(path, number)}:
                hit[start : start + RUN] = [True] * RUN
        moved += sum(hit)
        taken.update(line for line, same in zip(lines, hit, strict=True) if same)
    plus = sum(len([line for line in lines if line]) for _, _, lines in added)
    minus = sum(len([line for line in lines if line]) for _, _, lines in removed)
    blank = sum(count for line, count in taken.items() if not line)
    return moved, max(0, plus - moved + blank, minus - moved + blank)
