"""Rules on new files: licence, maintainers, mode."""

import fnmatch
import re
from collections.abc import Iterable, Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.series import FileChange

SPDX = Rule(
    id="file-spdx",
    severity="warning",
    summary="a new source file has no SPDX licence identifier (an error if checkpatch.pl requires it)",
    remedy="begin the file with a line such as: SPDX-License-Identifier: GPL-2.0-or-later",
    source="scripts/checkpatch.pl",
)
BOILERPLATE = Rule(
    id="file-boilerplate",
    severity="warning",
    summary="a new file has licence text besides an SPDX identifier (error or note as in checkpatch.pl)",
    remedy="remove the licence text; an SPDX-License-Identifier line is sufficient",
    source="scripts/checkpatch.pl of 10.0 and later",
)
MAINTAINERS = Rule(
    id="file-maintainers",
    severity="warning",
    summary="no section of MAINTAINERS covers a new file",
    remedy="add it to a section of MAINTAINERS in the patch that adds the file",
    source="MAINTAINERS",
)
MODE = Rule(
    id="file-mode",
    severity="warning",
    summary="a new file is executable but not a script, or a script but not executable",
    remedy="set the mode of the file: git update-index --chmod=+x FILE (or -x)",
)
RULES = (SPDX, BOILERPLATE, MAINTAINERS, MODE)

ASKS_FOR_SPDX = "'SPDX-License-Identifier'"
"""Part of the message of the checkpatch.pl of 10.0 and later; older ones mention only the bare tag."""
REFUSES_BOILERPLATE = "license boilerplate header text"
"""Part of the message of the checkpatch.pl of 10.1 and later."""
SOURCES = (".c", ".h", ".S", ".py", ".pl", ".sh", ".rs", ".inc", ".m", ".cc", ".cpp")
_REQUIRED = re.compile(r"\.(?:c|h|py|pl|sh|json|inc|rs)$|Makefile.*$")
"""Files that the checkpatch.pl of 10.0 and later requires an identifier for; for others, it asks."""
_LONG = re.compile(
    r"GNU General Public License as published|free software[;:,] you can redistribute|"
    r"licensed under the terms of the GNU|Permission is hereby granted, free of charge|"
    r"under the terms of the GNU (?:Lesser )?General Public|GNU GPL, version 2 or later|"
    r"See the COPYING file",
    re.IGNORECASE,
)


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    script = judged.read(judged.base, "scripts/checkpatch.pl") or ""
    strict, bare = ASKS_FOR_SPDX in script, REFUSES_BOILERPLATE in script
    covered: list[str] | None = None
    for patch in judged.patches:
        for change in patch.changes:
            if change.old or not change.new or change.new_mode == "120000":
                continue
            yield from _licence(patch, change, strict=strict, bare=bare)
            yield from _mode(patch, change)
            if judged.applies:
                if covered is None:
                    covered = read_patterns(judged.read(judged.tip, "MAINTAINERS") or "")
                if covered and not is_covered(change.new, covered):
                    message = "no section of MAINTAINERS covers the file"
                    yield MAINTAINERS.finding(message, patch=patch.number, file=change.new)


def wants_spdx(path: str, *, strict: bool) -> bool:
    """Whether a new file at ``path`` should have an SPDX identifier; ``strict``: as checkpatch.pl asks."""
    return path.endswith(SOURCES) or (strict and bool(_REQUIRED.search(path)))


def _licence(patch: JudgedPatch, change: FileChange, *, strict: bool, bare: bool) -> Iterator[Finding]:
    if not wants_spdx(change.new, strict=strict) or change.binary:
        return
    text = "\n".join(line for hunk in change.hunks for line in hunk.added)
    has = "SPDX-License-Identifier:" in text[:4000]
    required = strict and bool(_REQUIRED.search(change.new))
    if not has and text.strip():
        yield SPDX.finding(
            "the file has no SPDX-License-Identifier",
            patch=patch.number,
            file=change.new,
            line=1,
            severity="error" if required else "note" if _LONG.search(text) and not strict else None,
        )
    if (has or bare) and (match := _LONG.search(text)):
        line = text[: match.start()].count("\n") + 1
        yield BOILERPLATE.finding(
            f"the file contains licence text: {match[0]!r}",
            patch=patch.number,
            file=change.new,
            line=line,
            severity="error" if bare else None if strict else "note",
        )


def _mode(patch: JudgedPatch, change: FileChange) -> Iterator[Finding]:
    if change.binary or not change.hunks:
        return
    script = any(line.startswith("#!") for line in change.hunks[0].added[:1])
    executable = change.new_mode == "100755"
    if executable and not script:
        yield MODE.finding("the file is executable but not a script", patch=patch.number, file=change.new)
    elif script and not executable and not change.new.endswith(".in"):
        # Only a note: Python modules that nothing executes often begin with #!.
        message = "the file is a script but not executable"
        yield MODE.finding(message, patch=patch.number, file=change.new, severity="note")


def read_patterns(text: str) -> list[str]:
    """Return the ``F:`` patterns of MAINTAINERS, without the catch-all section. ``X:`` is ignored."""
    return [pattern for _, own in maintained(text) for pattern in own]


def maintained(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each section of MAINTAINERS, with its ``F:`` patterns, except the catch-all section."""
    for section in re.split(r"\n\s*\n", text):
        own = re.findall(r"^F:\s*(\S+)\s*$", section, re.MULTILINE)
        if not {"*", "*/"} <= set(own):
            yield section, own


def is_covered(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the ``patterns`` covers ``path``, by the rules of scripts/get_maintainer.pl."""
    return any(_matches(path, pattern) for pattern in patterns)


def _matches(path: str, pattern: str) -> bool:
    if path == pattern:
        return True
    depth = pattern.count("/")
    if pattern.endswith("/"):
        folder = path.split("/")[:-1][:depth]
        return fnmatch.fnmatchcase("/".join(folder) + "/", pattern)
    # A pattern that does not end in a slash covers only files of the same depth.
    return path.count("/") == depth and fnmatch.fnmatchcase(path, pattern)
