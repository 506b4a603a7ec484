"""QEMU's own scripts/checkpatch.pl, of the base and not of the series, freed of what other rules find too."""

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
    summary="QEMU's scripts/checkpatch.pl calls it an error",
    remedy="mend it, or say below the --- line why it is right as it is",
    source=SCRIPT,
)
WARNING = Rule(
    id="checkpatch-warning",
    severity="warning",
    summary="QEMU's scripts/checkpatch.pl warns of it",
    remedy="mend it, or say below the --- line why it is right as it is",
    source=SCRIPT,
)
FAILED = Rule(
    id="checkpatch-failed",
    severity="note",
    summary="QEMU's scripts/checkpatch.pl could not be run",
    remedy="see that perl is installed and the tree has the script",
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
"""Messages that rules of ours find better, with those rules."""

_MESSAGE = re.compile(r"^(ERROR|WARNING): (.*)$")
_PLACE = re.compile(r"^#(\d+): (?:FILE: (.*?):(\d+):)?")


def check(judged: Judged, active: Collection[str] = ()) -> Iterator[Finding]:
    """Findings of this family; ``active`` are the rules that are on, which take theirs from it."""
    if judged.source is None or not (judged.source / SCRIPT).is_file():
        yield FAILED.finding("the tree has no scripts/checkpatch.pl")
        return
    if shutil.which("perl") is None:
        raise MissingError("perl is needed by checkpatch.pl and not installed", "run: nox -s doctor")
    for patch in judged.patches:
        if patch.mail.is_sound:
            yield from check_patch(judged.source, patch, active)


def check_patch(source: Path, patch: JudgedPatch, active: Collection[str]) -> Iterator[Finding]:
    """What the script in ``source`` says of one patch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patch"
        path.write_bytes(mailbox_bytes(patch.mail))
        # --patch: a subject or file name must not decide what it is taken for.
        ended = run(
            ["perl", source / SCRIPT, "--patch", "--no-summary", "--color=never", "--root", source, path],
            cwd=source,
            check=False,
            merge_stderr=False,
            timeout_s=LIMIT_S,
        )
    if ended.returncode not in (0, 1):
        yield FAILED.finding(f"it ended with status {ended.returncode}", patch=patch.number)
        return
    yield from read_output(ended.output.splitlines(), patch.number, active)


def read_output(lines: Sequence[str], number: int, active: Collection[str]) -> Iterator[Finding]:
    """The findings in what the script printed; the same message for one file counts once."""
    found: dict[tuple[str, str, str], Finding] = {}
    for index, line in enumerate(lines):
        message = _MESSAGE.match(line)
        if message is None or _is_covered(message[2], active):
            continue
        place = _PLACE.match(lines[index + 1]) if index + 1 < len(lines) else None
        file = (place[2] or "") if place else ""
        shown = lines[index + 2 : index + 4] if place else []
        rule = ERROR if message[1] == "ERROR" else WARNING
        key = (rule.id, message[2], file)
        if key in found:
            old = found[key]
            found[key] = Finding(
                **{name: getattr(old, name) for name in old.__struct_fields__ if name != "count"},
                count=old.count + 1,
            )
            continue
        found[key] = rule.finding(
            message[2],
            patch=number,
            file=file,
            line=int(place[3] or 0) if place else 0,
            snippet=tuple(text for text in shown if text.strip())[:1],
        )
    yield from found.values()


def _is_covered(message: str, active: Collection[str]) -> bool:
    return any(re.search(pattern, message) and set(rules) & set(active) for pattern, rules in COVERED)
