"""Rules on how a patch applies to the base that it is judged on."""

from __future__ import annotations

from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged

OFFSETS = Rule(
    id="apply-offsets",
    severity="note",
    summary="hunks apply at other lines than they say",
    remedy="nothing, or rebase the series",
)
FUZZ = Rule(
    id="apply-fuzz",
    severity="error",
    summary="a patch applies only when context is left out, which git am never does",
    remedy="rebase the series onto the base",
)
MERGED = Rule(
    id="apply-3way",
    severity="warning",
    summary="a patch applies only by a three-way merge",
    remedy="rebase the series onto the base, and look at what was merged",
)
FAILS = Rule(
    id="apply-fails",
    severity="error",
    summary="a patch does not apply",
    remedy="rebase the series onto the base, or judge it on another: -Dpin=",
)
NOTHING = Rule(
    id="apply-nothing",
    severity="warning",
    summary="a patch changes nothing: the base has what it adds",
    remedy="leave it out of the series",
)
RULES = (OFFSETS, FUZZ, MERGED, FAILS, NOTHING)

_KINDS = {"offsets": OFFSETS, "fuzz": FUZZ, "3-way": MERGED, "not": FAILS, "already": NOTHING}


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    sound = [patch for patch in judged.patches if patch.mail.is_sound]
    for patch, fit in zip(sound, judged.fits, strict=False):
        rule = _KINDS.get(fit.kind)
        if rule is not None:
            first = next(iter(fit.details), rule.summary)
            more = f" (and {len(fit.details) - 1} more)" if len(fit.details) > 1 else ""
            yield rule.finding(f"{first}{more}", patch=patch.number, snippet=fit.details[1:8])
