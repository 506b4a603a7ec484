"""Rules on subjects and bodies of commit messages."""

import pytest

from harness.check.message import WIDTH, check
from tests.unit.check.support import SIGNED, WHY, good, judged

LONG = "word " * 20
FIX = 'Fixes: 14055ce53c2d ("s390x/tcg: avoid overflows")'


def findings(**changes):
    found = list(check(judged(good(**changes))))
    assert {one.patch for one in found} <= {1}
    return found


def subject(title):
    return [(one.rule, one.message) for one in findings(subject=f"[PATCH] {title}")]


def body(text, signed=SIGNED):
    return [(one.rule, one.message, one.snippet) for one in findings(body=text, signed=signed)]


@pytest.mark.parametrize(
    "title",
    [
        "hw/ppc/spapr: x",
        "target/arm, hw/arm: x",
        "tests/qtest: x",
        'Revert "x"',
        "Reapply x",
        "qemu-options.hx: x",
        "s390x: x",
        "util: and so on...",
    ],
)
def test_subjects_with_a_prefix_have_no_findings(title):
    assert subject(title) == []


def test_subject_without_prefix_is_a_finding():
    assert subject("add it") == [("subject-prefix", "'add it' names no subsystem")]


def test_long_subject_is_a_finding():
    title = f"util: {'x' * (WIDTH - 6)}"
    assert subject(title) == []
    (finding,) = findings(subject=f"[PATCH] {title}x")
    assert (finding.rule, finding.message) == ("subject-length", "the subject has 77 characters")
    assert finding.snippet == (f"{title}x",)


def test_full_stop_in_the_subject_is_a_finding():
    assert subject("util: add it.") == [("subject-dot", "'util: add it.' ends in a full stop")]


def test_empty_subject_has_no_findings():
    assert subject("") == []


def test_message_without_body_is_a_finding():
    missing = [("body-missing", "the message consists of the subject alone", ())]
    assert body("") == missing
    assert body("", f"{FIX}\n{SIGNED}") == missing, "trailers are no body"


def test_long_lines_are_findings():
    line = "word " * 15 + "x"
    assert len(line) == WIDTH
    assert body(f"{line}   ") == []
    assert body(f"{line}x") == [("body-wrap", "a line has 77 characters", (f"{line}x",))]
    assert [rule for rule, _, _ in body(f"{LONG}\n{LONG}")] == ["body-wrap", "body-wrap"]


@pytest.mark.parametrize(
    "line",
    [
        *(f"{mark}{LONG}" for mark in (" ", "\t", ">", "|", "#", "$", "[", "(cherry picked from ")),
        f"Reported-by: {LONG}<a@b.c>",
        f"see https://example.org/{LONG}",
        f"{'x' * 60} {LONG}",
        f"{'x' * 30} {'y' * 30} {'z' * 30}",
    ],
)
def test_lines_that_cannot_be_wrapped_may_be_long(line):
    assert body(f"{WHY}\n{line}") == []


def test_line_of_four_words_can_be_wrapped():
    line = " ".join(letter * 30 for letter in "abcd")
    assert [rule for rule, _, _ in body(line)] == ["body-wrap"]


@pytest.mark.parametrize("word", ["...", "so that ", "And ", "which ", "because ", "to be able "])
def test_body_that_continues_the_subject_is_a_finding(word):
    line = f"{word}it is needed."
    assert body(line) == [("body-alone", "the body continues the sentence of the subject", (line,))]
    assert body(f"{WHY}\n{line}") == [], "only the first line can"


@pytest.mark.parametrize(
    "words",
    [
        "the previous patch",
        "next commits",
        "the last commit",
        "in the cover letter",
        "the following\npatches",
    ],
)
def test_body_that_refers_to_other_mails_is_a_finding(words):
    shown = " ".join(words.split())
    assert body(f"It is {words} of it.") == [("body-alone", f"the body refers to {shown!r}", ())]


@pytest.mark.parametrize("line", ["v1 -> v2:", "v2:", "Changes in v2:", "- changes since v1", "since v1: x"])
def test_change_log_in_the_body_is_a_finding(line):
    message = "a change log is above the --- line"
    assert body(f"{WHY}\n\n{line}\n{line}") == [("body-changelog", message, (line,))]


def test_each_patch_is_checked():
    mails = [good(subject=f"[PATCH {n}/2] x", ident=f"{n}@e.org") for n in (1, 2)]
    assert [one.patch for one in check(judged(*mails))] == [1, 2]
