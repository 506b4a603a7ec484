"""The main job from options to exit code, and commands that read stored runs."""

import dataclasses
import json

import pytest

from harness.bench import Subject
from harness.errors import GateError, HarnessError, OptionError, RemoteError, TeardownError
from harness.jsonfile import write_json
from harness.progress import Silent
from harness.remote.run import RemoteRun
from harness.teardown.results import GateResult, read_teardown, teardown_file
from tests.unit.report.support import make_results
from tests.unit.teardown.support import make_sample

from .conftest import SMALL

STORY = (
    "harness.pipeline.check_request",
    "harness.pipeline.import_source",
    "harness.pipeline.build",
    "harness.bench.open_bench",
    "harness.bench.bench.probe_accel",
    "harness.teardown.record.run_teardown",
    "harness.report.write.write_reports",
    "harness.teardown.record.check_results",
    "harness.teardown.gates.check_gates",
)
SLOW_PATCHED = """
[[gate]]
name = "patched is fast"
kind = "ratio"
at_most = 0.5
"""


def pair(base_s=0.1, patched_s=0.001, rounds=5):
    """Return samples of base and patched in one cell."""
    return [
        make_sample(exit_s=seconds * (1 + turn / 1000), variant=variant, round=turn, index=2 * turn + at)
        for turn in range(1, rounds + 1)
        for at, (variant, seconds) in enumerate((("base", base_s), ("patched", patched_s)))
    ]


@pytest.mark.slow
def test_each_stage_is_called_once_and_in_order(run, calls, layout):
    for place in STORY:
        calls.spy(place)
    ended = run("teardown", *SMALL)
    assert (ended.code, ended.error) == (0, None)
    assert calls.made == [
        "check_request",
        "ensure",
        "import_source",
        "build",  # base
        "build",  # patched
        "open_bench",
        "probe_accel",
        "run_teardown",
        "write_reports",
        "check_results",
        "check_gates",
    ]
    stored = json.loads((layout.results / "teardown.json").read_text())
    guests = [row for row in stored["rows"] if row["kind"] == "teardown"]
    assert {(row["variant"], row["helpers"], row["outcome"]) for row in guests} == {
        ("base", 0, "ok"),
        ("patched", 1, "ok"),
    }
    assert [row["options"] for row in stored["binaries"]] == [[], ["-async-teardown"]]
    assert stored["complete"]
    assert stored["command"] == f"qemu-harness teardown -Dseed={stored['seed']}"
    names = {"teardown.json", "teardown.xml", "report.html", "report.md", "build.json"}
    assert {file.name for file in layout.results.iterdir()} == names
    assert str(layout.results / "teardown.json") in ended.out
    assert "patched" in ended.out


def test_failed_sample_sets_the_exit_code_and_results_are_stored(run, binaries, samples, layout):
    samples += [*pair(), make_sample(outcome="failed", reason="it broke", index=99)]
    ended = run("teardown", *binaries)
    assert isinstance(ended.error, TeardownError)
    assert "it broke" in ended.error.details[0]
    assert len(read_teardown(teardown_file(layout)).rows) == 11
    assert (layout.results / "report.html").is_file()
    assert "patched" in ended.out


def test_failed_gate_sets_the_exit_code(run, binaries, samples, layout, tmp_path):
    gates = tmp_path / "gates.toml"
    gates.write_text(SLOW_PATCHED)
    samples += pair(patched_s=0.09)
    run("teardown", *binaries, f"-Dgate={gates}").fails(GateError)
    assert [gate.outcome for gate in read_teardown(teardown_file(layout)).gates] == ["fail"]
    samples[:] = pair()
    assert run("teardown", *binaries, f"-Dgate={gates}").code == 0
    assert [gate.outcome for gate in read_teardown(teardown_file(layout)).gates] == ["pass"]


def test_built_in_gates_are_the_default(run, binaries, samples, layout):
    samples += pair()
    assert run("teardown", *binaries).code == 0
    assert read_teardown(teardown_file(layout)).gates


def test_ratios_are_saved_in_the_given_file(run, binaries, samples, tmp_path):
    samples += pair()
    for _ in range(2):  # the second run replaces the file
        assert run("teardown", *binaries, "--save-ratios", str(tmp_path / "ratios.json")).code == 0
    (exit_, *_) = json.loads((tmp_path / "ratios.json").read_text())["ratios"]
    assert (exit_["variant"], exit_["latency"], exit_["ratio"]) == ("patched", "exit", 0.01)


def test_medians_of_each_round_are_noted(run, binaries, samples):
    samples += pair()
    assert any("exit at 1M: base" in line for line in run("teardown", *binaries).lines)


def test_preset_and_payload_are_passed_to_the_bench(run, binaries, samples, calls):
    calls.spy("harness.bench.open_bench")
    samples += pair()
    run("teardown", *binaries, "-Dpreset=quick", "-Dpayload=paused")
    ((arguments, words),) = calls.given["open_bench"]
    assert (arguments[1].memory_mib, arguments[1].targets) == ((256, 1024), ("x86_64-softmmu",))
    assert words["payloads"] == ("paused",)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--no-build",), "needs a binary to run"),
        (("-Dprofile=sanitize",), "not timed"),
        (("-Dgate=no-such.toml",), "cannot read"),
        (("-Dtargets=vax-softmmu",), "vax-softmmu"),
        (("-Dhosts=aarch64", "-Dtargets=x86_64-softmmu"), "aarch64"),
        (("-Dspawner=remote",), "spawner_hosts"),
        (("--save-ratios", "/no-such-folder/ratios.json"), "--save-ratios: cannot write /no-such"),
        (("--save-ratios", "/"), "--save-ratios: cannot write /"),
    ],
)
def test_invalid_request_is_refused_before_anything_is_built(run, calls, words, cause):
    calls.spy("harness.pipeline.build_all", lambda *_: pytest.fail("it was built"))
    ended = run("teardown", *words)
    assert isinstance(ended.error, OptionError)
    assert cause in f"{ended.error.cause} {ended.error.remedy}"


def test_name_of_a_built_variant_is_refused(run, binaries):
    building = [word for word in binaries if word != "--no-build"]
    path = building[-1].partition("=")[2]
    for words in (building, ["--binary", f"pristine+option={path}"]):
        run("teardown", *words).fails(OptionError, "also the name of a build")


def test_results_of_other_machines_are_stored_reported_and_judged(
    run, binaries, layout, monkeypatch, empty_reports
):
    """One host is unreachable, one has a failed sample, one succeeds: the first error counts."""
    runs = {
        "gone": RemoteError("gone cannot be reached", "check it"),
        "broken": make_results([make_sample(outcome="failed", reason="it broke")]),
        "fine": make_results(pair()),
    }
    given = []
    replaced = remote_runs(layout, runs)
    monkeypatch.setattr(
        "harness.remote.run.run_remote", lambda *words: given.append(words) or replaced(*words)
    )
    words = [*binaries, "-Dspawner=remote", "-Dspawner_hosts=gone,broken,fine"]
    ended = run("teardown", *words)
    assert ended.error is runs["gone"]
    ((place, options, subjects, hosts, reporter),) = given
    assert place is layout
    assert options.spawner == "remote"
    assert [subject.variant for subject in subjects] == ["base", "patched"]
    assert len(hosts) == 3
    assert isinstance(reporter, Silent)
    assert "  gone cannot be reached" in ended.out.splitlines()
    for host in ("broken", "fine"):
        assert str(layout.build / host / "results" / "teardown.json") in ended.out
    for host in ("broken", "fine"):
        own = layout.build / host / "results"
        assert read_teardown(own / "teardown.json").command == "qemu-harness teardown"
        assert (own / "report.html").is_file()
    assert [line for line in ended.out.splitlines() if line.endswith(":")] == ["gone:", "broken:", "fine:"]
    del runs["gone"]
    run("teardown", *words).fails(TeardownError)
    del runs["broken"]
    assert run("teardown", *words).code == 0


def test_failed_gate_on_another_machine_is_an_error(run, binaries, layout, monkeypatch, empty_reports):
    failed = GateResult(gate="g", place="p", outcome="fail", reason="too slow")
    monkeypatch.setattr(
        "harness.remote.run.run_remote", remote_runs(layout, {"far": make_results(pair(), gates=(failed,))})
    )
    run("teardown", *binaries, "-Dspawner=remote", "-Dspawner_hosts=far").fails(GateError)


def remote_runs(layout, runs):
    """Replace run_remote by results or an error of each host."""

    def run_remote(*_):
        made = []
        for host, given in runs.items():
            own = dataclasses.replace(layout, build=layout.build / host)
            if isinstance(given, HarnessError):
                made.append(RemoteRun(host=host, layout=own, error=given))
            else:
                write_json(teardown_file(own), given)
                made.append(RemoteRun(host=host, layout=own))
        return made

    return run_remote


def test_comparison_of_stored_runs_runs_nothing(run, layout, tmp_path, calls):
    calls.spy("harness.commands.teardown.choose_subjects", lambda *_, **__: pytest.fail("a run was begun"))
    old = tmp_path / "old.json"
    write_json(old, make_results(pair()))
    write_json(teardown_file(layout), make_results(pair(patched_s=0.05)))
    calls.spy("harness.report.store.made_from")
    ended = run("teardown", "--compare", str(old))
    assert ended.code == 0
    named = [arguments for arguments, _ in calls.given["made_from"]]
    assert named == [(old,), (teardown_file(layout),)], "errors name the file that they are about"
    assert "patched" in ended.out
    assert run("teardown", "--compare", str(old), str(old)).code == 0
    run("teardown", "--compare", *[str(old)] * 3).fails(OptionError)
    assert run("teardown", "--compare", str(tmp_path / "none.json")).code != 0


def test_reports_are_regenerated_from_the_last_run_or_a_named_one(run, layout, tmp_path, monkeypatch):
    # Drawing it takes a second; the text shows which run was read.
    monkeypatch.setattr("harness.report.write.write_page", lambda *_: None)
    write_json(teardown_file(layout), make_results(pair()))
    ended = run("report")
    assert ended.code == 0
    assert ended.out.split() == [
        str(layout.results / name) for name in ("report.html", "report.md", "teardown.xml")
    ]
    stored = tmp_path / "stored.json"
    stored.write_bytes(teardown_file(layout).read_bytes().replace(b'"patched"', b'"renamed"'))
    run("report", str(stored))
    assert "renamed" in (layout.results / "report.md").read_text()
    assert run("report", str(tmp_path / "none.json")).code != 0


def test_installed_qemu_is_timed_without_a_build(run, calls, layout, empty_reports):
    seen = []
    result = make_results(pair())
    calls.spy("harness.teardown.record.record_teardown", lambda bench, **_: seen.append(bench) or result)
    subject = Subject(variant="installed", target="x86_64-softmmu", path="/q")
    calls.spy("harness.bench.installed.installed_targets")
    calls.spy("harness.bench.installed.installed_subjects", lambda targets: (subject,))
    calls.spy("harness.bench.named.named_subjects", lambda *_, **__: ())
    calls.spy("harness.pipeline.build_all")
    words = ("-Daccel=tcg", "-Dhosts=s390x", "--binary", "mine=/m")
    target = "x86_64-softmmu"
    ended = run("teardown", "-Dpreset=installed", f"-Dtargets={target}", *words)
    assert ended.error is None
    assert [one.variant for one in seen[0].subjects] == ["installed"]
    assert "build_all" not in calls.made
    (given, stages) = calls.given["ensure"][0]
    assert (given[0], given[2], stages) == (layout, seen[0].reporter, {"stages": ("guest", "installed")})
    assert (given[1].targets, given[1].hosts) == ((target,), ("native",))
    assert calls.given["installed_subjects"] == [(((target,),), {})]
    assert calls.given["named_subjects"] == [((["mine=/m"], (target,)), {"built": ["installed"]})]
    assert calls.given["installed_targets"] == [(((target,),), {"asked": True})]
    calls.spy("harness.bench.installed.installed_targets", lambda wanted, **_: wanted[1:2])
    run("teardown", "-Dpreset=installed", *words)
    assert calls.given["installed_targets"][1][1] == {"asked": False}
    (given, _) = calls.given["ensure"][-1]
    assert given[1].targets == calls.given["installed_subjects"][1][0][0]


def test_installed_qemu_is_not_timed_elsewhere(run):
    ended = run("teardown", "-Dpreset=installed", "-Dspawner=podman", "-Dspawner_hosts=image")
    ended.fails(OptionError, "this machine")
    assert ended.error.remedy == "omit -Dspawner="
