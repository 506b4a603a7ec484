"""Rules on the input: damaged or incomplete mails, numbers and versions of the patches, kinds of change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.series import message_id_of

_GUIDE = "docs/devel/submitting-a-patch.rst"
_AGAIN = "regenerate it with git format-patch and send it with git send-email"

MISSING = Rule(
    id="input-missing",
    severity="error",
    summary="a patch that the subjects count is missing",
    remedy="download the whole thread, or send the series again",
)
DUPLICATE = Rule(
    id="input-duplicate",
    severity="warning",
    summary="two mails have the same number; the later one is used",
    remedy="remove the stale one (git format-patch does not delete older files)",
)
ORDER = Rule(
    id="input-order",
    severity="note",
    summary="the order of the patches differs from their numbers; they are sorted by number",
    remedy="nothing is required if the numbers are correct",
)
LEFT_OUT = Rule(
    id="input-left-out",
    severity="note",
    summary="part of the input is ignored, such as older versions",
    remedy="if the wrong part is ignored, pass only the series itself to -Dseries=",
)
PULL = Rule(
    id="input-pull",
    severity="warning",
    summary="the series is a pull request, whose patches have already been reviewed",
    remedy="check the patches where they were posted for review",
)
RFC = Rule(
    id="input-rfc",
    severity="note",
    summary="the series is tagged RFC, so it is not meant to be merged",
    remedy="remove the tag when the series is ready to be merged",
    source=_GUIDE,
)
TRAILER = Rule(
    id="input-trailer",
    severity="note",
    summary="a reply contains a trailer of a person other than its sender",
    remedy="ask the person in the trailer before you add it",
)
BASE = Rule(
    id="input-base",
    severity="note",
    summary="the series names a base commit or a required series that this tree does not contain",
    remedy="select a tree that contains it with -Dpin= or -Dsource=",
    source=_GUIDE,
)
BINARY = Rule(
    id="input-binary",
    severity="note",
    summary="the patch changes a binary file, which cannot be reviewed as a patch",
    remedy="explain in the message where the content comes from and how to generate it",
)
CONTENT = Rule(
    id="input-no-content",
    severity="error",
    summary="the patch changes a binary file but lacks its content",
    remedy="generate the diff with git diff --binary or git format-patch",
)
MODE = Rule(
    id="input-mode",
    severity="note",
    summary="the patch changes the mode of a file",
    remedy="check that the change is intended",
)
FAULTS: dict[str, Rule] = {
    kind: Rule(id=f"input-{kind}", severity=severity, summary=summary, remedy=remedy)  # type: ignore[arg-type]
    for kind, severity, summary, remedy in (
        ("no-headers", "warning", "the patch is not a mail: it has no From: and Subject:", _AGAIN),
        ("no-author", "error", "the patch names no author", "add From: Name <address>"),
        ("charset", "warning", "the character set is missing or wrong", "send the patch as UTF-8"),
        ("crlf", "warning", "the lines end in CR LF, which is removed before the patch is applied", _AGAIN),
        ("flowed", "warning", "the mail has format=flowed, which breaks patches", _AGAIN),
        (
            "html",
            "error",
            "the mail is HTML, which cannot contain a patch",
            "send plain text with git send-email",
        ),
        ("multipart", "warning", "the patch is an attachment or a part of a multipart mail", _AGAIN),
        ("not-git", "note", "the diff is not in git's format", "generate it with git format-patch"),
        ("damaged", "error", "the diff is damaged and cannot be applied", _AGAIN),
        ("empty", "error", "the patch changes no file", "remove the patch from the series"),
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
    """Yield the findings of this family."""
    version = judged.input.version
    for number in version.missing:
        yield MISSING.finding(f"patch {number}/{version.total} is missing")
    for mail in version.duplicates:
        yield DUPLICATE.finding(f"{mail.origin}: another mail also has the number {mail.subject.number}")
    if version.out_of_order:
        yield ORDER.finding("the order of the patches differs from their numbers")
    for note in judged.input.notes:
        yield LEFT_OUT.finding(note)
    below = {message_id_of(name) for name, reason in judged.required.items() if not reason}
    others = [one for one in judged.input.thread.versions if one is not version]
    others = [one for one in others if not below & one.message_ids]
    if others:
        names = ", ".join(f"v{one.number}" for one in others)
        yield LEFT_OUT.finding(f"only v{version.number} is checked; the thread also contains {names}")
    if version.kind == "PULL":
        yield PULL.finding("the subjects are tagged PULL")
    if version.rfc:
        yield RFC.finding("the subjects are tagged RFC")
    for number, trailer in version.trailers:
        if not trailer.is_own:
            message = f"{trailer.sender} sent the trailer {trailer}"
            yield TRAILER.finding(message, patch=_position(judged, number))
    yield from _bases(judged)
    for patch in judged.patches:
        for fault in patch.mail.faults:
            yield FAULTS[fault.kind].finding(fault.detail, patch=patch.number)
        yield from _kinds(patch)


def _kinds(patch: JudgedPatch) -> Iterator[Finding]:
    for change in patch.changes:
        modes = {change.old_mode, change.new_mode} - {""}
        if change.lacks_content:
            message = "the content of the binary file is not in the patch"
            yield CONTENT.finding(message, patch=patch.number, file=change.path)
        elif change.binary:
            yield BINARY.finding("the file is binary", patch=patch.number, file=change.path)
        if change.old and change.new and len(modes) > 1:
            message = f"the mode changes from {change.old_mode} to {change.new_mode}"
            yield MODE.finding(message, patch=patch.number, file=change.path)


def _position(judged: Judged, number: int) -> int:
    """Return the position of the patch whose subject has ``number``; 0 for the whole series."""
    for patch in judged.patches:
        if patch.mail.subject.number == number and number:
            return patch.number
    return min(number, len(judged.patches))


def _bases(judged: Judged) -> Iterator[Finding]:
    cover = judged.input.cover
    mails = [*([cover] if cover else []), *(patch.mail for patch in judged.patches)]
    for mail in mails:
        text = mail.data.decode("utf-8", "replace")
        for commit in re.findall(r"^base-commit: ([0-9a-f]{40})\s*$", text, re.MULTILINE):
            if commit not in (judged.origin, judged.base):
                message = f"the series is based on commit {commit[:12]}, but is checked on pin {judged.pin}"
                yield BASE.finding(message)
    for required in judged.input.based_on:
        reason = judged.required.get(required, "which is not applied")
        if reason:
            yield BASE.finding(f"the series requires {required}, {reason}")
