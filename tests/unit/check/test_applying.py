"""Rules on how patches apply to the base."""

from __future__ import annotations

import pytest

from harness.check.applying import FAILS, FUZZ, MERGED, NOTHING, OFFSETS, check
from harness.check.model import Rule
from harness.tree.fit import PatchFit
from tests.unit.check.support import good, judged


def fit(kind: str, *details: str) -> PatchFit:
    return PatchFit(kind=kind, exact=False, details=details)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [("offsets", OFFSETS), ("fuzz", FUZZ), ("3-way", MERGED), ("not", FAILS), ("already", NOTHING)],
)
def test_each_fit_has_a_rule(kind: str, rule: Rule) -> None:
    (finding,) = check(judged(good(), fits=(fit(kind, "hunk 1 moved"),)))
    assert finding == rule.finding("hunk 1 moved", patch=1)


def test_patch_that_applies_has_no_finding() -> None:
    assert list(check(judged(good(), fits=(fit("clean"),)))) == []


def test_message_has_the_first_detail_and_the_snippet_the_others() -> None:
    details = [f"hunk {number}" for number in range(1, 11)]
    (finding,) = check(judged(good(), fits=(fit("not", *details),)))
    assert finding.message == "hunk 1 (and 9 more)"
    assert finding.snippet == tuple(details[1:8])
    (finding,) = check(judged(good(), fits=(fit("not", *details[:2]),)))
    assert finding.message == "hunk 1 (and 1 more)"
    (finding,) = check(judged(good(), fits=(fit("not"),)))
    assert (finding.message, finding.snippet) == (FAILS.summary, ())


def test_patches_without_a_sound_diff_have_no_fit() -> None:
    mails = [good(subject="[PATCH 1/2] util: none", diff=""), good(subject="[PATCH 2/2] util: one")]
    (finding,) = check(judged(*mails, fits=(fit("not", "hunk 1"),)))
    assert finding.patch == 2
