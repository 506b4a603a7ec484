"""Why a patch does not apply, told so that it can be mended: which hunk, and what the tree has there."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.errors import ApplyError, HarnessError
from harness.process import run
from harness.series import FileChange, Hunk, scan_changes
from harness.tree.git import Git
from harness.tree.safety import Place

SHOWN = 7
"""Lines of the tree to show around the best match."""
MAX_HUNKS = 6
IN_PLACE = "where it says"


def explain(worktree: Git, place: Place, diff: Path, said: str, notes: Sequence[str]) -> ApplyError:
    """The error for ``diff``, which ``git am`` just refused in ``worktree`` (clean again, to be thrown away).

    ``said`` is git am's output, ``notes`` the offsets of hunks before. The hunks' fates are found by
    ``git apply --reject``, which goes on after a hunk that fails (git-apply(1)).
    """
    changes = scan_changes(diff.read_bytes().decode("utf-8", "surrogateescape"))
    assert worktree.at is not None
    before = {change.old: _lines(worktree.at / change.old) for change in changes if change.old}
    fuzz = _fuzz(worktree.at, diff)
    verdict = worktree.run("apply", "--reject", "-v", "--whitespace=nowarn", diff, check=False).output
    fates = _fates(verdict)
    details: list[str] = []
    applied: list[str] = list(notes)
    in_place = 0
    shown = 0
    failed: list[str] = []
    for change in changes:
        lines = before.get(change.old)
        if change.old and lines is None:
            details += [f"{change.old}: the tree has no such file"]
            failed.append(change.old)
            continue
        if not change.old and (worktree.at / change.new).exists() and "already exists" in verdict:
            details += [f"{change.new}: the patch makes this file, but the tree has it already"]
            failed.append(change.new)
            continue
        for number, hunk in enumerate(change.hunks, start=1):
            fate = fates.get((change.path, number), "")
            if fate == "rejected":
                failed.append(change.path)
                shown += 1
                if shown <= MAX_HUNKS:
                    details += _tell_hunk(change, number, hunk, lines or [], fuzz)
            elif fate == IN_PLACE:
                in_place += 1
            elif fate:
                applied.append(f"{change.path} hunk {number} {fate}")
    if shown > MAX_HUNKS:
        details.append(f"and {shown - MAX_HUNKS} more hunks")
    if not details:
        details += [line for line in said.splitlines() if line.startswith(("error:", "fatal:", "CONFLICT"))]
    if in_place:
        applied.append(f"{in_place} hunks of this patch at the lines they say")
    if applied:
        details += ["", "hunks that do apply:", *(f"  {note}" for note in applied)]
    where = ", ".join(dict.fromkeys(failed))
    return ApplyError(
        f"{place.title} does not apply" + (f" to {where}" if where else ""),
        "rebase the series: change that patch to fit the lines shown, or choose the pin it was written for",
        details=tuple(details),
    )


def _tell_hunk(
    change: FileChange, number: int, hunk: Hunk, lines: list[str], fuzz: dict[tuple[str, int], str]
) -> list[str]:
    told = [
        f"{change.path}, hunk {number} of {len(change.hunks)}: {hunk.header}",
        "  the patch expects:",
        *(f"    {'':5} {mark} {text}" for mark, text in _expected(hunk)),
    ]
    start = best_place(lines, hunk)
    if start is None:
        told.append("  the tree has nothing like it in this file")
    else:
        wanted = max(SHOWN, len(hunk.before))
        first = max(0, min(start, len(lines) - wanted))
        region = lines[first : first + wanted]
        told.append(f"  the tree has at lines {first + 1}-{first + len(region)}:")
        known = {*hunk.before, ""}  # a blank line tells nothing
        told += [
            f"    {number:5} {' ' if text in known else '!'} {text}".rstrip()
            for number, text in enumerate(region, start=first + 1)
        ]
    loose = fuzz.get((change.path, number))
    if loose:
        told.append(f"  patch(1), which is less strict, would put it {loose}")
    return told


def _expected(hunk: Hunk) -> list[tuple[str, str]]:
    return [(line[:1], line[1:].rstrip()) for line in hunk.lines]


def best_place(lines: Sequence[str], hunk: Hunk) -> int | None:
    """The index in ``lines`` where the tree is most like what ``hunk`` expects; None for nowhere.

    Equal lines count in order (difflib); of equally good places the one nearest to the hunk's line wins.
    Blank lines and lone braces are everywhere and do not count.
    """
    before = [line.strip() for line in hunk.before]
    telling = {line for line in before if len(line) > 2}
    stripped = [line.strip() for line in lines]
    near = [index for index, line in enumerate(stripped) if line in telling]
    if not near:
        # Nothing equal: the most similar single line.
        close = difflib.get_close_matches(max(before, key=len, default=""), stripped, n=1, cutoff=0.6)
        if not close:
            return None
        return max(0, stripped.index(close[0]) - len(before) // 2)
    best, best_score = None, (-1.0, 0)
    starts = {max(0, index - shift) for index in near for shift in range(len(before))}
    if len(starts) > 4000:  # a line that is all over a long file
        starts = {start for start in starts if abs(start - hunk.old_start) < 1000}
    for start in sorted(starts):
        window = stripped[start : start + len(before)]
        matcher = difflib.SequenceMatcher(None, before, window, autojunk=False)
        equal = sum(
            sum(1 + (before[block.a + at] in telling) for at in range(block.size))
            for block in matcher.get_matching_blocks()
        )
        score = (float(equal), -abs(start + 1 - hunk.old_start))
        if score > best_score:
            best, best_score = start, score
    return best


def _fates(output: str) -> dict[tuple[str, int], str]:
    """``git apply --reject -v`` → (file, hunk) → ``rejected``, IN_PLACE, or where it applies."""
    fates: dict[tuple[str, int], str] = {}
    moved: dict[tuple[str, int], str] = {}
    file = ""
    for line in output.splitlines():
        header = re.match(r"(?:Checking|Applying) patch (.+?)(?:\.\.\.| with \d+ rejects?\.\.\.)$", line)
        if header:
            file = header[1].partition(" => ")[2] or header[1]
        if found := re.match(r"Hunk #(\d+) succeeded at (\d+) \(offset (-?\d+) lines?\)", line):
            moved[file, int(found[1])] = f"at line {found[2]} (offset {int(found[3]):+d})"
        elif found := re.match(r"Hunk #(\d+) applied cleanly", line):
            key = (file, int(found[1]))
            fates[key] = moved.get(key, IN_PLACE)
        elif found := re.match(r"Rejected hunk #(\d+)", line):
            fates[file, int(found[1])] = "rejected"
        elif found := re.match(r"Applied patch (.+) cleanly", line):
            file = found[1].partition(" => ")[2] or found[1]
            for number in range(1, 1000):
                fates.setdefault((file, number), moved.get((file, number), IN_PLACE))
    return fates


def _fuzz(folder: Path, diff: Path) -> dict[tuple[str, int], str]:
    """What patch(1) would do with hunks that git refuses; nothing when it is not installed."""
    if shutil.which("patch") is None:
        return {}
    try:
        ended = run(
            ["patch", "-p1", "--dry-run", "--force", "--no-backup-if-mismatch", "-i", diff],
            cwd=folder,
            check=False,
            timeout_s=60,
        )
    except HarnessError:
        return {}
    found: dict[tuple[str, int], str] = {}
    file = ""
    for line in ended.output.splitlines():
        if header := re.match(r"checking file '?(.+?)'?(?: \(.*\))?$", line):
            file = header[1]
        elif hunk := re.match(r"Hunk #(\d+) succeeded at (\d+)(?: with fuzz (\d+))?", line):
            loose = f" with fuzz {hunk[3]}" if hunk[3] else ""
            found[file, int(hunk[1])] = f"at line {hunk[2]}{loose}"
    return found


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
