"""What QEMU's tests show of a series, in lines for a terminal and a mail."""

from harness.check import RULES, CoveredFile, TestProof, TestRow
from harness.validate.gather import proof_lines, skipped_lines, unsteady_lines
from harness.validate.page import page
from harness.validate.points import points
from harness.validate.reply import reply
from harness.validate.table import render_validate
from tests.fuzz.markup import read_page
from tests.unit.screen import rendered
from tests.unit.validate.test_outputs import results


def row(name, outcome, patch=1, reason=""):
    return TestRow(patch=patch, suite="unit", name=name, outcome=outcome, seconds=0, reason=reason)


def test_skipped_tests_are_named_once_with_their_reason():
    run = results(
        tests=(
            row("a", "skipped", 0, "skipped: no KVM"),
            row("a", "skipped", 1, "skipped: no KVM"),
            row("b", "skipped"),
            row("c", "skipped", 1),
            row("c", "ok", 2),
        )
    )
    lines = list(skipped_lines(run))
    assert lines == ["test a skipped: no KVM", "test b skipped: it gives no reason"]
    assert all(f"Not run: {line}." in reply(run) for line in lines)


def test_test_that_no_longer_runs_is_named():
    run = results(
        tests=(
            row("gone", "ok", 0),
            row("lost", "ok", 0),
            row("lost", "ok", 1),
            row("lost", "skipped", 2, "skipped: no KVM"),
            row("kept", "ok", 0),
            row("kept", "failed", 2),
        )
    )
    assert list(skipped_lines(run)) == [
        "test gone was not run after the base: no later commit has it with its program",
        "test lost skipped after patch 1: no KVM",
    ]


def test_run_without_a_test_does_not_pass_over_it():
    text = "none of QEMU's own tests was run on the series"
    for tests in ((), (row("a", "ok", 0),), (row("a", "skipped"),), (row("a", "infrastructure"),)):
        run = results(tests=tests)
        assert text in rendered(render_validate(run), width=200)
        assert f"N{text[1:]}." in reply(run)
        assert text.partition("'")[0] in page(run)
        assert "tests run: a" not in reply(run)
    assert text[1:] not in reply(results(tests=(row("a", "failed"),)))
    assert text[1:] not in reply(results(tests=(), builds=()))


def test_test_that_passed_at_the_second_attempt_is_named():
    unsteady = "failed once, and passed when it ran again alone: odd"
    run = results(
        tests=(row("a", "ok", 0, unsteady), row("a", "ok", 1, unsteady), row("b", "ok", 1, unsteady))
    )
    lines = [f"test a {unsteady}, on the base", f"test b {unsteady}, on patch 1"]
    assert list(unsteady_lines(run)) == lines
    for line in lines:
        assert line in rendered(render_validate(run), width=200)
        assert line in page(run)
        assert f"{line}." in " ".join(reply(run).split())


def test_mail_names_the_tests_that_fail_on_the_base():
    run = results(tests=(row("a", "failed", 0, "why"), row("a", "failed", 1)))
    line = "ests that fail on the base too do not count: a"
    assert f"T{line}." in reply(run)
    assert f"t{line}" in page(run)
    assert line not in reply(results(tests=(row("a", "failed", 1),)))


def test_failure_of_a_test_with_spaces_in_its_name_counts():
    run = results(
        tests=(row("QAPI schema tests", "failed", 1, "why"),),
        findings=(RULES["test-fails"].finding("QAPI schema tests fails", patch=1),),
    )
    found = {point.name: point.outcome for point in points(run)}
    assert found["test QAPI schema tests"] == "failed"


def test_proofs_are_reported_with_their_reasons():
    proofs = (
        TestProof(test="a", suite="unit", patch=1, outcome="proves", reason="assertion"),
        TestProof(test="b", suite="unit", patch=2, outcome="passes on the base"),
    )
    run = results(proofs=proofs)
    lines = list(proof_lines(run))
    assert lines == [
        "test a of patch 1: fails on the base, passes with the series (assertion)",
        "test b of patch 2: passes on the base",
    ]
    assert f"{lines[1]}." in reply(run)
    assert lines[0] in rendered(render_validate(run), width=200)


def test_rule_of_the_finding_is_listed():
    assert "test-proves-nothing" in RULES


def test_page_shows_findings_proofs_and_lines_that_no_test_ran():
    proof = TestProof(test="a<b>", suite="unit", patch=1, outcome="passes on the base")
    covered = CoveredFile(patch=2, file="util/a.c", executable=9, missing=(3, 4, 5, 9))
    text = page(results(proofs=(proof,), coverage=(covered,)))
    assert "test a&lt;b&gt; of patch 1: passes on the base" in text
    assert "util/a.c 2 9 3-5, 9" in " ".join(read_page(text).text.split())
    assert all(f"[{one.rule}]" in text for one in results().findings)
    assert "<b>" not in text
    assert "Lines that no test ran" not in page(results())
