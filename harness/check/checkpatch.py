"""Findings of QEMU's scripts/checkpatch.pl, without those that other rules report too.

The script is the base's, never the series'.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.errors import MissingError
from harness.process import run
from harness.series import mailbox_bytes

SCRIPT = "scripts/checkpatch.pl"
LIMIT_S = 300.0

ERROR = Rule(
    id="checkpatch-error",
    severity="error",
    summary="QEMU's scripts/checkpatch.pl reports an error",
    remedy="fix the line, or explain below the --- line why it is correct",
    source=SCRIPT,
)
WARNING = Rule(
    id="checkpatch-warning",
    severity="warning",
    summary="QEMU's scripts/checkpatch.pl reports a warning",
    remedy="fix the line, or explain below the --- line why it is correct",
    source=SCRIPT,
)
FAILED = Rule(
    id="checkpatch-failed",
    severity="note",
    summary="QEMU's scripts/checkpatch.pl could not be run",
    remedy="check that the tree contains the script and that perl can run it",
    source=SCRIPT,
)
RULES = (ERROR, WARNING, FAILED)

COVERED = (
    (r"Missing Signed-off-by", ("dco-missing", "dco-malformed")),
    (r"The correct form is \"Signed-off-by\"|space required after Signed-off-by", ("dco-malformed",)),
    (r"Author email address is mangled", ("dco-mangled",)),
    (r"^trailing whitespace", ("whitespace-trailing",)),
    (r"^DOS line endings", ("whitespace-cr", "input-crlf")),
    (r"does MAINTAINERS need updating", ("file-maintainers",)),
    (r"^New file .* requires 'SPDX|Does new file .* need 'SPDX", ("file-spdx",)),
    (r"^Does not appear to be a unified-diff", ("input-empty", "input-damaged")),
)
"""Patterns of messages, and the rules of the harness that report the same problem in more detail."""

_MESSAGE = re.compile(r"^(ERROR|WARNING): (.*)$")
_PLACE = re.compile(r"^#(\d+): (?:FILE: (.*?):(\d+):)?")


def check(judged: Judged, active: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the findings of this family, except messages that one of the ``active`` rules covers.

    Raises MissingError if perl is not installed.
    """
    if judged.source is None or not (judged.source / SCRIPT).is_file():
        yield FAILED.finding("the tree has no scripts/checkpatch.pl")
        return
    if shutil.which("perl") is None:
        raise MissingError("checkpatch.pl requires perl, which is not installed", "run: nox -s doctor")
    for patch in judged.patches:
        if patch.mail.is_sound:
            yield from check_patch(judged.source, patch, active)


def check_patch(source: Path, patch: JudgedPatch, active: Collection[str]) -> Iterator[Finding]:
    """Run the script of the tree in ``source`` on one patch and yield its findings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patch"
        path.write_bytes(mailbox_bytes(patch.mail))
        # Without --patch the script guesses the type of its input from the file name.
        ended = run(
            ["perl", source / SCRIPT, "--patch", "--no-summary", "--color=never", "--root", source, path],
            cwd=source,
            check=False,
            merge_stderr=False,
            timeout_s=LIMIT_S,
        )
    if ended.returncode not in (0, 1):
        yield FAILED.finding(f"checkpatch.pl ended with status {ended.returncode}", patch=patch.number)
        return
    yield from read_output(ended.output.splitlines(), patch.number, active)


def read_output(lines: Sequence[str], number: int, active: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each message in the output of the script, of patch ``number``."""
    for index, line in enumerate(lines):
        message = _MESSAGE.match(line)
        if message is None or _is_covered(message[2], active):
            continue
        place = _PLACE.match(lines[index + 1]) if index + 1 < len(lines) else None
        context = lines[index + 2 : index + 4] if place else []
        rule = ERROR if message[1] == "ERROR" else WARNING
        yield rule.finding(
            message[2],
            patch=number,
            file=(place[2] or "") if place else "",
            line=int(place[3] or 0) if place else 0,
            snippet=tuple(text for text in context if text.strip())[:1],
        )


def _is_covered(message: str, active: Collection[str]) -> bool:
    return any(re.search(pattern, message) and set(rules) & set(active) for pattern, rules in COVERED)
