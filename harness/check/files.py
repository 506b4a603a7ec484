"""Rules on whole files: licence, maintainers, modes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.series import FileChange

SPDX = Rule(
    id="file-spdx",
    severity="warning",
    summary="a new source file names no licence by its SPDX identifier",
    remedy="begin it with, say: SPDX-License-Identifier: GPL-2.0-or-later",
    source="scripts/checkpatch.pl (an error where that asks for it)",
)
BOILERPLATE = Rule(
    id="file-boilerplate",
    severity="warning",
    summary="a new file has the licence's text beside its SPDX identifier (a note where none is asked for)",
    remedy="leave the text out",
    source="scripts/checkpatch.pl of 10.0 and later",
)
MAINTAINERS = Rule(
    id="file-maintainers",
    severity="warning",
    summary="nobody in MAINTAINERS looks after a new file",
    remedy="add it to a section of MAINTAINERS in the patch that adds the file",
    source="MAINTAINERS",
)
MODE = Rule(
    id="file-mode",
    severity="warning",
    summary="a new file is executable and no script, or a script and not executable",
    remedy="set its mode: git update-index --chmod=+x FILE (or -x)",
)
RULES = (SPDX, BOILERPLATE, MAINTAINERS, MODE)

ASKS_FOR_SPDX = "All new files should have a SPDX-License-Identifier"
"""What the checkpatch.pl of 10.0 and later says."""
SOURCES = (".c", ".h", ".S", ".py", ".pl", ".sh", ".rs", ".inc", ".m", ".cc", ".cpp")
_LONG = re.compile(
    r"GNU General Public License as published|free software[;:,] you can redistribute|"
    r"licensed under the terms of the GNU|Permission is hereby granted, free of charge",
    re.IGNORECASE,
)


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    strict = judged.base_has("scripts/checkpatch.pl", ASKS_FOR_SPDX)
    covered: list[tuple[bool, str]] | None = None
    for patch in judged.patches:
        for change in patch.changes:
            if change.old or not change.new or change.new_mode == "120000":
                continue
            yield from _licence(patch, change, strict=strict)
            yield from _mode(patch, change)
            if judged.applies:
                if covered is None:
                    covered = read_patterns(judged.read(judged.tip, "MAINTAINERS") or "")
                if covered and not is_covered(change.new, covered):
                    told = "no section of MAINTAINERS has it"
                    yield MAINTAINERS.finding(told, patch=patch.number, file=change.new)


def _licence(patch: JudgedPatch, change: FileChange, *, strict: bool) -> Iterator[Finding]:
    if not change.new.endswith(SOURCES) or change.binary:
        return
    text = "\n".join(line for hunk in change.hunks for line in hunk.added)
    has = "SPDX-License-Identifier:" in text[:4000]
    if not has and text.strip():
        yield SPDX.finding(
            "it has no SPDX-License-Identifier",
            patch=patch.number,
            file=change.new,
            line=1,
            severity="error" if strict else "note" if _LONG.search(text) else None,
        )
    if has and (found := _LONG.search(text)):
        line = text[: found.start()].count("\n") + 1
        yield BOILERPLATE.finding(
            f"it says {found[0]!r}",
            patch=patch.number,
            file=change.new,
            line=line,
            severity=None if strict else "note",
        )


def _mode(patch: JudgedPatch, change: FileChange) -> Iterator[Finding]:
    if change.binary or not change.hunks:
        return
    first = next(iter(change.hunks[0].added), "")
    script, executable = first.startswith("#!"), change.new_mode == "100755"
    if executable and not script:
        yield MODE.finding("it is executable and no script", patch=patch.number, file=change.new)
    elif script and not executable and not change.new.endswith(".in"):
        # Modules of Python's often have one and are never run: only told.
        yield MODE.finding(
            "it is a script and not executable", patch=patch.number, file=change.new, severity="note"
        )


def read_patterns(text: str) -> list[tuple[bool, str]]:
    """``F:`` (true) and ``X:`` (false) patterns of MAINTAINERS, without the section that takes everything."""
    found: list[tuple[bool, str]] = []
    for section in re.split(r"\n\s*\n", text):
        patterns = re.findall(r"^([FX]):\s*(\S+)\s*$", section, re.MULTILINE)
        if ("F", "*") in patterns and ("F", "*/") in patterns:
            continue
        found += [(kind == "F", pattern) for kind, pattern in patterns]
    return found


def is_covered(path: str, patterns: list[tuple[bool, str]]) -> bool:
    """Whether some ``F:`` pattern means ``path``, as scripts/get_maintainer.pl reads them."""
    return any(
        wanted
        and (
            path.startswith(pattern)
            if pattern.endswith("/") and "*" not in pattern
            else _matches(path, pattern)
        )
        for wanted, pattern in patterns
    )


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/"):
        depth = pattern.count("/")
        return fnmatch.fnmatchcase("/".join(path.split("/")[:depth]) + "/", pattern)
    if path == pattern:
        return True
    # A pattern without a slash at its end means files of just that depth.
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)
