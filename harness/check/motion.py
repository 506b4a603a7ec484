"""A rule on code motion: in a patch that moves and changes code, reviewers cannot distinguish the two.

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
    summary="a patch moves code and changes other code (heuristic)",
    remedy="move the code unchanged in a separate patch",
    source="docs/devel/submitting-a-patch.rst",
)
RULES = (MIXED,)

MOVED = 25
"""Minimum of moved lines."""
CHANGED = 15
"""Minimum of other changed lines: every move changes some includes, declarations and build files."""
RUN = 5
"""Minimum of consecutive equal lines: single lines are often equal by chance."""


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        moved, other = motion(patch)
        if moved >= MOVED and other >= CHANGED:
            message = f"the patch moves about {moved} lines and changes {other} others"
            yield MIXED.finding(message, patch=patch.number)


def motion(patch: JudgedPatch) -> tuple[int, int]:
    """Return how many lines ``patch`` moves from one hunk to another, and how many others it changes."""
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
            # A hunk that removes and adds the same lines changes the lines around them.
            if places.get(tuple(lines[start : start + RUN]), set()) - {(path, number)}:
                hit[start : start + RUN] = [True] * RUN
        moved += sum(hit)
        taken.update(line for line, same in zip(lines, hit, strict=True) if same)
    plus = sum(len([line for line in lines if line]) for _, _, lines in added)
    minus = sum(len([line for line in lines if line]) for _, _, lines in removed)
    blank = sum(count for line, count in taken.items() if not line)
    return moved, max(0, plus - moved + blank, minus - moved + blank)
