"""Findings that every patch has are listed once; the reason why a series does not apply decides the words."""

import msgspec
import pytest

from harness.check import RULES, StageRow, TestRow
from harness.errors import ApplyError, FindingsError
from harness.validate.gather import base_words, causes_of, gathered
from harness.validate.reply import reply
from harness.validate.table import verdict_line
from harness.validate.verdict import check_validate
from tests.unit.validate.test_outputs import results


def unsigned(*patches):
    return [RULES["dco-missing"].finding("no Signed-off-by", patch=number) for number in patches]


def found(*findings, **changes):
    return msgspec.structs.replace(results(), findings=findings, **changes)


def test_finding_that_each_patch_has_is_listed_once():
    other = RULES["body-missing"].finding("no body", patch=2)
    whole = found(*unsigned(1, 2), other, verdict="findings")
    once, rest = gathered(whole)
    assert (once.patch, once.message) == (0, "each of the 2 patches: no Signed-off-by")
    assert rest == other
    assert reply(whole).count("[dco-missing]") == 1
    assert verdict_line(whole).endswith("1 error, 1 warning")
    assert len(whole.findings) == 3, "the results keep them by patch"


def test_series_that_was_not_compiled_is_not_called_clean():
    whole = found(verdict="clean")
    assert verdict_line(whole).endswith(" clean")
    assert "Nothing was compiled" not in reply(whole)
    assert "has no findings" in reply(whole)
    assert "\n--\nThe series is clean" in reply(whole)
    one = next(row for row in whole.builds if row.patch)
    for builds in (
        [],
        [msgspec.structs.replace(one, patch=0)],
        [msgspec.structs.replace(one, outcome="failed")],
    ):
        read = found(verdict="clean", builds=builds)
        assert "nothing was compiled or tested" in verdict_line(read)
        assert "no findings. Nothing was compiled or tested." in reply(read).replace("\n", " ")
    left_out = StageRow(name="build", outcome="not run", reason="the base already contains the series")
    assert "tested (the base already contains" in verdict_line(
        found(verdict="clean", builds=[], stages=[left_out])
    )


def test_mail_on_a_series_with_notes_does_not_deny_them():
    note = RULES["body-alone"].finding("it depends on others", patch=1)
    whole = found(note, verdict="clean")
    assert "has only 1 note." in reply(whole)
    assert "no findings" not in reply(whole)
    assert "has only these findings as it was read" in verdict_line(found(note, verdict="clean", builds=[]))


def test_causes_are_those_of_what_could_not_be_judged():
    def test(outcome, reason):
        return TestRow(patch=1, suite="unit", name=reason, outcome=outcome, seconds=0, reason=reason)

    def stage(outcome, reason):
        return StageRow(name="behaviour", outcome=outcome, reason=reason)

    whole = found(
        stages=[stage("not run", "no suites"), stage("infrastructure", "no disk")],
        tests=[test("skipped", "no KVM"), test("failed", "assertion"), test("infrastructure", "no result")],
    )
    assert list(causes_of(whole)) == ["no disk", "no result"]


def test_finding_of_some_patches_is_listed_for_each():
    assert gathered(found(*unsigned(2))) == tuple(unsigned(2))
    mixed = [*unsigned(1), RULES["dco-missing"].finding("another text", patch=2)]
    assert gathered(found(*mixed)) == tuple(mixed)


def test_chosen_patches_are_all_that_count():
    options = {**results().options, "patches": ["2"]}
    assert gathered(found(*unsigned(2), options=options)) == tuple(unsigned(2)), "a single one is no series"


def test_errors_of_the_series_come_first():
    note = RULES["input-rfc"].finding("RFC")
    assert [one.rule for one in gathered(found(note, *unsigned(1, 2)))] == ["dco-missing", "input-rfc"]


@pytest.mark.parametrize(
    ("rule", "rebase"),
    [
        ("apply-fails", True),
        ("apply-fuzz", True),
        ("apply-file", False),
        ("apply-refused", False),
        ("apply-p0", False),
        ("input-missing", False),
    ],
)
def test_reply_asks_for_a_rebase_only_if_the_context_differs(rule, rebase):
    text = reply(found(RULES[rule].finding("the reason", patch=1), verdict="apply"))
    assert ("please rebase" in text) is rebase
    assert "the reason" in text


def test_error_names_first_what_stops_the_series(layout):
    stop = RULES["apply-refused"].finding("it is a link", patch=2)
    many = [RULES["dco-malformed"].finding(f"line {number}", patch=1) for number in range(9)]
    with pytest.raises(ApplyError) as error:
        check_validate(layout, found(*many, stop, verdict="apply"))
    assert "it is a link" in error.value.details[0]
    with pytest.raises(FindingsError, match=r"has 1 error$"):
        check_validate(layout, found(*unsigned(1, 2), verdict="findings"))


def test_base_in_a_clone_is_named_by_its_commit():
    """The name of a clone's tree means nothing to the author of a series."""
    pinned = found(verdict="clean")
    assert f"Base: {pinned.base} of pin {pinned.pin}." in reply(pinned)
    source = {**pinned.options, "source": "/home/me/qemu"}
    cloned = found(verdict="clean", options=source, pin="clone-qemu-1234", base_commit="0123456789abcdef" * 2)
    for text in reply(cloned).split("Base: "):
        assert "commit 0123456789ab" in text
    assert "clone-qemu-1234" not in reply(cloned)
    assert base_words(msgspec.structs.replace(cloned, base_commit="")) == "clone-qemu-1234"
