"""Convert diffs of other programs to git's format.

``diff -u``, quilt and Debian's patch queues omit the ``diff --git`` line, which identifies the file. This
module adds it from the ``---`` and ``+++`` lines, as ``git apply -p1`` reads them.
"""

import re

from harness.series.patch import HUNK, number

_NONE = "/dev/null"
_SKIPPED = ("Index: ", "=" * 20, "diff -", "RCS file: ", "retrieving revision ")
"""Lines above the names of a file that diff -r, svn and cvs write."""
_EPOCH = re.compile(r"\t(?:1970-01-01 0[0-9]:00:00(?:\.0+)?\s*$|Thu Jan +1 0\d:00:00 1970)")
_ZONED = re.compile(r"\t(1969-12-31|1970-01-01) (\d\d):(\d\d):00(?:\.0+)? ([+-]\d\d):?(\d\d)")


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
        elif line.startswith(_SKIPPED) and not inside:
            changed = True
            index += 1
            continue
        elif line.startswith("--- ") and index + 1 < len(lines) and lines[index + 1].startswith("+++ "):
            names = [_named("a/", line), _named("b/", lines[index + 1])]
            if not (inside and _in_header(out)):
                names = _same(*names)
                out += _headers(*names)
                changed = True
            out += [f"--- {names[0]}", f"+++ {names[1]}"]
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
_MORE = re.compile(r"^(?:diff --git |@@ -|--- .*\n\+\+\+ |-- ?$)", re.MULTILINE)
_RULE = re.compile(r"[_=*~#]{5,}\s*")
_OF_DIFF_R = ("Only in ", "Binary files ", "Common subdirectories: ")
"""Lines of diff -r about files that the patch does not contain."""


def text_after_hunks(text: str) -> tuple[str, str]:
    """Return the first line directly after a hunk that is not valid there: if it is damage, and if it is not.

    git apply ignores both. Before another hunk or git's signature, such a line is the rest of a long line
    that a mailer wrapped, or an added line that the hunk does not count. The text at the end of a mail may
    be from a mailing list or a company.
    """
    lines = text.split("\n")
    index = 0
    trailing = ""
    while index < len(lines):
        hunk = HUNK.match(lines[index])
        if hunk is None:
            index += 1
            continue
        index = _hunk_end(lines, index, hunk)
        after = lines[index].rstrip("\r") if index < len(lines) else ""
        if after.strip() and not after.startswith(_AFTER_HUNK):
            trailing = after
            if after.startswith(_OF_DIFF_R):
                continue
            more = _MORE.search("\n".join(lines[index + 1 :]))
            if after.startswith("+") or (more and not (_RULE.fullmatch(after) and more[0].startswith("-- "))):
                return after, ""
    return "", trailing


def outside_of_hunks(text: str) -> str:
    """Return ``text`` without the lines of its hunks."""
    lines = text.split("\n")
    out: list[str] = []
    index = 0
    while index < len(lines):
        hunk = HUNK.match(lines[index])
        if hunk is None:
            out.append(lines[index])
        index = _hunk_end(lines, index, hunk) if hunk else index + 1
    return "\n".join(out)


def _in_header(out: list[str]) -> bool:
    """Return whether the lines since the last ``diff --git`` are still its header."""
    for line in reversed(out):
        if line.startswith("diff --git "):
            return True
        if line[:1] in ("+", "-", " ", "@", "\\") or line.startswith("--- "):
            return False
    return False


def _headers(old: str, new: str) -> list[str]:
    path = old if new == _NONE else new
    quote = '"' if path.startswith('"') else ""
    rest = path.strip(quote or None).partition("/")[2]
    lines = [f"diff --git {quote}a/{rest}{quote} {quote}b/{rest}{quote}"]
    if old == _NONE:
        lines.append("new file mode 100644")
    elif new == _NONE:
        lines.append("deleted file mode 100644")
    return lines


def _same(old: str, new: str) -> list[str]:
    """Give both sides one name, as git apply does: the shorter one of ``x.orig`` and ``x``, else ``new``."""
    if _NONE in (old, new) or '"' in old + new:
        return [old, new]
    rest = old[2:] if new[2:].startswith(old[2:]) else new[2:]
    return [f"a/{rest}", f"b/{rest}"]


def _named(side: str, line: str) -> str:
    """Convert ``--- dir.orig/file<TAB>date`` to ``a/file``."""
    name = line[4:]
    path = _path(name)
    if _is_oldest(name) or path == _NONE:
        return _NONE
    return path if path.startswith('"') else f"{side}{path.partition('/')[2] or path}"


def _is_oldest(name: str) -> bool:
    """Return whether diff -N wrote the time 0, in its time zone, for a file that does not exist."""
    if found := _ZONED.search(name):
        day = -24 * 60 if found[1] == "1969-12-31" else 0
        ahead = int(found[4]) * 60 + int(f"{found[4][0]}{found[5]}")
        return day + int(found[2]) * 60 + int(found[3]) == ahead
    return _EPOCH.search(name) is not None


def _path(name: str) -> str:
    return name.partition("\t")[0].rstrip()


def _hunk_end(lines: list[str], index: int, hunk: re.Match[str]) -> int:
    old, new = number(hunk[2] or "1"), number(hunk[4] or "1")
    index += 1
    while index < len(lines) and (old > 0 or new > 0):
        mark = lines[index][:1] or " "
        if mark not in " +-\\":
            break
        old -= mark in " -"
        new -= mark in " +"
        index += 1
    return index
