"""Convert diffs of other programs to git's format.

``diff -u``, quilt and Debian's patch queues omit the ``diff --git`` line, which identifies the file. This
module adds it from the ``---`` and ``+++`` lines, as ``git apply -p1`` reads them.
"""

from __future__ import annotations

import re

from harness.series.patch import HUNK

_EPOCH = re.compile(r"\t(?:1970-01-01 0[0-9]:00:00|Thu Jan +1 0\d:00:00 1970)")


def git_diff(text: str) -> tuple[str, bool]:
    """Add missing ``diff --git`` lines to ``text``; return the result and whether it differs.

    Hunks are skipped by the line counts in their headers, so text inside a hunk is never taken for a header.
    """
    lines = text.split("\n")
    out: list[str] = []
    index, inside, changed = 0, False, False
    while index < len(lines):
        line = lines[index]
        if hunk := HUNK.match(line):
            end = _hunk_end(lines, index, hunk)
            out += lines[index:end]
            index = end
            continue
        if line.startswith("diff --git "):
            inside = True
        elif line.startswith(("Index: ", "=" * 20, "diff -")) and not inside:
            changed = True
            index += 1
            continue
        elif line.startswith("--- ") and index + 1 < len(lines) and lines[index + 1].startswith("+++ "):
            if not (inside and _in_header(out)):
                out += _headers(line[4:], lines[index + 1][4:])
                changed = True
            out += [_named("--- ", line), _named("+++ ", lines[index + 1])]
            index += 2
            continue
        out.append(line)
        index += 1
    return "\n".join(out), changed


_AFTER_HUNK = (
    "diff ",
    "@@ ",
    "--",
    "\\",
    "Index: ",
    "===",
    "+++ ",
    "Submodule ",
    "base-commit: ",
    "prerequisite-",
)


def stray_line(text: str) -> str:
    """Return the first line directly after a hunk that is not valid there; empty if there is none.

    git apply ignores such a line, for example the rest of a long line that a mailer wrapped.
    """
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        hunk = HUNK.match(lines[index])
        if hunk is None:
            index += 1
            continue
        index = _hunk_end(lines, index, hunk)
        after = lines[index].rstrip("\r") if index < len(lines) else ""
        if after.strip() and not after.startswith(_AFTER_HUNK):
            return after
    return ""


def _in_header(out: list[str]) -> bool:
    """Return whether the lines since the last ``diff --git`` are still its header."""
    for line in reversed(out):
        if line.startswith("diff --git "):
            return True
        if line[:1] in ("+", "-", " ", "@", "\\") or line.startswith("--- "):
            return False
    return False


def _headers(old: str, new: str) -> list[str]:
    names = [_path(old), _path(new)]
    made, gone = names[0] == "/dev/null" or bool(_EPOCH.search(old)), names[1] == "/dev/null"
    path = names[0] if gone else names[1]
    quote = '"' if path.startswith('"') else ""
    path = path.strip(quote) if quote else path
    rest = path.partition("/")[2] or path
    lines = [f"diff --git {quote}a/{rest}{quote} {quote}b/{rest}{quote}"]
    if made:
        lines.append("new file mode 100644")
    elif gone:
        lines.append("deleted file mode 100644")
    return lines


def _named(mark: str, line: str) -> str:
    """Convert ``--- dir.orig/file<TAB>date`` to ``--- a/file``."""
    name = line[4:]
    if _EPOCH.search(name):
        return f"{mark}/dev/null"
    path = _path(name)
    if path == "/dev/null" or path.startswith('"'):
        return mark + path
    side = "a" if mark == "--- " else "b"
    return f"{mark}{side}/{path.partition('/')[2] or path}"


def _path(name: str) -> str:
    return name.partition("\t")[0].rstrip()


def _hunk_end(lines: list[str], index: int, hunk: re.Match[str]) -> int:
    old, new = int(hunk[2] or 1), int(hunk[4] or 1)
    index += 1
    while index < len(lines) and (old > 0 or new > 0):
        mark = lines[index][:1] or " "
        if mark not in " +-\\":
            break
        old -= mark in " -"
        new -= mark in " +"
        index += 1
    return index
