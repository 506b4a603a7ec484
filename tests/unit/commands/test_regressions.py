"""The commands bisect and behaviour: what their stages receive, in which order, output and exit codes.

The runs of the stages are replaced; they have separate tests.
"""

import contextlib
from types import SimpleNamespace

import pytest

from harness.behaviour.tests import find_tests
from harness.bench import Subject
from harness.commands.bisect import MEMORY_MIB, MOST_PAIRS
from harness.errors import BehaviourError, BisectError, GateError, OptionError
from harness.regression.measure import Behaviour, Command, Guests
from harness.regression.model import BisectedCommit, BisectResults
from harness.teardown.gates import NO_GATES
from tests.unit.behaviour.test_behaviour import TWICE, pairs_of, row
from tests.unit.behaviour.test_behaviour import results as behaviour_results

from .support import is_locked

# bisect

COMMITS = {"v1": "a" * 40, "v2": "b" * 40}
ENDS = ("--good=v1", "--bad=v2")
CLONE = "-Dsource=/clone"


@pytest.fixture
def bisected(calls, layout, tmp_path):
    """Replace the stages of bisect. Return what they give and what record_bisect receives."""
    seen = SimpleNamespace(
        tree=SimpleNamespace(clone=tmp_path),
        built=SimpleNamespace(subject=Subject(variant="good", target="x86_64-softmmu", path="/q")),
        first_bad=(COMMITS["v2"],),
    )

    def build(*given):
        calls.made.append(" ".join(given))
        return seen.built

    seen.build = build

    def find_commit(_, revision):
        return SimpleNamespace(commit=COMMITS[revision]) if revision in COMMITS else None

    def record_bisect(bisection):
        seen.bisection, seen.locked = bisection, is_locked(layout)
        layout.results.mkdir(parents=True, exist_ok=True)
        worst = BisectedCommit(commit=COMMITS["v2"], title="make it slow", term="bad")
        made = dict.fromkeys(BisectResults.__struct_fields__, "")
        made |= {"first_bad": seen.first_bad, "commits": (worst,), "log": "# bad\n"}
        return BisectResults(**made)

    calls.spy("harness.pipeline.tree_of", lambda *_: seen.tree)
    calls.spy("harness.regression.places.Places", lambda **_: SimpleNamespace(build=build))
    calls.spy("harness.source.clone.find_commit", find_commit)
    calls.spy("harness.bench.open_bench")
    calls.spy(
        "harness.regression.record.open_bisection",
        lambda *_: contextlib.nullcontext(("search", tmp_path / "state")),
    )
    calls.spy("harness.regression.record.record_bisect", record_bisect)
    return seen


def test_folder_that_configure_misreads_is_refused_before_the_tree_is_made(run, bisected, calls, layout):
    object.__setattr__(layout, "build", layout.build / "a b")
    run("bisect", CLONE, *ENDS).fails(OptionError, "cannot build QEMU in ")
    assert calls.made == []


def test_bisection_builds_the_good_end_and_runs_on_its_bench(run, bisected, calls, layout, tmp_path):
    more = ("-Dhosts=s390x", "-Dtargets=x86_64-softmmu,s390x-softmmu", "-Dpayload=linux", "-Dseed=5")
    ended = run("bisect", CLONE, *ENDS, *more)
    assert (ended.code, ended.error) == (0, None)
    stages = ["tree_of", "find_commit", "find_commit", "Places", "open_bisection"]
    assert calls.made == [*stages, f"good {COMMITS['v1']}", "open_bench", "record_bisect"]
    (_, options, reporter), _ = calls.given["tree_of"][0]
    assert (options.hosts, options.targets) == (("native",), ("x86_64-softmmu",))
    assert options.memory_mib == (MEMORY_MIB,)
    assert [given for given, _ in calls.given["find_commit"]] == [(tmp_path, "v1"), (tmp_path, "v2")]
    places = {"layout": layout, "options": options, "tree": bisected.tree, "reporter": reporter}
    assert calls.given["Places"] == [((), places)]
    ((bench_given, bench_words),) = calls.given["open_bench"]
    assert (bench_given, bench_words) == (
        (layout, options, [bisected.built.subject], reporter),
        {"payloads": ("linux",)},
    )
    opened = (layout, bisected.tree, *COMMITS.values(), "qemu-harness bisect", reporter)
    assert calls.given["open_bisection"] == [(opened, {})]
    got = vars(bisected.bisection)
    measure, ran = got.pop("measure"), got.pop("options")
    assert got == {
        "layout": layout,
        "reporter": reporter,
        "tree": bisected.tree,
        "search": "search",
        "folder": tmp_path / "state",
        "what": "exit",
        "good": bisected.built,
        "build": bisected.build,
        "most_pairs": MOST_PAIRS,
        "command": "qemu-harness bisect",
    }
    assert (measure.bench.options, ran.seed, ran.memory_mib) == (ran, 5, (MEMORY_MIB,))
    assert measure.bench.subjects == (bisected.built.subject,)
    assert bisected.locked, "no other command changes the checkout meanwhile"
    log = layout.results / "bisect.log"
    assert log.read_text() == "# bad\n"
    assert f"first bad commit: {COMMITS['v2']} make it slow" in ended.out
    assert f"results: {layout.results / 'bisect.json'}\n         {log} (" in ended.out


@pytest.mark.parametrize(
    ("words", "what", "measure"),
    [
        (("--metric=start",), "start", {"metric": "start", "arguments": ()}),
        (("--guest=-device x",), "exit -device x", {"metric": "exit", "arguments": ("-device", "x")}),
        (
            ("--metric=count.py:Count.test_count:bytes", "--guest=-a"),
            "count.py:Count.test_count:bytes -a",
            {"metric": "bytes", "arguments": ("-a",)},
        ),
        (("--metric=count.py:Count.test_count",), "count.py:Count.test_count", {"metric": ""}),
        (("--run=make x",), "make x", {"counts": False, "lower_is_better": True, "unit": ""}),
        (
            ("--run=x", "--better=higher", "--unit=MiB"),
            "x",
            {"counts": True, "lower_is_better": False, "unit": "MiB"},
        ),
        (("--run=x", "--better=lower"), "x", {"counts": True, "lower_is_better": True}),
    ],
)
def test_words_choose_the_measure(run, bisected, own_test, layout, *, words, what, measure):
    assert run("bisect", CLONE, *ENDS, *words, "--pairs=9", "-Dmemory=64M").code == 0
    made = bisected.bisection
    assert (made.what, made.most_pairs, made.options.memory_mib) == (what, 9, (64,))
    assert {name: getattr(made.measure, name) for name in measure} == measure
    if isinstance(made.measure, Command):
        assert (made.measure.command, made.measure.logs) == (what, layout.logs)
        assert words[0].startswith("--run=")
    elif isinstance(made.measure, Behaviour):
        assert made.measure.test == find_tests([own_test])[1]
        assert made.measure.bench.options is made.options
    else:
        assert isinstance(made.measure, Guests)
        assert ".py:" not in what


def test_file_in_the_working_folder_precedes_that_of_the_series(
    run, bisected, own_test, tmp_path, monkeypatch
):
    (tmp_path / "count.py").write_text(own_test.read_text())
    monkeypatch.chdir(tmp_path)
    assert run("bisect", CLONE, *ENDS, "--metric=count.py:Count.test_first:x").code == 0
    assert bisected.bisection.measure.test.file == tmp_path / "count.py"


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        ((), "bisect needs a clone", "-Dsource=CLONE"),
        ((CLONE, "--run=x", "--metric=exit"), "--run excludes --metric and --guest", "omit them"),
        ((CLONE, "--run=x", "--guest=-a"), "--run excludes --metric and --guest", "omit them"),
        ((CLONE, "--better=lower"), "--better is for", "add --run"),
        ((CLONE, "--run="), "--run has no command", "omit --run"),
        ((CLONE, "--run=x", "--unit=ms"), "--unit is that of", "add --better"),
        ((CLONE, "-Dmemory=1G,2G"), "-Dmemory= describes several guests", "-Dmemory=1G"),
        ((CLONE, "-Dpayload=linux", "-Dtriggers=sigterm,poweroff"), "-Dtriggers= describes several", "one"),
        ((CLONE, "--metric=restart", "-Drestart=none"), "restart needs -Drestart=all", "add it"),
        ((CLONE, "--metric=shutdown", "-Dpayload=linux"), "needs -Dpayload=linux -Dtriggers=poweroff", "add"),
        ((CLONE, "--metric=exits"), "no metric 'exits'", "exit, reclaim, restart, start, shutdown, or FILE"),
        ((CLONE, "--metric=count.py:Count.no"), "no test Count.no", "Count.test_first, Count.test_count"),
        ((CLONE, "--metric=none.py:A.b"), "the tests in none.py: No such file", "name another"),
        ((CLONE, "-Dprofile=sanitize"), "-Dprofile=sanitize", "omit"),
        ((CLONE, "--bad=v3"), "has no commit 'v3'", "name a revision of it"),
        ((CLONE, "--good=v3"), "--good: ", "name a revision of it"),
    ],
)
def test_wrong_request_is_refused_before_anything_is_built(
    run, bisected, own_test, calls, *, words, cause, remedy
):
    run("bisect", *ENDS, *words).fails(OptionError, cause, remedy)
    assert "Places" not in calls.made


def test_source_without_commits_is_refused(run, bisected):
    bisected.tree.clone = None
    run("bisect", CLONE, *ENDS).fails(OptionError, "-Dsource= is no git clone")


@pytest.mark.parametrize("count", [0, 2])
def test_results_without_one_commit_are_written_and_an_error(run, bisected, layout, count):
    bisected.first_bad = tuple(COMMITS.values())[:count]
    ended = run("bisect", CLONE, *ENDS)
    ended.fails(BisectError, f"it is one of {count}", "judge them with --run")
    assert (layout.results / "bisect.log").exists()
    assert "bisect.json" in ended.out


# behaviour


@pytest.fixture
def behaved(calls, layout):
    """Replace the run of the tests: its result has ``rows``. Return what it receives."""
    seen = SimpleNamespace(rows=[row("base", 1, 1), row("patched", 1, 1)])

    def record_behaviour(bench, tests, **words):
        seen.bench, seen.tests, seen.words, seen.locked = bench, tests, words, is_locked(layout)
        return behaviour_results(seen.rows, gates=words["gates"])

    calls.spy("harness.bench.open_bench")
    calls.spy("harness.behaviour.record.record_behaviour", record_behaviour)
    return seen


def test_tests_of_the_series_run_on_each_variant(run, binaries, behaved, own_test, *, calls, layout):
    ended = run("behaviour", *binaries, "-Dpayload=linux")
    assert (ended.code, ended.error) == (0, None)
    assert behaved.tests == find_tests([own_test])
    assert behaved.words == {"command": "qemu-harness behaviour", "gates": NO_GATES}
    assert behaved.locked
    assert [one.variant for one in behaved.bench.subjects] == ["base", "patched"]
    ((given, words),) = calls.given["open_bench"]
    assert (given[0], given[1].targets, words) == (layout, ("x86_64-softmmu",), {"payloads": ("linux",)})
    assert behaved.bench.reporter is given[3] is not None
    assert f"results: {layout.results / 'behaviour.json'}" in ended.out


GATE = '[[gate]]\nname = "{}"\nkind = "ratio"\nmetric = "time"\nat_most = {}\n'


@pytest.mark.parametrize(
    ("rows", "own", "chosen", "code", "cause"),
    [
        (TWICE, "", "", BehaviourError.code, "time of t is worse on patched"),
        (TWICE, GATE.format("own", 3), "", 0, ""),
        (TWICE, GATE.format("own", 3), GATE.format("chosen", 1.5), GateError.code, "1 of 1 gates failed"),
        (pairs_of((1, 2.0)), GATE.format("own", 1.5), "", 0, ""),
        ([row("patched", 1, 1, outcome="fail", reason="r")], "", "", BehaviourError.code, "fails on patched"),
        ([row("base", 1, 1, outcome="cancel", reason="no kvm")], "", "", BehaviourError.code, "no kvm"),
    ],
)
def test_outcome_and_gates_set_the_exit_code(
    run, binaries, behaved, own_test, layout, *, rows, own, chosen, code, cause
):
    behaved.rows = rows
    for name, text in (("gates.toml", own), ("chosen.toml", chosen)):
        if text:
            own_test.with_name(name).write_text(text)
    gates = own_test.with_name("chosen.toml").relative_to(layout.start)
    ended = run("behaviour", *binaries, *([f"-Dgate={gates}"] if chosen else []))
    assert (ended.code, cause in str(ended.error or "")) == (code, True)
    if code == GateError.code:
        assert ended.error
        assert ended.error.log == layout.results / "behaviour.json"
    names = [gate.name for gate in behaved.words["gates"].gate]
    assert names == ["chosen" if chosen else "own"] * bool(own)
    assert f"results: {layout.results / 'behaviour.json'}" in ended.out


def test_named_files_are_run_instead(run, binaries, behaved, own_test, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(own_test.read_text())
    assert run("behaviour", str(other), *binaries).code == 0
    assert behaved.tests == find_tests([other])


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        ((), "series async-teardown has no behaviour tests", "tests/*.py"),
        (("-Dprofile=sanitize",), "-Dprofile=sanitize", "omit"),
        (("-Dhosts=s390x",), "behaviour tests run on host native", "omit"),
        (("none.py",), "cannot read the tests in none.py", "correct"),
    ],
)
def test_request_without_tests_or_for_elsewhere_is_refused(run, binaries, behaved, *, words, cause, remedy):
    run("behaviour", *words, *binaries).fails(OptionError, cause, remedy)
    assert not hasattr(behaved, "bench")
