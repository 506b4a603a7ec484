"""Rules on how each patch applies to the base."""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged
from harness.errors import ApplyError
from harness.tree.fit import PRESENT, PatchFit

OFFSETS = Rule(
    id="apply-offsets",
    severity="note",
    summary="hunks apply at other lines than their headers specify",
    remedy="nothing is required; rebase the series to update the line numbers",
)
FUZZ = Rule(
    id="apply-fuzz",
    severity="error",
    summary="a patch applies only with less context, which git am does not allow",
    remedy="rebase the series onto the base",
)
MERGED = Rule(
    id="apply-3way",
    severity="warning",
    summary="a patch applies only by a three-way merge",
    remedy="rebase the series onto the base, and review the merge",
)
FAILS = Rule(
    id="apply-fails",
    severity="error",
    summary="a patch does not apply, because the lines around its changes differ",
    remedy="rebase the series onto the base, or select another base with -Dpin=",
)
FILE = Rule(
    id="apply-file",
    severity="error",
    summary="a patch changes a file that the base lacks, or adds one that it has",
    remedy="select the tree that the series was made for, with -Dpin= or -Dsource=",
)
REFUSED = Rule(
    id="apply-refused",
    severity="error",
    summary="git am or the harness refuses a patch, whatever the base contains",
    remedy="correct the patch, and write it again with git format-patch",
)
P0 = Rule(
    id="apply-p0",
    severity="error",
    summary="a patch is for -p0: the names in its diff have no folder such as a/ and b/ in front",
    remedy="write it again without --no-prefix or diff.noprefix, or apply it with git am -p0 (git apply -p0)",
)
NOTHING = Rule(
    id="apply-nothing",
    severity="warning",
    summary="a patch changes nothing, because the base contains its change",
    remedy="remove the patch from the series",
)
RULES = (OFFSETS, FUZZ, MERGED, FAILS, FILE, REFUSED, P0, NOTHING)

_KINDS = {"offsets": OFFSETS, "fuzz": FUZZ, "3-way": MERGED, "not": FAILS, "already": NOTHING}
_STOPPED = {"context": FAILS, "file": FILE, "refused": REFUSED}
_FILE = re.compile(r"(?:does not exist in index|No such file or directory|already exists in \S+)$")
_CONTEXT = re.compile(r"^patch failed: |patch does not apply$")
SHOWN = 40
"""Maximum lines of an explanation."""


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    sound = [patch for patch in judged.patches if patch.mail.is_sound]
    fits = {patch.number: fit for patch, fit in zip(sound, judged.fits, strict=False)}
    for patch in judged.patches:
        fit = fits.get(patch.number)
        if patch.number in judged.unprefixed:
            yield P0.finding("the names in the diff are those of a patch for -p0", patch=patch.number)
        elif judged.error is not None and patch.number == judged.stopped_at:
            yield _stopped(judged.error, patch.number, fit)
        elif fit is not None and fit.kind in _KINDS:
            rule = _rule_of(fit)
            first = next(iter(fit.details), rule.summary)
            more = f" (and {len(fit.details) - 1} more)" if len(fit.details) > 1 else ""
            yield rule.finding(f"{first}{more}", patch=patch.number, snippet=fit.details[1:8])
    if judged.error is not None and not judged.stopped_at:
        yield REFUSED.finding(judged.error.cause, snippet=judged.error.details[:SHOWN])


def _stopped(error: ApplyError, number: int, fit: PatchFit | None) -> Finding:
    """Return the finding of the patch that git am stopped at."""
    rule = _STOPPED[error.kind]
    message = error.reason
    if error.kind == "context" and fit is not None and fit.kind == "fuzz":
        rule, message = FUZZ, next(iter(fit.details), error.reason)
    remedy = error.remedy if rule is REFUSED else ""
    if rule is FAILS and fit is not None and PRESENT in fit.details:
        message, remedy = f"{message}: {PRESENT}", NOTHING.remedy
    return rule.finding(message, patch=number, snippet=error.details[:SHOWN], remedy=remedy)


def _rule_of(fit: PatchFit) -> Rule:
    if fit.kind != "not" or not fit.details:
        return _KINDS[fit.kind]
    if any(_CONTEXT.search(line) for line in fit.details):
        return FAILS
    return FILE if any(_FILE.search(line) for line in fit.details) else REFUSED
