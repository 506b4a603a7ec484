"""Rules on how the series came: what its mails lost or lack, numbers, versions, kinds of change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch

_GUIDE = "docs/devel/submitting-a-patch.rst"
_AGAIN = "write it again with git format-patch and send it with git send-email"

MISSING = Rule(
    id="input-missing",
    severity="error",
    summary="a patch that the subjects count is absent",
    remedy="get the whole thread, or send the series again",
)
DUPLICATE = Rule(
    id="input-duplicate",
    severity="warning",
    summary="two mails have the same number; the later one was taken",
    remedy="remove the stale one (git format-patch leaves older files in place)",
)
ORDER = Rule(
    id="input-order",
    severity="note",
    summary="the patches came in another order than their numbers; they were put in order",
    remedy="nothing, when the order is right now",
)
LEFT_OUT = Rule(
    id="input-left-out",
    severity="note",
    summary="something of the input was left out, such as older versions",
    remedy="name just what is meant, when it is not that",
)
PULL = Rule(
    id="input-pull",
    severity="warning",
    summary="it is a pull request, whose patches have been reviewed elsewhere",
    remedy="judge it as a maintainer's tree, not as patches for review",
)
RFC = Rule(
    id="input-rfc",
    severity="note",
    summary="it is tagged RFC: not meant to be merged as it is",
    remedy="leave the tag out when it is",
    source=_GUIDE,
)
TRAILER = Rule(
    id="input-trailer",
    severity="note",
    summary="a reply gave a trailer in another name than its sender's",
    remedy="ask whoever is named before you add it",
)
BASE = Rule(
    id="input-base",
    severity="note",
    summary="the series names a base or a series that it needs, which this tree does not have",
    remedy="judge it on that: -Dpin= or -Dsource= with that commit",
    source=_GUIDE,
)
BINARY = Rule(
    id="input-binary",
    severity="note",
    summary="it changes a file that is no text, which nobody can review as a patch",
    remedy="say in the message where the content comes from and how to make it",
)
CONTENT = Rule(
    id="input-no-content",
    severity="error",
    summary="it says that a binary file differs, and not how",
    remedy="write the diff with git diff --binary or git format-patch",
)
MODE = Rule(
    id="input-mode",
    severity="note",
    summary="it changes the mode of a file",
    remedy="see that it is meant",
)
FAULTS: dict[str, Rule] = {
    kind: Rule(id=f"input-{kind}", severity=severity, summary=summary, remedy=remedy)  # type: ignore[arg-type]
    for kind, severity, summary, remedy in (
        ("no-headers", "warning", "it is no mail: it has no From: and Subject:", _AGAIN),
        ("no-author", "error", "it does not say who wrote it", "add From: Name <address>"),
        ("charset", "warning", "its character set is missing or wrong", "send it as UTF-8"),
        ("crlf", "warning", "it came with CR LF line ends, taken off to apply it", _AGAIN),
        ("flowed", "warning", "it came as format=flowed, which breaks patches", _AGAIN),
        ("html", "error", "it is HTML, which holds no patch", "send plain text with git send-email"),
        ("multipart", "warning", "it came as an attachment or in several parts", _AGAIN),
        ("not-git", "note", "its diff is not in git's format", "write it with git format-patch"),
        ("damaged", "error", "its diff is damaged and cannot be applied", _AGAIN),
        ("empty", "error", "it changes no file", "leave it out of the series"),
    )
}
RULES = (
    MISSING,
    DUPLICATE,
    ORDER,
    LEFT_OUT,
    PULL,
    RFC,
    TRAILER,
    BASE,
    BINARY,
    CONTENT,
    MODE,
    *FAULTS.values(),
)


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    version = judged.input.version
    for number in version.missing:
        yield MISSING.finding(f"patch {number}/{version.total} is absent")
    for mail in version.duplicates:
        yield DUPLICATE.finding(f"{mail.origin}: another mail has the number {mail.subject.number} too")
    if version.out_of_order:
        yield ORDER.finding("the patches came in another order than their numbers")
    for note in judged.input.notes:
        yield LEFT_OUT.finding(note)
    older = [one.number for one in judged.input.thread.versions[:-1]]
    if older:
        names = ", ".join(f"v{number}" for number in older)
        yield LEFT_OUT.finding(f"v{version.number} is judged; {names} of the same thread left out")
    if version.kind == "PULL":
        yield PULL.finding("its subjects are tagged PULL")
    if version.rfc:
        yield RFC.finding("its subjects are tagged RFC")
    for number, trailer in version.trailers:
        if not trailer.is_own:
            yield TRAILER.finding(f"{trailer} was given by {trailer.sender}", patch=_position(judged, number))
    yield from _bases(judged)
    for patch in judged.patches:
        for fault in patch.mail.faults:
            yield FAULTS[fault.kind].finding(fault.detail, patch=patch.number)
        yield from _kinds(patch)


def _kinds(patch: JudgedPatch) -> Iterator[Finding]:
    for change in patch.changes:
        modes = {change.old_mode, change.new_mode} - {""}
        if change.lacks_content:
            yield CONTENT.finding(
                "the content of the file is not in the patch", patch=patch.number, file=change.path
            )
        elif change.binary:
            yield BINARY.finding("the file is binary", patch=patch.number, file=change.path)
        if change.old and change.new and len(modes) > 1:
            told = f"mode {change.old_mode} becomes {change.new_mode}"
            yield MODE.finding(told, patch=patch.number, file=change.path)


def _position(judged: Judged, number: int) -> int:
    """The position of the patch that counts itself ``number``; 0 for all."""
    for patch in judged.patches:
        if patch.mail.subject.number == number and number:
            return patch.number
    return min(number, len(judged.patches))


def _bases(judged: Judged) -> Iterator[Finding]:
    cover = judged.input.cover
    mails = [*([cover] if cover else []), *(patch.mail for patch in judged.patches)]
    for mail in mails:
        text = mail.data.decode("utf-8", "replace")
        for found in re.finditer(
            r"^(base-commit|prerequisite-patch-id): ([0-9a-f]{40})\s*$", text, re.MULTILINE
        ):
            if found[1] == "base-commit" and found[2] != judged.origin:
                yield BASE.finding(f"it is made for commit {found[2][:12]}; judged on pin {judged.pin}")
        for found in re.finditer(r"^Based-on: (\S.*)$", text, re.MULTILINE):
            yield BASE.finding(f"it needs {found[1].strip()} first, which is not applied here")
