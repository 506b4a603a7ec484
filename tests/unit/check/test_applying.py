"""Rules on how patches apply to the base."""

import pytest

from harness.check.applying import FAILS, FILE, FUZZ, MERGED, NOTHING, OFFSETS, REFUSED, check
from harness.errors import ApplyError
from harness.tree.fit import PRESENT, PatchFit
from tests.unit.check.support import good, judged


def fit(kind, *details):
    return PatchFit(kind=kind, exact=False, details=details)


@pytest.mark.parametrize(
    ("kind", "detail", "rule"),
    [
        ("offsets", "hunk 1 moved", OFFSETS),
        ("fuzz", "hunk 1 moved", FUZZ),
        ("3-way", "hunk 1 moved", MERGED),
        ("already", "hunk 1 moved", NOTHING),
        ("not", "patch failed: a.c:7", FAILS),
        ("not", "a.c: patch does not apply", FAILS),
        ("not", "a.c: does not exist in index", FILE),
        ("not", "a.c: already exists in index", FILE),
        ("not", "cannot apply binary patch to 'a' without full index line", REFUSED),
    ],
)
def test_each_fit_has_a_rule(kind, detail, rule):
    (finding,) = check(judged(good(), fits=(fit(kind, detail),)))
    assert finding == rule.finding(detail, patch=1)


def stopped(kind, *details):
    error = ApplyError("patch 1/1 of x (1) does not", "do it", details=details)
    error.patch, error.reason, error.kind = 1, "the patch does not", kind
    return error


@pytest.mark.parametrize(
    ("kind", "rule", "remedy"), [("context", FAILS, ""), ("file", FILE, ""), ("refused", REFUSED, "do it")]
)
def test_whatever_stops_git_am_is_a_finding_with_its_text(kind, rule, remedy):
    error = stopped(kind, "line 1", "line 2")
    (finding,) = check(judged(good(), fits=(fit("not", "x"),), error=error, stopped_at=1))
    wanted = rule.finding("the patch does not", patch=1, snippet=("line 1", "line 2"), remedy=remedy)
    assert finding == wanted


@pytest.mark.parametrize(
    ("details", "message"), [(["less context"], "less context"), ([], "the patch does not")]
)
def test_patch_that_only_patch_applies_is_called_so(details, message):
    error = stopped("context", "line 1")
    (finding,) = check(judged(good(), fits=(fit("fuzz", *details),), error=error, stopped_at=1))
    assert finding == FUZZ.finding(message, patch=1, snippet=("line 1",))


def test_patch_that_stops_git_am_because_its_change_is_there_is_called_so():
    error = stopped("context", "line 1")
    (finding,) = check(judged(good(), fits=(fit("not", PRESENT),), error=error, stopped_at=1))
    assert (finding.rule, finding.remedy) == (FAILS.id, NOTHING.remedy)
    assert finding.message == "the patch does not: the tree already contains the change"


def test_error_of_no_patch_is_a_finding_of_the_series():
    error = ApplyError("all of it", "do it", details=("line 1",))
    (finding,) = check(judged(good(), fits=(fit("clean"),), error=error))
    assert finding == REFUSED.finding("all of it", snippet=("line 1",))


def test_patch_for_p0_has_no_other_finding():
    error = stopped("refused")
    found = judged(good(), fits=(fit("not", "x"),), error=error, stopped_at=1, unprefixed=frozenset({1}))
    assert [one.rule for one in check(found)] == ["apply-p0"]


def test_patch_that_applies_has_no_finding():
    assert list(check(judged(good(), fits=(fit("clean"),)))) == []


def test_message_has_the_first_detail_and_the_snippet_the_others():
    details = [f"patch failed: {number}" for number in range(1, 11)]
    (finding,) = check(judged(good(), fits=(fit("not", *details),)))
    assert finding.message == "patch failed: 1 (and 9 more)"
    assert finding.snippet == tuple(details[1:8])
    (finding,) = check(judged(good(), fits=(fit("not", *details[:2]),)))
    assert finding.message == "patch failed: 1 (and 1 more)"
    (finding,) = check(judged(good(), fits=(fit("not"),)))
    assert (finding.message, finding.snippet) == (FAILS.summary, ())


def test_patches_without_a_sound_diff_have_no_fit():
    mails = [good(subject="[PATCH 1/2] util: none", diff=""), good(subject="[PATCH 2/2] util: one")]
    (finding,) = check(judged(*mails, fits=(fit("not", "hunk 1"),)))
    assert finding.patch == 2
