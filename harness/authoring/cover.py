"""The cover letter: the text of a person, and the shortlog and diffstat that git generates."""

import re

from harness.series.form import split_headers
from harness.tree.git import Git

COVER = "-cover-letter"
WIDTH = 72
"""Columns, as in git-format-patch(1)."""

_SHORTLOG = re.compile(r"^\S.* \(\d+\):$")
_SUMMARY = re.compile(r"^ \d+ files? changed")
_MODE = re.compile(r"^ (?:create|delete|mode|rename|rewrite|copy) ")
_GENERATED = re.compile(r"^(?:base-commit|prerequisite-patch-id|branch|change-id): ")


def parts(data: bytes) -> tuple[bytes, str, str]:
    """Split a cover letter into headers, the text of a person, and the tail that git generated.

    The tail begins at the shortlog; without one it is empty. It includes all lines after the diffstat
    (signature, range-diff, ``base-commit:``), because they are regenerated too.
    """
    headers, body = split_headers(data)
    lines = body.decode("utf-8", "surrogateescape").splitlines()
    for index, line in enumerate(lines):
        if _SHORTLOG.match(line) and index + 1 < len(lines) and lines[index + 1].startswith("  "):
            return headers, _text(lines[:index]), _text(lines[index:])
    end = next((index for index, line in enumerate(lines) if line in ("-- ", "--")), len(lines))
    return headers, _text(lines[:end]), ""


def make_tail(git: Git, base: str, tip: str) -> str:
    """Generate shortlog, diffstat and summary of the commits in the format of git-format-patch(1)."""
    log = git.run("shortlog", f"-w{WIDTH},2,4", f"{base}..{tip}", merge_stderr=False).output
    stat = git.run("diff", f"--stat={WIDTH}", "--summary", base, tip, merge_stderr=False).output
    return f"{log.strip()}\n\n{stat.rstrip()}\n"


def with_new_tail(git: Git, data: bytes, base: str, tip: str) -> bytes:
    """Regenerate shortlog and diffstat of the cover letter ``data``; if it has none, leave it unchanged."""
    _, _, tail = parts(data)
    if not tail:
        return data
    made = make_tail(git, base, tip)
    if _significant(tail) == _significant(made):
        return data
    headers, text, _ = parts(data)
    body = f"{text.rstrip()}\n\n{made}\n".encode("utf-8", "surrogateescape")
    return headers + b"\n" + body


def _significant(tail: str) -> list[str]:
    """Reduce a tail to the lines to compare: without spacing, bar lengths, and text below the diffstat."""
    kept = []
    past = False
    for line in tail.splitlines():
        if past and not _MODE.match(line):
            break
        past = past or bool(_SUMMARY.match(line))
        if line.strip() and not _GENERATED.match(line):
            kept.append(" ".join(re.sub(r"(\| +\d+) [+-]+$", r"\1", line).split()))
    return kept


def _text(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n") + "\n" if lines else ""
