"""Findings of QEMU's scripts/checkpatch.pl, without those that other rules report too.

The script is the base's, never the series'.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.check.files import wants_spdx
from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.errors import MissingError, TimeoutExpiredError
from harness.process import run
from harness.series import mailbox_bytes

SCRIPT = "scripts/checkpatch.pl"
LIMIT_S = 60.0
"""Time limit for each patch: the script takes time with the square of the number of ``#define`` lines, 14 s
for 500."""
SHOWN = 8
"""Maximum lines of a snippet."""

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
    summary="QEMU's scripts/checkpatch.pl could not be run, or did not end in time",
    remedy="run scripts/checkpatch.pl on the patch yourself, in a tree that contains it",
    source=SCRIPT,
)
RULES = (ERROR, WARNING, FAILED)

COVERED = (
    (r"Missing Signed-off-by", ("dco-missing", "dco-malformed")),
    (r"The correct form is \"Signed-off-by\"|space required after Signed-off-by", ("dco-malformed",)),
    (r"Author email address is mangled", ("dco-mangled",)),
    (r"^trailing whitespace", ("whitespace-trailing",)),
    (r"^DOS line endings", ("whitespace-cr", "input-crlf")),
    (r"[Dd]oes MAINTAINERS need updating", ("file-maintainers",)),
    (r"license boilerplate header text", ("file-boilerplate",)),
    (r"^Does not appear to be a unified-diff", ("input-empty", "input-damaged")),
)
"""Patterns of messages, and the rules of the harness that report the same problem in more detail."""

_MESSAGE = re.compile(r"^(ERROR|WARNING): (.*)$")
_PLACE = re.compile(r"^#(\d+): (?:FILE: (.*?):(\d+):)?")
_END = re.compile(r"^\S.* has (?:style problems, please review\.|no obvious style problems)")
_SPDX = re.compile(r"[Nn]ew file '(.*)' (?:requires|need) 'SPDX-License-Identifier'")


def check(judged: Judged, active: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the findings of this family, except messages that one of the ``active`` rules covers.

    Raises MissingError if perl is not installed.
    """
    if judged.source is None or not (judged.source / SCRIPT).is_file():
        yield FAILED.finding("the tree has no scripts/checkpatch.pl")
        return
    if shutil.which("perl") is None:
        raise MissingError("checkpatch.pl requires perl, which is not installed", "run: nox -s doctor")
    source, patches = judged.source, [patch for patch in judged.patches if patch.mail.is_sound]
    with tempfile.TemporaryDirectory() as folder:
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        try:
            for found in pool.map(lambda patch: _check_patch(source, patch, active, Path(folder)), patches):
                yield from found
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for the script


def _check_patch(
    source: Path, patch: JudgedPatch, active: Collection[str], folder: Path
) -> tuple[Finding, ...]:
    """Run the script of the tree in ``source`` on one patch, which is written to ``folder``."""
    path = folder / f"{patch.number}"
    path.write_bytes(mailbox_bytes(patch.mail))
    # Without --patch the script guesses the type of its input from the file name.
    options = ("--patch", "--no-summary", "--color=never", "--root", source)
    try:
        ended = run(
            ["perl", source / SCRIPT, *options, path],
            cwd=source,
            check=False,
            merge_stderr=False,
            timeout_s=LIMIT_S,
        )
    except TimeoutExpiredError:
        message = f"checkpatch.pl was ended after {LIMIT_S:.0f} s, so its findings are missing"
        return (FAILED.finding(message, patch=patch.number),)
    if ended.returncode not in (0, 1):
        return (FAILED.finding(f"checkpatch.pl ended with status {ended.returncode}", patch=patch.number),)
    return tuple(read_output(ended.output.splitlines(), patch.number, active))


def read_output(lines: Sequence[str], number: int, active: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each message in the output of the script, of patch ``number``.

    A message may have several lines. They end at its place in the patch (``#12: FILE: a.c:3:``), if it has
    one, which lines of the patch follow.
    """
    starts = [at for at, line in enumerate(lines) if _MESSAGE.match(line)]
    end = next((at for at, line in enumerate(lines) if _END.match(line)), len(lines))
    for start, stop in zip(starts, [*starts[1:], end], strict=False):
        block = lines[start:stop]
        placed = next((at for at, line in enumerate(block) if _PLACE.match(line)), len(block))
        kind, _, text = " ".join(filter(None, map(str.strip, block[:placed]))).partition(": ")
        if _is_covered(text, active):
            continue
        place = _PLACE.match(block[placed]) if placed < len(block) else None
        file = (place[2] or "") if place else ""
        if about := _SPDX.search(text):
            file = about[1]
        rule = ERROR if kind == "ERROR" else WARNING
        yield rule.finding(
            text,
            patch=number,
            file=file,
            line=int(place[3] or 0) if place else 0,
            snippet=tuple(filter(str.strip, block[placed + 1 :]))[:SHOWN],
        )


def _is_covered(message: str, active: Collection[str]) -> bool:
    if about := _SPDX.search(message):
        return "file-spdx" in active and wants_spdx(about[1], strict=True)
    return any(re.search(pattern, message) and set(rules) & set(active) for pattern, rules in COVERED)
