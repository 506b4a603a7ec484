"""Other commands that run guests: the input of their stage, results files and exit codes.

The runs of the stages are replaced; they have separate tests.
"""

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.build.devices import ALL, GUESTS
from harness.build.hosts import HOSTS
from harness.clients.plan import BACKENDS
from harness.cycles.judge import judge_memory
from harness.errors import CalibrationError, ClientsError, CyclesError, LoadError, OptionError, PropertyError
from harness.guest.accel import Accel
from harness.progress import Silent
from harness.teardown.calibrate import CalibrationSamples, simulate
from tests.unit.clients.support import BASE
from tests.unit.clients.support import row as client_row
from tests.unit.cycles.support import make_row as cycle_row
from tests.unit.load.support import make_row as load_row
from tests.unit.load.support import make_slice
from tests.unit.programs import write_program
from tests.unit.properties.support import make_row as property_row
from tests.unit.teardown.support import make_sample

from .conftest import SMALL

RUNNING = ("calibrate", "cycles", "properties", "clients", "load")


def stored(layout, name):
    return json.loads((layout.results / f"{name}.json").read_text())


@pytest.fixture
def named(binaries):
    """Return ``binaries`` for commands that build nothing if a binary is named."""
    return [word for word in binaries if word != "--no-build"]


@pytest.fixture
def benches():
    """Return the list of benches that runs received."""
    return []


@pytest.fixture
def replace_run(monkeypatch, benches):
    """Return a function that replaces the run of a stage by given rows. It returns the plan of the run."""

    def replace(stage, *rows, result=None):
        planned = []

        def run(bench, items, *, on_row=None, on_slice=None, **_):
            benches.append(bench)
            planned.extend(items)
            for row in rows:
                (on_row or on_slice)(row)
            return result

        monkeypatch.setattr(f"harness.{stage}.record.run_{stage}", run)
        return planned

    return replace


# cycles


@pytest.fixture
def cycles_run(replace_run):
    def replace(*rows, lost=0.0):
        memory = judge_memory("patched", "cgroup", 0.0, lost, peak_mib=600.0)
        return replace_run("cycles", *rows, result=(memory,))

    return replace


def test_cycles_of_a_seed_are_run_and_stored(run, named, cycles_run, benches, layout):
    planned = cycles_run(cycle_row())
    ended = run("cycles", *named, "-Dcycles=7", "-Dseed=3")
    assert ended.code == 0
    assert [cycle.number for cycle in planned] == list(range(1, 8))
    assert {cycle.accel for cycle in planned} == {"tcg"}
    results = stored(layout, "cycles")
    assert (results["complete"], results["seed"]) == (True, 3)
    assert results["command"] == "qemu-harness cycles -Dseed=3"
    assert [one["variant"] for one in results["binaries"]] == ["base", "patched"]
    assert "seed 3" in ended.lines
    assert str(layout.results / "cycles.json") in ended.out


def test_only_selects_one_cycle_also_beyond_the_count(run, named, cycles_run):
    planned = cycles_run(cycle_row())
    run("cycles", *named, "-Dcycles=7", "-Dseed=3", "--only", "9")
    assert [cycle.number for cycle in planned] == [9]


@pytest.mark.parametrize("user", [0, 1, 1000])
def test_cycles_are_planned_for_the_seed_and_the_user(run, named, cycles_run, calls, user):
    cycles_run(cycle_row())
    calls.monkeypatch.setattr("os.geteuid", lambda: user)
    calls.spy("harness.cycles.plan.plan_cycles")
    run("cycles", *named, "-Dseed=3", "-Dcycles=7")
    assert calls.given["plan_cycles"] == [((3, 7), {"accels": ("tcg",), "root": user == 0})]


def test_named_binaries_without_arguments_run_without_the_feature(run, named, cycles_run, benches):
    cycles_run(cycle_row())
    run("cycles", *named)
    assert [subject.options for subject in benches[0].subjects] == [(), ()]


@pytest.mark.parametrize("fault", ["a cycle", "memory"])
def test_failed_cycle_or_lost_memory_is_an_error(run, named, cycles_run, layout, fault):
    cycles_run(
        cycle_row(*(["qemu: SIGSEGV"] if fault == "a cycle" else [])), lost=256.0 * (fault == "memory")
    )
    run("cycles", *named).fails(CyclesError)
    assert stored(layout, "cycles")["rows"]


def test_kvm_is_planned_if_available_or_required(run, named, cycles_run, monkeypatch):
    def probe(*_, **__):
        return Accel(target="x86_64-softmmu", name="kvm", reason="")

    monkeypatch.setattr("harness.bench.bench.probe_accel", probe)
    both = cycles_run(cycle_row())
    run("cycles", *named, "-Daccel=auto", "-Dcycles=30", "-Dseed=1")
    assert {cycle.accel for cycle in both} == {"kvm", "tcg"}
    alone = cycles_run(cycle_row())
    run("cycles", *named, "-Daccel=kvm", "-Dcycles=30", "-Dseed=1")
    assert {cycle.accel for cycle in alone} == {"kvm"}


# properties


@pytest.fixture
def properties_run(replace_run):
    return functools.partial(replace_run, "properties")


def test_properties_are_checked_and_stored(run, named, properties_run, benches, layout):
    requested = properties_run(property_row())
    ended = run("properties", *named, "--rows", "1,3-5")
    assert (ended.code, requested) == (0, [1, 3, 4, 5])
    assert [(one.variant, one.options) for one in benches[0].subjects] == [
        ("base", ()),
        ("patched", ("-async-teardown",)),
    ]
    assert stored(layout, "properties")["complete"]
    assert str(layout.results / "properties.json") in ended.out


def test_unexpected_property_is_an_error(run, named, properties_run):
    properties_run(property_row(outcome="fail", reason="slow"))
    run("properties", *named).fails(PropertyError)


def test_requested_variants_are_built_in_addition_to_named_binaries(
    run, named, properties_run, benches, calls
):
    properties_run(property_row())
    other = named[-1].replace("patched=", "mine=")
    ended = run("properties", *SMALL, "-Dvariants=base", "--binary", other)
    assert ended.code == 0, ended.error
    assert [one.variant for one in benches[0].native] == ["base", "mine"]


def test_row_18_has_the_library_of_aio_installed_before_the_build(run, properties_run, calls):
    properties_run(property_row())
    calls.spy("harness.pipeline.build_all", lambda *_: pytest.fail("not built here"))
    for rows in ("1-17", "17-18"):
        with pytest.raises(pytest.fail.Exception):
            run("properties", *SMALL, "--rows", rows)
    (((needs, *_), _),) = calls.given["ensure_libraries"]
    assert [need.name for need in needs] == ["libaio.h"]
    assert calls.made[-2:] == ["ensure_libraries", "build_all"]


def test_row_15_runs_cross_built_binaries_on_their_emulated_host(
    run, properties_run, calls, benches, monkeypatch
):
    prepared = SimpleNamespace()
    here, there = (built(host) for host in ("native", "s390x"))
    calls.spy("harness.pipeline.check_request", lambda *_: SimpleNamespace())
    calls.spy("harness.pipeline.build_all", lambda *_: (prepared, (here,)))
    calls.spy("harness.pipeline.build_emulators", lambda *_: ((HOSTS["s390x"], Path("/emulator")),))
    calls.spy("harness.pipeline.build_cross", lambda *_: (there,))
    calls.spy("harness.properties.record.check_emulated", lambda bench: benches.append(bench) or {})
    properties_run(property_row())
    words = ("-Daccel=tcg", "-Dhosts=native,s390x")
    assert run("properties", *words).code == 0
    assert [(one.variant, one.host) for one in benches[0].subjects] == [
        ("patched", "native"),
        ("patched", "s390x"),
    ]
    assert benches[0].emulators == ((HOSTS["s390x"], Path("/emulator")),)
    (layout, _, here_options, reporter, command), _ = calls.given["build_all"][0]
    assert here_options.hosts == ("native",)
    assert command == "qemu-harness properties"
    for name in ("build_emulators", "build_cross"):
        ((arguments, _),) = calls.given[name]
        assert arguments[:2] == (prepared, layout)
        assert arguments[2].hosts == ("native", "s390x")
        assert arguments[3] is reporter
    (first, options, third), _ = calls.given["ensure"][-1]
    assert (first, options.hosts, third) == (layout, ("native", "s390x"), reporter)
    assert isinstance(reporter, Silent)
    calls.made.clear()
    assert run("properties", *words, "--rows", "1-14").code == 0
    assert "build_cross" not in calls.made


def built(host):
    """Return a build of the series for ``host``."""
    target = "x86_64-softmmu" if host == "native" else "s390x-softmmu"
    binary = SimpleNamespace(target=target, path="/q", sha256="", version="")
    return SimpleNamespace(variant="patched", host=host, source="/", binaries=(binary,), left_out=())


# clients


@pytest.fixture
def clients_run(replace_run):
    return functools.partial(replace_run, "clients", result="9.0.0")


def test_clients_run_each_binary_with_and_without_the_option(
    run, binaries, clients_run, benches, *, layout, calls
):
    rounds = clients_run(client_row("timeout"))
    calls.spy("harness.clients.plan.plan_round")
    ended = run("clients", *binaries, "-Drounds=2", "-Dseed=3", "-Dtimeout=7", "--clients", "timeout,shell")
    assert (ended.code, len(rounds)) == (0, 2)
    planned = [(given[0], words["seed"], words["timeout_s"]) for given, words in calls.given["plan_round"]]
    assert planned == [(1, 3, 7.0), (2, 3, 7.0)]
    assert [subject.label for subject in benches[0].subjects] == ["base", "patched without", "patched"]
    assert {name for trial in rounds[0] for name in trial.clients} == {"timeout", "shell", "pipeline"}
    assert {trial.accel for trial in rounds[0]} == {"tcg"}
    results = stored(layout, "clients")
    assert (results["complete"], results["libvirt"]) == (True, "9.0.0")
    assert results["options"]["memory_mib"] == [1024, 4096, 12288]
    assert results["options"]["backends"] == list(BACKENDS)
    assert str(layout.results / "clients.json") in ended.out


def test_given_sizes_and_backends_are_used_for_clients(run, binaries, clients_run, layout):
    rounds = clients_run(client_row("timeout"))
    run("clients", *binaries, "-Dmemory=1G", "-Dbackends=memfd", "--clients", "timeout")
    results = stored(layout, "clients")["options"]
    assert (results["memory_mib"], results["backends"]) == ([1024], ["memfd"])
    assert {trial.memory_mib for trial in rounds[0]} == {1024}


def test_failed_claim_is_an_error(run, binaries, clients_run):
    clients_run(client_row("timeout", exit_s=0.1), client_row("timeout", BASE))
    run("clients", *binaries).fails(ClientsError)


@pytest.mark.parametrize(
    "case", [("timeout", 0, ("guest",)), ("libvirt", 0, ("guest", "clients")), ("libvirt", 1000, ("guest",))]
)
def test_packages_of_clients_are_required_only_as_root(
    run, binaries, clients_run, calls, monkeypatch, *, case
):
    name, user, stages = case
    clients_run(client_row("timeout"))
    monkeypatch.setattr("os.geteuid", lambda: user)
    run("clients", *binaries, "--clients", name)
    assert [given[1]["stages"] for given in calls.given["ensure"]] == [stages]


# load


@pytest.fixture
def load_run(replace_run, monkeypatch):
    monkeypatch.setattr("harness.guest.memory.available_mib", lambda: 20000)
    return functools.partial(replace_run, "load")


def test_load_runs_its_plans_and_stores_complete_results(run, binaries, load_run, layout):
    plans = load_run(make_slice(load_row()))
    words = ("--minutes=2", "--guests=3", "--restarts=4", "--restart-memory=1G", "--wait-for-memory")
    ended = run("load", *binaries, *words, "-Dmemory=64M", "-Dbackends=memfd", "-Dseed=5")
    assert ended.code == 0
    crowd, restart = plans
    assert (crowd.guests, crowd.memory_mib, crowd.seconds, crowd.backend) == (3, 64, 120, "memfd")
    assert (restart.restarts, restart.memory_mib, restart.wait) == (4, 1024, "memory")
    results = stored(layout, "load")
    assert (results["complete"], results["seed"], len(results["slices"])) == (True, 5, 1)
    assert str(layout.results / "load.json") in ended.out


def test_load_has_its_own_guest_size_and_notes_reductions(run, binaries, load_run):
    plans = load_run(make_slice(load_row()))
    ended = run("load", *binaries, "--guests", "500")
    assert plans[0].memory_mib == 256
    assert any(line.startswith("crowd: ") for line in ended.lines)


def test_leftovers_of_load_are_an_error(run, binaries, load_run):
    load_run(make_slice(load_row(), lost=100.0))
    run("load", *binaries).fails(LoadError)


def test_load_refuses_several_targets(run, binaries, tmp_path):
    other = write_program(tmp_path / "qemu-system-s390x", "echo x")
    run("load", *binaries, "--binary", f"mine={other}").fails(OptionError, "a single target")


# calibrate


@pytest.fixture
def calibration_run(monkeypatch, benches):
    monkeypatch.setattr("harness.teardown.calibration.build_programs", lambda *_: {"delay": Path("/delay")})

    def replace(late_s):
        def samples(other, seconds):
            pairs = [(name, turn) for turn in range(15) for name in ("base", other)]
            return tuple(
                make_sample(exit_s=(0.01 + seconds * (name == other)) * (1 + turn / 500), variant=name)
                for name, turn in pairs
            )

        def run_calibration(bench, *, delay):
            benches.append(bench)
            assert delay == Path("/delay")
            return CalibrationSamples(same=samples("again", 0.0), late=samples("late", late_s))

        monkeypatch.setattr("harness.teardown.calibration.run_calibration", run_calibration)
        few = functools.partial(simulate, count=20)
        monkeypatch.setattr("harness.teardown.calibration.simulate", few)

    return replace


def test_detected_delay_passes_the_calibration(run, named, calibration_run, benches, layout):
    calibration_run(0.005)
    ended = run("calibrate", *named, "-Dpayload=linux", "-Dmemory=256M")
    assert ended.code == 0
    assert (benches[0].payloads, benches[0].options.payload) == (("paused",), ("paused",))
    results = stored(layout, "calibration")
    assert (results["complete"], results["injected_delay_found"], len(results["rows"])) == (True, True, 60)
    assert str(layout.results / "calibration.json") in ended.out


def test_undetected_delay_is_an_error(run, named, calibration_run):
    calibration_run(0.0)
    run("calibrate", *named).fails(CalibrationError)


# all commands


class EnoughError(Exception):
    """Ends a command when its subjects are known."""


@pytest.mark.parametrize("stage", RUNNING)
def test_variants_are_built_if_no_binary_is_named(run, calls, stage):
    def enough(_layout, _options, subjects, *_, **__):
        opened.extend((one.variant, one.options) for one in subjects)
        raise EnoughError

    opened = []
    calls.spy("harness.bench.open_bench", enough)
    calls.spy("harness.pipeline.build_all")
    with pytest.raises(EnoughError):
        run(stage, *SMALL)
    switched = ("patched", ("-async-teardown",))
    assert (
        opened
        == {
            "calibrate": [("base", ())],
            "cycles": [switched],
            "properties": [("base", ()), switched, ("pristine+option", ("-async-teardown",))],
            "clients": [("base", ()), ("patched", ()), switched],
            "load": [("base", ()), switched],
        }[stage]
    )
    assert calls.made.count("build_all") == 1


@pytest.mark.parametrize("stage", ["clients", "load", "behaviour"])
def test_guests_have_the_first_target_unless_others_are_given(run, calls, own_test, stage):
    def enough(_, chosen):
        raise EnoughError(chosen)

    calls.spy(f"harness.commands.{stage}.make_subjects", enough)
    # load runs guests of a single target.
    more = "s390x-softmmu" if stage == "load" else "x86_64-softmmu,s390x-softmmu"
    for words, targets in (((), "x86_64-softmmu"), ((f"-Dtargets={more}",), more)):
        with pytest.raises(EnoughError) as raised:
            run(stage, "-Dvariants=base", *words)
        (chosen,) = raised.value.args
        assert ",".join(chosen.targets) == targets
        assert chosen.options.devices == (ALL if stage == "clients" else GUESTS)
        assert chosen.checked is not None


@pytest.mark.parametrize(
    ("stage", "clause"), [("clients", "clients run"), ("load", "load runs"), ("cycles", "cycles run")]
)
def test_other_hosts_are_refused(run, stage, clause):
    error = run(stage, "-Dhosts=s390x").error
    assert error
    assert error.cause == f"-Dhosts=s390x: {clause} on host native only"


@pytest.mark.parametrize("stage", RUNNING)
def test_invalid_request_is_refused_before_anything_is_built(run, calls, stage):
    calls.spy("harness.pipeline.build_all", lambda *_: pytest.fail("it was built"))
    refused = [("-Dtargets=vax-softmmu",), ("-Dpin=5.2",)]
    refused += [("-Dhosts=s390x",)] if stage != "calibrate" else []
    refused += [("-Dprofile=sanitize",)] if stage != "cycles" else []
    for words in refused:
        ended = run(stage, *words)
        assert isinstance(ended.error, OptionError), words


def test_run_locks_the_machine(run, named, cycles_run, layout, calls):
    calls.spy("harness.bench.bench.locked")
    cycles_run(cycle_row())
    run("cycles", *named)
    assert layout.measuring_lock in [given[0][0] for given in calls.given["locked"]]
