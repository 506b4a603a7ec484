"""validate, check and ci: calls, output and exit codes."""

import io
import json
import shutil

import pytest

from harness.behaviour.tests import find_tests
from harness.bench import Subject
from harness.build.devices import GUESTS
from harness.check import RULES, TestProof
from harness.errors import FindingsError, InfrastructureError, OptionError, TreeError
from harness.properties.model import ROWS
from harness.sandbox import NO_SANDBOX
from harness.teardown.results import GateResult
from harness.validate import run as module
from tests.unit.behaviour.test_behaviour import results as behaviour_results
from tests.unit.behaviour.test_behaviour import row
from tests.unit.check.support import RELEASE, good
from tests.unit.properties.support import make_row as property_row
from tests.unit.report.support import make_results
from tests.unit.repositories import make_repository
from tests.unit.teardown.support import make_sample

GATE = '[[gate]]\nname = "g"\nkind = "ratio"\nmetric = "time"\ntest = "t"\nat_most = 0.5\n'
QUICK = ("-Dbisect=none", "-Dmatrix=7.2", "-Disolation=none", "-Dtargets=x86_64-softmmu")


@pytest.fixture
def with_suites(layout):
    """Return a function that adds suites to the series of the fake QEMU, during a test."""
    file = layout.root / "patches" / "async-teardown" / "series.toml"
    before = file.read_text()
    yield lambda *names: file.write_text(f"{before}suites = {json.dumps(names)}\n")
    file.write_text(before)


def test_series_is_judged_and_results_are_written(run, layout, calls):
    for stage in ("series.read_input", "sandbox.open_sandbox", "validate.run.record_validate"):
        calls.spy(f"harness.{stage}")
    calls.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ended = run("validate", *QUICK, "-Dfail-on=never")
    assert ended.code == 0, ended.error
    (read, words), *_ = calls.given["read_input"]
    assert (read, words["clone"]) == ((layout, "async-teardown"), "")
    ((opened, _),) = calls.given["open_sandbox"]
    assert opened == (layout, "none", words["reporter"])
    ((given, recorded),) = calls.given["record_validate"]
    assert given[4] is words["reporter"] is not None
    assert recorded["sandbox"] is NO_SANDBOX
    stored = json.loads((layout.results / "validate.json").read_text())
    assert (stored["verdict"], stored["complete"]) == ("clean", True)
    assert (stored["command"], stored["base"]) == ("qemu-harness validate", "base")
    assert {finding["rule"] for finding in stored["findings"]} >= {"dco-missing"}
    for ending in ("json", "sarif", "xml", "tap"):
        for file in list(layout.results.glob(f"validate*.{ending}")) or [layout.results / ending]:
            assert f" {file}\n" in ended.out
    assert str(layout.results / "validate.json") in ended.out
    assert "dco-missing" in ended.out
    assert "\n::error " in ended.out, "marks for GitHub"


def test_findings_set_the_exit_code(run):
    run("validate", *QUICK).fails(FindingsError)


def test_options_are_passed_to_the_run(run, layout):
    """Skipped rules, requested patches, base and pin."""
    rules = {one["rule"] for one in findings(run, layout)}
    assert "dco-missing" in rules
    assert "dco-missing" not in {one["rule"] for one in findings(run, layout, "-Drules-off=dco-missing")}
    run("validate", *QUICK, "-Dpatches=2").fails(OptionError)
    findings(run, layout, "-Dbase=pristine")
    assert json.loads((layout.results / "validate.json").read_text())["base"] == "pristine"
    run("validate", *QUICK, "-Dpin=9.9").fails(OptionError)
    run("validate", *QUICK, "-Dseries=no-such").fails(OptionError)
    error = run("validate", *QUICK, "-Ddevices=guests").error
    assert isinstance(error, OptionError)
    assert (error.cause[:17], error.remedy) == ("-Ddevices=guests:", "omit -Ddevices=")


def test_folder_that_configure_misreads_is_refused_before_the_series_is_judged(run, layout, tmp_path):
    object.__setattr__(layout, "build", tmp_path / "a b")
    run("validate", "-Dbisect=each").fails(OptionError, f"cannot build QEMU in {tmp_path / 'a b'}: ")


def findings(run, layout, *words):
    run("validate", *QUICK, *words)
    return json.loads((layout.results / "validate.json").read_text())["findings"]


def test_failure_of_the_harness_is_not_attributed_to_the_series(run, calls, layout):
    def broken(*_, **__):
        raise TreeError("the tree is damaged", "remove it")

    calls.spy("harness.validate.run.import_source", broken)
    run("validate", *QUICK).fails(InfrastructureError, "damaged")
    assert json.loads((layout.results / "validate.json").read_text())["verdict"] == "infrastructure"


# suites


@pytest.fixture
def behaviour(calls):
    """Record the function for the suites that record_validate receives."""

    def record(*given, behaviour, **words):
        found.append(behaviour)
        return original(*given, behaviour=behaviour, **words)

    found = []
    original = module.record_validate
    calls.spy("harness.validate.run.record_validate", record)
    return found


def test_series_without_suites_runs_none(run, behaviour):
    run("validate", *QUICK)
    assert behaviour == [None]


def test_unknown_suites_are_refused(run, with_suites):
    with_suites("dancing")
    ended = run("validate", *QUICK)
    assert isinstance(ended.error, OptionError)
    assert ended.error.cause.startswith("-Dseries: series.toml has no 'dancing'")


def test_each_suite_runs_on_base_and_patched_and_gives_findings(
    run, behaviour, with_suites, calls, monkeypatch
):
    def run_properties(bench, rows, *, emulated, on_row):
        seen["properties"] = ([subject.variant for subject in bench.native], rows)
        on_row(property_row(4))
        on_row(property_row(3, outcome="fail", reason="two helpers"))

    def record_teardown(bench, *, command, gates):
        seen["teardown"] = ([subject.variant for subject in bench.native], bool(gates.gate))
        failed = make_sample(outcome="failed", reason="it broke", variant="patched")
        gate = GateResult(gate="g", place="p", outcome="fail", reason="too slow")
        return make_results([failed, failed], gates=(gate,))

    seen = {}
    monkeypatch.setattr("harness.properties.record.run_properties", run_properties)
    monkeypatch.setattr("harness.teardown.record.record_teardown", record_teardown)
    with_suites("teardown", "properties")
    run("validate", *QUICK, "-Daccel=tcg", "-Dccache=false", "-Djobs=2")
    (suites,) = behaviour
    made = [finding.message for finding in suites()]
    assert made == [
        "property 3 of patched: fail, not pass: two helpers",
        "gate g at p: too slow",
        "teardown of patched x86_64-softmmu: it broke",
    ]
    assert {finding.rule for finding in suites()} == {RULES["behaviour-fails"].id}
    assert seen == {"properties": (["base", "patched"], tuple(ROWS)), "teardown": (["base", "patched"], True)}
    behaviour.clear()
    with_suites("teardown")
    seen.clear()
    run("validate", *QUICK, "-Daccel=tcg", "-Dccache=false", "-Djobs=2")
    behaviour[0]()
    assert list(seen) == ["teardown"]


@pytest.mark.parametrize("base", ["base", ""])
def test_own_tests_run_on_the_base_and_patched_and_give_findings_and_proofs(
    run, behaviour, own_test, calls, layout, base
):
    series = own_test.parents[1] / "series.toml"
    before = series.read_text()
    series.write_text(before if base else before.replace('base = "base"', ""))
    own_test.with_name("gates.toml").write_text(GATE)
    reference = base or "pristine"
    subjects = [Subject(variant=one, target="x86_64-softmmu", path="/q") for one in (reference, "patched")]
    rows = [row(one, turn, 1) for turn in (1, 2, 3) for one in (reference, "patched")]
    rows += [row("patched", 1, 1, test="u", outcome="fail", reason="broken"), row(reference, 1, 1, test="u")]

    def record_behaviour(bench, _, **words):
        return behaviour_results(rows, bench.subjects, gates=words["gates"])

    calls.spy("harness.behaviour.record.record_behaviour", record_behaviour)
    calls.spy("harness.pipeline.build_all", lambda *_: (None, "builds"))
    calls.spy("harness.bench.subjects_of", lambda _: subjects)
    calls.spy("harness.bench.open_bench")
    run("validate", *QUICK, "-Dpayload=linux", "-Dhosts=s390x", "-Dfail-on=never")
    series.write_text(before)
    (suites,) = behaviour
    failed, gate, *others = suites()
    assert (failed.rule, failed.message) == ("behaviour-fails", "u fails on patched in 1 of its runs: broken")
    assert gate.message.startswith("gate g at time of t: ")
    nothing, *proofs = sorted(others, key=lambda one: isinstance(one, TestProof))
    assert nothing.rule == "test-proves-nothing"
    assert nothing.message == "t passes on the base, and none of its metrics is worse there"
    assert [(one.test, one.suite, one.patch, one.outcome, one.reason) for one in proofs] == [
        ("t", "behaviour", 0, "passes on the base", ""),
        ("u", "behaviour", 0, "fails with the series", "broken"),
    ]
    (given, words), *_ = calls.given["open_bench"]
    _, options, _, reporter = given
    assert (given, words) == ((layout, options, subjects, reporter), {"payloads": ("linux",)})
    assert (options.variants, options.hosts) == ((reference, "patched"), ("native",))
    assert options.devices == GUESTS
    ((built, _),) = calls.given["build_all"]
    assert (built[0], *built[2:]) == (layout, options, reporter, "qemu-harness validate")
    ((ran, with_words),) = calls.given["record_behaviour"]
    assert (ran[1], with_words["command"]) == (find_tests([own_test]), "qemu-harness validate")


def test_tests_of_a_foreign_series_are_not_run(run, behaviour, own_test, tmp_path):
    foreign = shutil.copytree(own_test.parents[1], tmp_path / "foreign")
    run("validate", *QUICK, f"-Dseries={foreign}")
    assert behaviour == [None]


# check, check-patch and ci


@pytest.mark.parametrize(
    ("signed", "words", "code", "out"),
    [
        (True, (), 0, ""),
        (False, (), FindingsError.code, "ERROR: the message has no Signed-off-by [dco-missing]\n"),
        (False, ("-Dfail-on=never",), 0, "ERROR: the message has no Signed-off-by [dco-missing]\n"),
        (False, ("-Drules-off=dco-missing",), 0, ""),
        (False, ("--json",), FindingsError.code, '"status": "fail", "summary": "1 error"'),
        (True, ("--json",), 0, '"status": "pass"'),
    ],
)
def test_mail_on_standard_input_is_checked(run, calls, tmp_path, *, signed, words, code, out):
    mail = good() if signed else good(signed="")
    calls.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mail)))
    make_repository(tmp_path, RELEASE)
    ended = run("check-patch", f"-Dsource={tmp_path}", *words)
    assert (ended.code, ended.error) == (code, None)
    assert out in ended.out
    assert bool(out) == bool(ended.out)
    assert ended.lines == [], "b4 takes each line on standard error for a failure"


@pytest.mark.parametrize(("forge", "word"), [("gitlab", "script:"), ("github", "runs-on:")])
def test_ci_configuration_is_printed(run, forge, word):
    ended = run("ci", forge)
    assert ended.code == 0
    assert word in ended.out
    assert "-Dhosts=native" in ended.out


def test_runners_are_tags_of_jobs(run):
    assert "big-kvm" in run("ci", "gitlab", "-Dci-runners=large:big-kvm").out


def test_fork_gets_a_file_and_its_path_is_printed(run, calls, tmp_path):
    calls.spy("harness.ci.fork.write_fork", lambda *_: tmp_path / "ci.yml")
    words = ("--into", str(tmp_path), "--harness", "git+https://x", "-Dci-runners=large:big")
    ended = run("ci", "gitlab", *words)
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'ci.yml'}\n")
    assert calls.given["write_fork"] == [((tmp_path, "git+https://x", {"large": "big"}), {})]


@pytest.mark.parametrize(
    ("forge", "words", "cause"),
    [
        ("github", ("--commits",), "GitLab only"),
        ("github", ("--into=x",), "GitLab only"),
        ("github", ("-Dci-runners=large:big",), "GitLab only"),
        ("gitlab", ("--into=x",), "--into needs --harness"),
        ("gitlab", ("--harness=x",), "--harness is for --into"),
        ("gitlab", ("--into=x", "--harness=x", "--commits"), "--commits excludes --into"),
    ],
)
def test_ci_refuses_what_the_forge_lacks(run, forge, words, cause):
    run("ci", forge, *words).fails(OptionError, cause)
