"""Families, the selection of rules, and the order of findings."""

import pytest

from harness.check import FAMILIES, RULES, Finding, choose_rules, merge, order, run_checks
from harness.errors import OptionError
from tests.unit.check.support import Recorder, cover, good, judged, pair

UNSIGNED = {"signed": "", "line": "int x; "}


def rules(findings):
    return [finding.rule for finding in findings]


def test_each_rule_belongs_to_one_family():
    listed = [rule.id for family in FAMILIES for rule in family.rules]
    assert sorted(listed) == sorted(RULES)
    assert all(RULES[rule.id] is rule for family in FAMILIES for rule in family.rules)


def test_all_rules_are_active_by_default():
    assert choose_rules([]) == frozenset(RULES)


def test_rules_and_families_can_be_disabled():
    off = frozenset(RULES) - choose_rules(["dco-missing", "cover-letter", "building"])
    families = {family.name: {rule.id for rule in family.rules} for family in FAMILIES}
    assert off == {"dco-missing"} | families["cover letter"] | families["building"]


def test_unknown_rule_is_an_error_that_suggests_a_similar_one():
    for name, similar in (("dco-mising", "dco-missing"), ("cover-leter", "cover-letter")):
        with pytest.raises(OptionError, match=f"-Drules-off: unknown rule '{name}'") as raised:
            choose_rules(["body-wrap", name])
        assert raised.value.remedy.startswith(f"did you mean {similar}? list the rules: ")
    with pytest.raises(OptionError) as raised:
        choose_rules(["zzz"])
    assert raised.value.remedy == "list the rules: qemu-harness check --list"


def test_disabled_rules_report_nothing():
    series = judged(good(**UNSIGNED))
    everything = run_checks(series, choose_rules(["checkpatch"]), Recorder())
    assert rules(everything) == ["dco-missing", "whitespace-trailing"]
    off = choose_rules(["dco-missing", "checkpatch"])
    assert rules(run_checks(series, off, Recorder())) == ["whitespace-trailing"]
    assert run_checks(series, frozenset(), Recorder()) == ()


def test_families_without_an_active_rule_are_not_run():
    """checkpatch would report the missing script."""
    series = judged(good())
    assert rules(run_checks(series, frozenset(RULES), Recorder())) == ["checkpatch-failed"]
    reporter = Recorder()
    assert run_checks(series, choose_rules(["checkpatch"]), reporter) == ()
    assert reporter.lines == ["checking the patches"]
    assert reporter.updates == [(at, len(FAMILIES), family.name) for at, family in enumerate(FAMILIES)]


def test_checkpatch_leaves_out_what_active_rules_report(tmp_path):
    script = tmp_path / "scripts" / "checkpatch.pl"
    script.parent.mkdir()
    script.write_text("print qq(ERROR: trailing whitespace\\n); exit 1;\n")
    series = judged(good(), source=tmp_path)
    assert run_checks(series, frozenset(RULES), Recorder()) == ()
    active = choose_rules(["whitespace-trailing"])
    assert rules(run_checks(series, active, Recorder())) == ["checkpatch-error"]


def test_findings_are_sorted_by_patch_and_severity():
    mails = [mail.replace(b"Signed-off-by:", b"Nobody:") for mail in pair("RFC PATCH")]
    findings = run_checks(judged(*mails), choose_rules(["checkpatch"]), Recorder())
    assert [(one.patch, one.rule) for one in findings] == [
        (0, "input-rfc"),
        (1, "dco-missing"),
        (2, "dco-missing"),
    ]
    assert rules(run_checks(judged(cover(), *pair()[1:]), frozenset(RULES), Recorder())) == [
        "checkpatch-failed"
    ]


def finding(rule="a", **fields):
    values = {"severity": "error", "message": "m", "remedy": "r"}
    return Finding(rule=rule, **(values | fields))


def test_equal_findings_are_merged_into_the_first():
    merged = merge([finding(line=3), finding(line=9, count=2), finding("b", line=4), finding(line=1)])
    assert merged == [finding(line=3, count=4), finding("b", line=4)]


@pytest.mark.parametrize(
    "other", [{"rule": "b"}, {"patch": 1}, {"file": "f"}, {"message": "n"}, {"severity": "note"}]
)
def test_findings_that_differ_are_not_merged(other):
    findings = [finding(), finding(**({"rule": "a"} | other))]
    assert merge(findings) == findings


def test_order_is_patch_severity_file_line_rule():
    expected = (
        finding("z", severity="note"),
        finding("z", patch=1, severity="error", file="z", line=9),
        finding("z", patch=1, severity="warning", file="a", line=9),
        finding("z", patch=1, severity="warning", file="b", line=1),
        finding("a", patch=1, severity="warning", file="b", line=2),
        finding("b", patch=1, severity="warning", file="b", line=2),
        finding("a", patch=1, severity="note", file="a", line=1),
        finding("a", patch=2, severity="error"),
    )
    assert order(expected[::-1]) == expected
