"""Rules on how each patch applies to the base."""

from __future__ import annotations

from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged

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
    summary="a patch does not apply",
    remedy="rebase the series onto the base, or select another base with -Dpin=",
)
NOTHING = Rule(
    id="apply-nothing",
    severity="warning",
    summary="a patch changes nothing, because the base contains its change",
    remedy="remove the patch from the series",
)
RULES = (OFFSETS, FUZZ, MERGED, FAILS, NOTHING)

_KINDS = {"offsets": OFFSETS, "fuzz": FUZZ, "3-way": MERGED, "not": FAILS, "already": NOTHING}


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    sound = [patch for patch in judged.patches if patch.mail.is_sound]
    for patch, fit in zip(sound, judged.fits, strict=False):
        rule = _KINDS.get(fit.kind)
        if rule is not None:
            first = next(iter(fit.details), rule.summary)
            more = f" (and {len(fit.details) - 1} more)" if len(fit.details) > 1 else ""
            yield rule.finding(f"{first}{more}", patch=patch.number, snippet=fit.details[1:8])
