"""Explain why a patch does not apply: the rejected hunks, and the lines of the tree in their place."""

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
"""Number of lines of the tree to show around the best match."""
MAX_HUNKS = 6
IN_PLACE = "at its line"


def explain(worktree: Git, place: Place, diff: Path, output: str, notes: Sequence[str]) -> ApplyError:
    """Return the error for ``diff``, which ``git am`` rejected with ``output`` in ``worktree``.

    ``worktree`` is clean and may be changed. ``notes`` are the offsets of hunks of earlier patches. The
    result of each hunk comes from ``git apply --reject``, which continues after a rejected hunk.
    """
    changes = scan_changes(diff.read_bytes().decode("utf-8", "surrogateescape"))
    assert worktree.at is not None
    before = {change.old: _lines(worktree.at / change.old) for change in changes if change.old}
    fuzz = _fuzz(worktree.at, diff)
    verdict = worktree.run("apply", "--reject", "-v", "--whitespace=nowarn", diff, check=False).output
    results = _results(verdict)
    details: list[str] = []
    applied: list[str] = list(notes)
    in_place = 0
    shown = 0
    failed: list[str] = []
    for change in changes:
        lines = before.get(change.old)
        if problem := _file_problem(worktree, change, lines, verdict):
            details += [f"{change.old or change.new}: {problem}"]
            failed.append(change.old or change.new)
            continue
        for number, hunk in enumerate(change.hunks, start=1):
            result = results.get((change.path, number), "")
            if result == "rejected":
                failed.append(change.path)
                shown += 1
                if shown <= MAX_HUNKS:
                    details += _describe_hunk(change, number, hunk, lines or [], fuzz)
            elif result == IN_PLACE:
                in_place += 1
            elif result:
                applied.append(f"{change.path} hunk {number} {result}")
    if shown > MAX_HUNKS:
        details.append(f"and {shown - MAX_HUNKS} more hunks")
    if in_place:
        applied.append(f"{in_place} hunks of this patch at their own lines")
    if applied:
        details += ["", "hunks that apply:", *(f"  {note}" for note in applied)]
    where = ", ".join(dict.fromkeys(failed))
    if shown:
        remedy = (
            "rebase the series: adapt the patch to the lines above, or select the pin that it was written for"
        )
        return place.error(f"does not apply to {where}", remedy, details=tuple(details), kind="context")
    if failed:
        remedy = "select the tree that the series was made for, with -Dpin= or -Dsource="
        return place.error(
            f"does not apply to {where}: {details[0].partition(': ')[2]}",
            remedy,
            details=tuple(details),
            kind="file",
        )
    stopped = [line for line in output.splitlines() if line.startswith(("error:", "fatal:"))]
    why = next((line.partition(": ")[2] for line in stopped if not line.endswith("patch does not apply")), "")
    return place.error(
        f"is refused by git am: {why or 'no reason given'}",
        "write it again with git format-patch; git am has to accept it",
        details=tuple(stopped or output.splitlines()[-5:]),
    )


def _file_problem(worktree: Git, change: FileChange, lines: list[str] | None, verdict: str) -> str:
    assert worktree.at is not None
    if change.old and lines is None:
        return f"the tree has no such file{_elsewhere(worktree, change)}"
    if not change.old and (worktree.at / change.new).exists() and "already exists" in verdict:
        return "the patch creates this file, but the tree already has it"
    return ""


def _elsewhere(worktree: Git, change: FileChange) -> str:
    """Return the other place of a file that the tree lacks, if it has one with many of the expected lines."""
    name = change.old.rpartition("/")[2]
    pattern = re.sub(r"([*?[])", r"[\1]", name)
    listed = worktree.read("ls-files", "-z", "--", f":(glob)**/{pattern}").split("\0")
    expected = {line.strip() for hunk in change.hunks for line in hunk.before if len(line.strip()) > 2}
    for path in filter(None, listed):
        text = worktree.run("cat-file", "blob", f":{path}", check=False, merge_stderr=False).output
        have = {line.strip() for line in text.splitlines()}
        if expected and 2 * len(expected & have) > len(expected):
            return f"; it has {path}, with most of the lines that the patch expects"
    return ""


def _describe_hunk(
    change: FileChange, number: int, hunk: Hunk, lines: list[str], fuzz: dict[tuple[str, int], str]
) -> list[str]:
    text = [
        f"{change.path}, hunk {number} of {len(change.hunks)}: {hunk.header}",
        "  the patch expects:",
        *(f"    {'':5} {mark} {line}" for mark, line in _expected(hunk)),
    ]
    start = best_place(lines, hunk)
    if start is None:
        text.append("  this file of the tree has no similar lines")
    else:
        wanted = max(SHOWN, len(hunk.before))
        first = max(0, min(start, len(lines) - wanted))
        region = lines[first : first + wanted]
        text.append(f"  the tree has at lines {first + 1}-{first + len(region)}:")
        known = {*hunk.before, ""}  # a blank line is never marked
        text += [
            f"    {number:5} {' ' if line in known else '!'} {line}".rstrip()
            for number, line in enumerate(region, start=first + 1)
        ]
    loose = fuzz.get((change.path, number))
    if loose:
        text.append(f"  patch(1), which is less strict, would apply it {loose}")
    return text


def _expected(hunk: Hunk) -> list[tuple[str, str]]:
    return [(line[:1], line[1:].rstrip()) for line in hunk.lines]


def best_place(lines: Sequence[str], hunk: Hunk) -> int | None:
    """Return the index in ``lines`` that is most similar to the lines that ``hunk`` expects, or None.

    The score is the number of equal lines in order (difflib). Blank lines and single braces count less,
    because they occur everywhere. Of equal scores, the one nearest to the line number of the hunk wins.
    """
    before = [line.strip() for line in hunk.before]
    distinctive = {line for line in before if len(line) > 2}
    stripped = [line.strip() for line in lines]
    near = [index for index, line in enumerate(stripped) if line in distinctive]
    if not near:
        # No equal line: use the most similar one.
        close = difflib.get_close_matches(max(before, key=len, default=""), stripped, n=1, cutoff=0.6)
        if not close:
            return None
        return max(0, stripped.index(close[0]) - len(before) // 2)
    best, best_score = None, (-1.0, 0)
    starts = {max(0, index - shift) for index in near for shift in range(len(before))}
    if len(starts) > 4000:  # the line is frequent in a long file
        starts = {start for start in starts if abs(start - hunk.old_start) < 1000}
    for start in sorted(starts):
        window = stripped[start : start + len(before)]
        matcher = difflib.SequenceMatcher(None, before, window, autojunk=False)
        equal = sum(
            sum(1 + (before[block.a + at] in distinctive) for at in range(block.size))
            for block in matcher.get_matching_blocks()
        )
        score = (float(equal), -abs(start + 1 - hunk.old_start))
        if score > best_score:
            best, best_score = start, score
    return best


def _results(output: str) -> dict[tuple[str, int], str]:
    """Parse ``git apply --reject -v``: (file, hunk) → ``rejected``, IN_PLACE, or the line with its offset."""
    results: dict[tuple[str, int], str] = {}
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
            results[key] = moved.get(key, IN_PLACE)
        elif found := re.match(r"Rejected hunk #(\d+)", line):
            results[file, int(found[1])] = "rejected"
        elif found := re.match(r"Applied patch (.+) cleanly", line):
            file = found[1].partition(" => ")[2] or found[1]
            for number in range(1, 1000):
                results.setdefault((file, number), moved.get((file, number), IN_PLACE))
    return results


def _fuzz(folder: Path, diff: Path) -> dict[tuple[str, int], str]:
    """Return where patch(1) would apply each hunk, by (file, hunk); empty if it is not installed."""
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
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.removesuffix("\n").split("\n") if text else []  # a form feed ends no line
