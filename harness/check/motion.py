"""A rule on code motion: in a patch that moves and changes code, reviewers cannot distinguish the two.

Source: docs/devel/submitting-a-patch.rst, "Split up long patches": "code motion … keep that separate".
"""

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

_Place = tuple[str, int]
"""Path and number of a hunk."""


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        moved, other = motion(patch)
        if moved >= MOVED and other >= CHANGED:
            message = f"the patch moves about {moved} lines and changes {other} others"
            yield MIXED.finding(message, patch=patch.number)


def motion(patch: JudgedPatch) -> tuple[int, int]:
    """Return how many lines ``patch`` moves from one hunk to another, and how many others it changes."""
    removed, added = list(_runs(patch, "-")), list(_runs(patch, "+"))
    places: dict[tuple[str, ...], set[_Place]] = {}
    for place, lines in removed:
        for window in _windows(lines):
            places.setdefault(window, set()).add(place)
    moved: list[str] = []
    for place, lines in added:
        hits: set[int] = set()
        for start, window in enumerate(_windows(lines)):
            # A hunk that removes and adds the same lines changes the lines around them.
            if places.get(window, set()) - {place}:
                hits |= set(range(start, start + RUN))
        moved += [lines[hit] for hit in hits]
    # Blank lines are not counted as changes.
    plus, minus = (len([line for _, lines in runs for line in lines if line]) for runs in (added, removed))
    return len(moved), max(plus, minus) - len([line for line in moved if line])


def _runs(patch: JudgedPatch, mark: str) -> Iterator[tuple[_Place, list[str]]]:
    """Yield the lines between two context lines that are marked ``+`` or ``-``, without their indentation."""
    for change in patch.changes:
        for number, hunk in enumerate(change.hunks):
            lines: list[str] = []
            for line in (*hunk.lines, " "):
                if line[:1] == mark:
                    lines.append(line[1:].strip())
                elif lines and line[:1] == " ":
                    yield (change.path, number), lines
                    lines = []


def _windows(lines: list[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(lines[start : start + RUN]) for start in range(len(lines) - RUN + 1))
