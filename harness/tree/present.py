"""Whether a tree contains the change of a patch although the lines around it differ."""

import re
from collections.abc import Callable, Iterator, Sequence

from harness.series import FileChange, Hunk

_WORDS = re.compile(r"\w.*\w.*\w.*\w.*\w.*\w")
"""A line with at least six letters or digits: others, such as ``break;``, occur everywhere."""
_SHARE = 0.8
"""Part of the lines of an added file that the tree's file has at least."""


def is_distinctive(changes: Sequence[FileChange]) -> bool:
    """Return whether each file that is changed gets, or loses, at least two lines that are not everywhere."""
    return all(
        sum(
            bool(_WORDS.search(line))
            for hunk in change.hunks
            for line in hunk.lines
            if line[:1] in ("+", "-")
        )
        > 1
        for change in changes
    )


def has_change(changes: Sequence[FileChange], read: Callable[[str], str | None]) -> bool:
    """Return whether the files that ``read`` returns (None: there is none) have what the ``changes`` add.

    Each run of added lines has to be there, and no run of removed lines that is not also part of the result.
    """
    return bool(changes) and is_distinctive(changes) and all(_has(change, read) for change in changes)


def _has(change: FileChange, read: Callable[[str], str | None]) -> bool:
    text = read(change.path)
    if change.binary or not change.hunks or not change.new or text is None:
        return False
    lines = [line.strip() for line in text.splitlines()]
    if not change.old:
        added = [line.strip() for hunk in change.hunks for line in hunk.added if _WORDS.search(line)]
        return sum(line in set(lines) for line in added) >= _SHARE * len(added)
    joined = "\n".join(["", *lines, ""])
    for hunk in change.hunks:
        after = "\n".join(["", *(line[1:].strip() for line in hunk.lines if line[:1] in (" ", "+")), ""])
        for mark, run in _runs(hunk):
            found = f"\n{run}\n" in joined
            if (mark == "+" and not found) or (mark == "-" and found and f"\n{run}\n" not in after):
                return False
    return True


def _runs(hunk: Hunk) -> Iterator[tuple[str, str]]:
    """Yield each run of added or removed lines that has a distinctive line, with its mark."""
    mark, run = "", list[str]()
    for line in (*hunk.lines, " "):
        if line[:1] != mark:
            if mark in ("+", "-") and any(_WORDS.search(one) for one in run):
                yield mark, "\n".join(run)
            mark, run = line[:1], []
        run.append(line[1:].strip())
