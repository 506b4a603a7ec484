"""The plan: reproducible from its seed, each cycle independent of the others."""

from harness.bench import Subject
from harness.cycles import runner
from harness.cycles.model import LIVES, TRIGGERS
from harness.cycles.plan import plan_cycles
from harness.guest.accel import Accel
from tests.unit.bench.support import make_bench
from tests.unit.teardown.test_scenario import options


def plan(seed, count, **fields):
    return plan_cycles(seed, count, **{"accels": ("kvm", "tcg"), "root": True, **fields})


def test_plan_depends_on_the_seed():
    assert plan(7, 50) == plan(7, 50)
    assert plan(7, 50) != plan(8, 50)


def test_cycle_does_not_depend_on_the_number_of_cycles():
    assert plan(7, 50)[16] == plan(7, 17)[16]
    assert [cycle.number for cycle in plan(7, 3)] == [1, 2, 3]


def test_plan_has_all_values():
    cycles = plan(1, 500)
    assert {cycle.life for cycle in cycles} == set(LIVES)
    assert {cycle.trigger for cycle in cycles} == set(TRIGGERS)
    assert {cycle.helper for cycle in cycles} == {"let be", "killed", "stopped"}
    assert {cycle.confinement for cycle in cycles} == {"none", "sandbox", "runas", "both"}
    assert {cycle.victim for cycle in cycles} == {"qemu", "daemon", "parent", "both"}
    assert {cycle.scope for cycle in cycles} == {"process", "group"}
    assert {cycle.memory_mib for cycle in cycles} == set(range(64, 513, 64))


def test_plan_has_only_possible_combinations():
    for cycle in plan(1, 500):
        ready = cycle.life in ("paused", "running")
        assert ready or cycle.trigger != "quit"
        assert ready or cycle.helper == "let be"
        assert cycle.trigger != "quit" or cycle.scope == "process"
        assert (cycle.victim == "qemu") == (cycle.life != "daemonize")


def test_unsupported_values_are_replaced_without_changing_others():
    poor = plan(1, 200, accels=("tcg",), root=False)
    assert {cycle.accel for cycle in poor} == {"tcg"}
    assert {cycle.confinement for cycle in poor} == {"none", "sandbox"}
    for mine, theirs in zip(poor, plan(1, 200), strict=True):
        assert (mine.life, mine.trigger, mine.moment) == (theirs.life, theirs.trigger, theirs.moment)


def test_cycles_of_a_target_without_kvm_run_under_tcg(layout):
    planned = [cycle for cycle in plan(1, 40) if cycle.accel == "kvm"]
    both = [Subject(variant="patched", target=f"{name}-softmmu", path="/q") for name in ("x86_64", "s390x")]
    accels = [
        Accel(target="x86_64-softmmu", name="kvm", reason=""),
        Accel(target="s390x-softmmu", name="tcg", reason=""),
    ]
    bench = make_bench(layout, options(), both, accels=accels)
    run = [runner._runnable(cycle, both, bench) for cycle in planned]
    assert {(cycle.number % 2, cycle.accel) for cycle in run} == {(1, "kvm"), (0, "tcg")}
