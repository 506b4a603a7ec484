"""Rules on the input: mails, numbers, versions and kinds of change."""

from dataclasses import replace

import pytest

from harness.check.reading import check
from harness.series.subject import parse_subject
from tests.unit.check.support import cover, good, judged, pair

BINARY = "diff --git a/{0} b/{0}\nnew file mode 100644\nindex 000..e69de29\n"
COMMIT = "1" * 40


def findings(*mails, **fields):
    return [facts(one) for one in check(judged(*mails, **fields))]


def facts(finding):
    return finding.rule, finding.patch, finding.message


def reply(text, above, sender="R <r@e.org>", ident="r@e.org"):
    return good(subject="Re: x", diff="", body=text, signed="", above=above, ident=ident, sender=sender)


def test_missing_patches_are_named():
    mails = [cover(subject="[PATCH 0/4] util: four"), *(mail.replace(b"/2]", b"/4]") for mail in pair()[1:])]
    assert findings(*mails) == [("input-missing", 0, "patches 3-4 of 4 are missing")]


def test_duplicate_is_named_with_its_number():
    first, one, two = pair()
    again = one.replace(b"<1@example.org>", b"<9@example.org>")
    assert findings(first, one, again, two) == [
        ("input-duplicate", 0, "mail 2: another mail also has the number 1")
    ]
    assert findings(first, one, one, two) == []
    single = one.replace(b"PATCH 1/2", b"PATCH")
    title = parse_subject(single.partition(b"Subject: ")[2].partition(b"\n")[0].decode()).title
    assert findings(single, single.replace(b"<1@example.org>", b"<9@example.org>")) == [
        ("input-duplicate", 0, f"mail 1: another mail also has the title {title!r}")
    ]


def test_other_order_of_the_mails_is_a_note():
    first, one, two = pair()
    assert findings(first, two, one) == [
        ("input-order", 0, "the order of the patches differs from their numbers")
    ]


def test_patch_of_a_longer_series_may_be_judged_alone():
    _, one, two = pair()
    assert findings(two.replace(b"2/2]", b"03/12]")) == [
        ("input-excerpt", 0, "only patch 3 of 12 is in the input")
    ]
    both = [one.replace(b"1/2]", b"1/3]"), two.replace(b"2/2]", b"3/3]")]
    assert findings(*both) == [("input-missing", 0, "patch 2/3 is missing")]
    assert findings(cover(), two) == [("input-missing", 0, "patch 1/2 is missing")]


def test_patches_of_an_older_version_are_noted_and_its_number_is_not_ignored():
    again = good(subject="[PATCH v2 2/2] util: add more", ident="v2@e.org", above="2@example.org")
    assert findings(*pair(), again) == [
        ("input-reroll", 0, "v2 does not contain all patches; those at 1 are from v1")
    ]
    other = good(subject="[PATCH v3] util: x", ident="v3@e.org")
    assert [rule for rule, _, _ in findings(*pair(), again, other)] == ["input-left-out"]


def test_patches_that_count_nothing_in_common_are_noted():
    mails = [mail.replace(b"Message-Id", b"X-Id") for mail in (good(), pair()[1])]
    assert findings(*mails) == [("input-count", 0, "the subjects do not count the patches of one series")]


def test_objections_are_findings_of_their_patch_and_of_the_series():
    first, one, two = pair()
    for above, patch in (("0@example.org", 0), ("2@example.org", 2)):
        series = judged(first, one, two, reply("No.\n\nNacked-by: R <r@e.org>", above))
        (finding,) = check(series)
        assert facts(finding) == ("input-nack", patch, "R <r@e.org> objects")
        assert finding.snippet == ("Nacked-by: R <r@e.org>",)
        other = reply("Nacked-by: A <a@e.org>", above)
        assert [rule for rule, _, _ in findings(first, one, two, other)] == ["input-nack"]


def test_patch_in_reply_to_a_series_is_listed_as_ignored():
    extra = good(subject="[PATCH] util: better", ident="x@e.org", above="2@example.org")
    assert findings(*pair(), extra) == [
        ("input-left-out", 0, "mail 4 contains a patch that is not part of the series")
    ]


def test_ignored_parts_are_listed():
    series = judged(good())
    series = replace(series, input=replace(series.input, notes=("b.patch was skipped",)))
    assert [facts(one) for one in check(series)] == [("input-left-out", 0, "b.patch was skipped")]
    versions = [good(subject=f"[PATCH v{n}] util: x", ident=f"{n}@e.org") for n in (1, 2, 4)]
    assert findings(*versions) == [
        ("input-left-out", 0, "only v4 is checked; the thread also contains v1, v2")
    ]
    required = {"<1@e.org>": "", "<2@e.org>": "which does not apply"}
    assert findings(*versions, required=required) == [
        ("input-left-out", 0, "only v4 is checked; the thread also contains v2")
    ]


def test_pull_requests_and_rfcs_are_recognised():
    assert findings(good(subject="[PULL 1/1] util: x")) == [("input-pull", 0, "the subjects are tagged PULL")]
    assert findings(good(subject="[RFC PATCH] util: x")) == [("input-rfc", 0, "the subjects are tagged RFC")]


def test_trailer_of_a_person_other_than_its_sender_is_a_note():
    trailer = "Reviewed-by: A <a@e.org>"
    message = f"R <r@e.org> sent the trailer {trailer}"
    first, one, two = pair()
    for above, patch in (("0@example.org", 0), ("2@example.org", 2)):
        assert findings(first, one, two, reply(trailer, above)) == [("input-trailer", patch, message)]
        assert findings(first, one, two, reply(trailer, above, "A <a@e.org>")) == []


def test_trailer_for_a_single_patch_without_a_number_is_attributed_to_the_series():
    mails = (good(), reply("Reviewed-by: A <a@e.org>", "1@example.org"))
    ((rule, patch, _),) = findings(*mails)
    assert (rule, patch) == ("input-trailer", 1)


def test_position_counts_the_patches_that_exist():
    """Patch 3/3 is the second one when 1/3 is missing."""
    _, one, two = pair()
    mails = (one.replace(b"1/2]", b"2/3]"), two.replace(b"2/2]", b"3/3]"))
    trailer = reply("Reviewed-by: A <a@e.org>", "2@example.org")
    assert [(rule, patch) for rule, patch, _ in findings(*mails, trailer)] == [
        ("input-missing", 0),
        ("input-trailer", 2),
    ]


def test_base_commit_that_the_tree_does_not_have_is_a_note():
    text = f"Both.\n\nbase-commit: {COMMIT}"
    assert findings(cover(message=text), *pair()[1:]) == [
        ("input-base", 0, f"the series is based on commit {COMMIT[:12]}, but is checked on pin 7.2")
    ]
    assert findings(cover(message=text), *pair()[1:], origin=COMMIT) == []
    assert findings(good(body=f"Why.\n\nbase-commit: {COMMIT[1:]}")) == []


def test_required_series_is_a_note():
    text = "Why.\n\nBased-on: <1@e.org> \nBased-on: <2@e.org>"
    assert findings(good(body=text)) == [
        ("input-base", 0, "the series requires <1@e.org>, which is not applied"),
        ("input-base", 0, "the series requires <2@e.org>, which is not applied"),
    ]


def test_base_is_read_from_a_mail_that_is_no_utf8():
    mail = good(body=f"\xfc\n\nbase-commit: {COMMIT}", charset="latin-1")
    assert [rule for rule, _, _ in findings(mail)] == ["input-base"]


def test_faults_of_a_mail_are_findings_of_its_patch():
    _, one, two = pair()
    two = two.replace(b"From: A U Thor <a@example.org>", b"From: nobody")
    assert findings(one, two) == [("input-no-author", 2, "it names no author")]


def test_binary_files_are_findings():
    literal = "GIT binary patch\nliteral 3\nKcmZQzWM=>X002M#0Av6F\n\nliteral 0\nHcmV?d00001\n\n"
    (finding,) = check(judged(good(diff=BINARY.format("a.bin") + literal)))
    assert facts(finding) == ("input-binary", 1, "the file is binary")
    assert finding.file == "a.bin"
    differ = BINARY.format("a.bin") + "Binary files /dev/null and b/a.bin differ\n"
    (finding,) = check(judged(good(diff=differ)))
    assert facts(finding) == ("input-no-content", 1, "the content of the binary file is not in the patch")
    assert finding.file == "a.bin"


def test_changed_mode_is_a_note():
    mode = "diff --git a/a.c b/a.c\nold mode 100644\nnew mode 100755\n"
    (finding,) = check(judged(good(diff=mode)))
    assert facts(finding) == ("input-mode", 1, "the mode changes from 100644 to 100755")
    assert finding.file == "a.c"


@pytest.mark.parametrize(
    "diff",
    [
        "diff --git a/a.c b/a.c\nnew file mode 100755\n--- /dev/null\n+++ b/a.c\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/a.c b/a.c\ndeleted file mode 100755\n--- a/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "diff --git a/a.c b/a.c\nindex 123..456 100755\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-x\n+y\n",
    ],
    ids=["new", "removed", "the same"],
)
def test_mode_of_other_files_does_not_change(diff):
    assert findings(good(diff=diff)) == []
