"""Rules on the input: damaged or incomplete mails, numbers and versions of the patches, kinds of change."""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.figures import ranges_of
from harness.series import message_id_of
from harness.series.version import Version

_GUIDE = "docs/devel/submitting-a-patch.rst"
_AGAIN = "regenerate it with git format-patch and send it with git send-email"

MISSING = Rule(
    id="input-missing",
    severity="error",
    summary="a patch that the subjects count is missing",
    remedy="download the whole thread, or send the series again",
)
EXCERPT = Rule(
    id="input-excerpt",
    severity="note",
    summary="one patch of a longer series is judged, without the others",
    remedy="pass the whole series to -Dseries= to judge it",
)
COUNT = Rule(
    id="input-count",
    severity="note",
    summary="the numbers in the subjects contradict each other; the patches are in the order of the input",
    remedy="check the order; git format-patch numbers the patches of one series",
)
REROLL = Rule(
    id="input-reroll",
    severity="note",
    summary="a new version contains some patches only; the others are those of an older version",
    remedy="check that the other patches are unchanged, or send the whole series again",
)
DUPLICATE = Rule(
    id="input-duplicate",
    severity="warning",
    summary="two mails have the same number or title; the later one is used",
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
NACK = Rule(
    id="input-nack",
    severity="warning",
    summary="a reply objects to the patch or the series",
    remedy="answer the objection, and resolve it with the person who raised it",
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
        ("no-headers", "warning", "the patch is not a whole mail: it has no From: or no Subject:", _AGAIN),
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
        (
            "scissors",
            "note",
            "the mail contains text above a scissors line, which is not part of the commit message",
            "nothing is required if the commit message is right",
        ),
        ("not-git", "note", "the diff is not in git's format", "generate it with git format-patch"),
        (
            "trailing",
            "note",
            "text follows the last hunk, such as the footer of a mailing list; git ignores it",
            "check that it is no part of the patch",
        ),
        ("damaged", "error", "the diff is damaged and cannot be applied", _AGAIN),
        ("empty", "error", "the patch changes no file", "remove the patch from the series"),
    )
}
RULES = (
    MISSING,
    EXCERPT,
    COUNT,
    REROLL,
    DUPLICATE,
    ORDER,
    LEFT_OUT,
    PULL,
    RFC,
    TRAILER,
    NACK,
    BASE,
    BINARY,
    CONTENT,
    MODE,
    *FAULTS.values(),
)


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    version = judged.input.version
    yield from _numbers(version)
    for note in (*judged.input.notes, *version.notes):
        yield LEFT_OUT.finding(note)
    below = {message_id_of(name) for name, reason in judged.required.items() if not reason}
    reused = {number for _, number in version.reused}
    others = [one for one in judged.input.thread.versions if one is not version]
    others = [one for one in others if not below & one.message_ids and one.number not in reused]
    if others:
        names = ", ".join(f"v{one.number}" for one in others)
        yield LEFT_OUT.finding(f"only v{version.number} is checked; the thread also contains {names}")
    if version.kind == "PULL":
        yield PULL.finding("the subjects are tagged PULL")
    if version.rfc:
        yield RFC.finding("the subjects are tagged RFC")
    for position, trailer in version.trailers:
        if not (trailer.is_own or trailer.is_objection):
            yield TRAILER.finding(f"{trailer.sender} sent the trailer {trailer}", patch=position)
    for objection in version.objections:
        text = (objection.line,)
        yield NACK.finding(f"{objection.sender} objects", patch=objection.position, snippet=text)
    yield from _bases(judged)
    for patch in judged.patches:
        for fault in patch.mail.faults:
            if fault.kind == "damaged" and patch.number in judged.unprefixed:
                continue  # apply-p0 is the reason
            yield FAULTS[fault.kind].finding(fault.detail, patch=patch.number)
        yield from _kinds(patch)


def _numbers(version: Version) -> Iterator[Finding]:
    if version.is_excerpt:
        number = version.patches[0].subject.number
        yield EXCERPT.finding(f"only patch {number} of {version.total} is in the input")
    else:
        for gap in ranges_of(version.missing):
            one = "-" not in gap
            words = f"patch {gap}/{version.total} is" if one else f"patches {gap} of {version.total} are"
            yield MISSING.finding(f"{words} missing")
    if version.recounted:
        yield COUNT.finding("the subjects do not count the patches of one series")
    for used in dict.fromkeys(number for _, number in version.reused):
        kept = ", ".join(str(at) for at, number in version.reused if number == used)
        message = f"v{version.number} does not contain all patches; those at {kept} are from v{used}"
        yield REROLL.finding(message)
    for mail in version.duplicates:
        subject = mail.subject
        same = f"number {subject.number}" if subject.counted else f"title {subject.title!r}"
        yield DUPLICATE.finding(f"{mail.origin}: another mail also has the {same}")
    if version.out_of_order:
        yield ORDER.finding("the order of the patches differs from their numbers")


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


def _bases(judged: Judged) -> Iterator[Finding]:
    cover = judged.input.cover
    for mail in (*([cover] if cover else []), *(patch.mail for patch in judged.patches)):
        for commit in re.findall(r"^base-commit: ([0-9a-f]{40})\s*$", mail.text, re.MULTILINE):
            if commit not in (judged.origin, judged.base):
                message = f"the series is based on commit {commit[:12]}, but is checked on pin {judged.pin}"
                yield BASE.finding(message)
    for required in judged.input.based_on:
        reason = judged.required.get(required, "which is not applied")
        if reason:
            yield BASE.finding(f"the series requires {required}, {reason}")
