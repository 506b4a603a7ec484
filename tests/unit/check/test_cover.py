"""Rules on cover letters and versions."""

from dataclasses import replace

import pytest

from harness.check.cover import check
from harness.series import read_mail
from harness.series.version import Thread
from tests.unit.check.support import cover, good, judged, pair

V2 = "PATCH v2"


def messages(*mails):
    findings = list(check(judged(*mails)))
    assert {one.patch for one in findings} <= {0}
    return [(one.rule, one.message) for one in findings]


def test_complete_series_has_no_findings():
    assert messages(*pair()) == []
    assert messages(good()) == [], "one patch has no cover letter"


def test_series_without_cover_letter_is_a_finding():
    assert messages(*pair()[1:]) == [("cover-missing", "2 patches have no cover letter")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": "[PATCH 0/2] *** SUBJECT HERE ***"}, "*** SUBJECT HERE ***"),
        ({"message": "*** BLURB HERE ***"}, "*** BLURB HERE ***"),
    ],
)
def test_placeholder_in_the_cover_letter_is_a_finding(changes, words):
    ((rule, message),) = messages(cover(**changes), *pair()[1:])
    assert rule == "cover-blank"
    assert repr(words) in message


def test_differing_tags_are_listed():
    one, two = (good(subject=f"[{tag}] util: x", ident=f"{tag}@e.org") for tag in ("PATCH 1/3", "PATCH 2/3"))
    series = judged(one, two)
    letter = read_mail(cover(subject="[RFC PATCH v2 0/2] util: x"), "0000-cover-letter.patch")
    version = replace(series.input.version, cover=letter)
    series = replace(series, input=replace(series.input, thread=Thread(versions=(version,))))
    (finding,) = check(series)
    assert finding.rule == "version-tag"
    assert finding.message.endswith(": v1 of 3, v2 of 2 RFC")


def test_patches_of_an_older_version_do_not_disagree():
    mails = [cover(subject="[PATCH 0/3] util: three")]
    for tag, ident, numbers in (("PATCH", "v1", (1, 2, 3)), (V2, "v2", (2, 3))):
        mails += [
            good(subject=f"[{tag} {at}/3] util: {at}", ident=f"{ident}-{at}@e.org", above="0@example.org")
            for at in numbers
        ]
    series = judged(*mails)
    assert series.input.version.reused
    assert [one.rule for one in check(series)] == ["version-changelog"]


def test_mails_without_a_count_do_not_disagree():
    assert messages(*pair("PATCH v1")) == []


@pytest.mark.parametrize(
    "notes",
    [
        "v2: renamed",
        "Changelog:\n- renamed",
        "Change log",
        "Changes since v1",
        "since the last version",
        "since last",
    ],
)
def test_change_log_of_a_version_may_be_below_the_line_of_a_patch(notes):
    assert messages(good(subject=f"[{V2}] util: x", notes=notes)) == []


def test_change_log_may_be_in_the_cover_letter():
    assert messages(*pair(V2, message="Both.\n\nChanges in v2: none")) == []
    assert messages(*pair(V2, notes="Changes in v2: none", diff="diff --git a/x b/x\n")) == []


def test_new_version_without_change_log_is_a_finding():
    for series in (pair(V2), [good(subject=f"[{V2}] util: x", body="Changes in v2: none")]):
        ((rule, message),) = messages(*series)
        assert rule == "version-changelog"
        assert message.startswith("v2 has no change log")


@pytest.mark.parametrize(
    "stat", [" docs/v2.txt | 2 +-", " a v1 | Bin 0 -> 4 bytes", " long name/v3.c |   12 ++"]
)
def test_diffstat_is_no_change_log(stat):
    ((rule, _),) = messages(good(subject=f"[{V2}] util: x", notes=f"{stat}\n 1 file changed\n"))
    assert rule == "version-changelog"
    assert messages(good(subject=f"[{V2}] util: x", notes=f"{stat}\nNotes.\nv2: renamed\n")) == []
