"""The adaptive design, on simulated machines: guests of three sizes for two targets, with restarts."""

import dataclasses
import datetime
from collections import Counter

import msgspec
import numpy
import pytest

from harness.teardown import statistics
from harness.teardown.model import cell_key
from harness.teardown.schedule import Wish, _fitting, next_turn
from harness.teardown.significance import LOOKS
from harness.teardown.statistics import compare

from .support import make_cell, make_sample

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SIZES = {256: 0.5, 1024: 0.7, 4096: 2.2}
"""Memory in MiB → seconds of a sample."""
TARGETS = ("x86_64-softmmu", "s390x-softmmu")


@dataclasses.dataclass
class World:
    """A machine with a clock. ``exit_`` and ``reclaim`` are the ratios of patched to base."""

    exit_: float = 0.005
    reclaim: float = 0.5
    noise: float = 0.15
    slow: float = 1.0
    variants: tuple = ("base", "patched")
    seed: int = 1
    budget_s: float = 150.0
    restarts: bool = True
    cancelled: tuple = ()
    failing: tuple = ()
    now: float = 6.0

    def __post_init__(self):
        self.draw = numpy.random.default_rng(self.seed)
        self.samples, self.turns = [], []
        places = [("teardown", target, size) for target in TARGETS for size in SIZES]
        places += [("restart", target, max(SIZES)) for target in TARGETS] if self.restarts else []
        self.cells = {
            cell_key(cell): cell
            for cell in (
                make_cell(kind=kind, target=target, memory_mib=size) for kind, target, size in places
            )
        }

    def run(self):
        """Take samples as the runner does, until nothing is left to do."""
        while turn := next_turn(
            list(self.cells),
            self.samples,
            budget_s=self.budget_s,
            left_s=self.budget_s - self.now,
            visit_s=3.0,
        ):
            self.turns.append({wish.key: wish.visits for wish in turn})
            for wish in turn:
                for _ in range(wish.visits):
                    for variant in self.variants:
                        self.samples.append(self.sample(self.cells[wish.key], variant))
        return self

    def sample(self, cell, variant):
        other = variant != "base"
        seconds = SIZES[cell.memory_mib] * self.slow * (2 if cell.kind == "restart" else 1)
        began, self.now = self.now, self.now + seconds
        memory = cell.memory_mib / 1024 * 0.07
        noise = numpy.exp(self.draw.normal(0, self.noise, 2))
        size = cell.memory_mib
        outcome = "cancelled" if size in self.cancelled else "failed" if size in self.failing else "ok"
        made = make_sample(
            float(memory * (self.exit_ if other else 1) * noise[0]),
            float(memory * (self.reclaim if other else 1) * noise[1]),
            kind=cell.kind,
            variant=variant,
            target=cell.target,
            memory_mib=size,
            index=len(self.samples) + 1,
            round=len(self.turns),
            outcome=outcome,
            reason="" if outcome == "ok" else "why",
            **({"restart_s": float(memory + 1)} if cell.kind == "restart" and outcome == "ok" else {}),
        )
        return msgspec.structs.replace(made, started=(START + datetime.timedelta(seconds=began)).isoformat())

    def counts(self, kind="teardown"):
        """Return the samples of base by memory, those of both targets together."""
        rows = [row for row in self.samples if (row.kind, row.variant) == (kind, "base")]
        return Counter(row.memory_mib for row in rows)

    def verdicts(self):
        return Counter((row.latency, row.verdict) for row in compare(self.samples, looks=True))


def test_pilot_visits_each_cell_once_without_restarts():
    world = World().run()
    assert set(world.turns[0].values()) == {1}
    assert set(world.turns[0]) == {key for key in world.cells if key[0] == "teardown"}


def test_clear_differences_are_decided_by_few_samples_and_the_run_ends_early():
    world = World().run()
    assert world.verdicts()["exit", "better"] == world.verdicts()["reclaim", "better"] == 6
    assert world.counts() == {256: 12, 1024: 12, 4096: 6}
    assert world.now < 145
    assert World(restarts=False).run().now < 65


def test_exit_is_decided_on_a_machine_with_time_for_little():
    """Three times as slow and with much noise, there is time for about three samples of the largest guest."""
    world = World(slow=3.0, noise=0.6, reclaim=0.85).run()
    assert world.verdicts()["exit", "better"] == 6
    assert world.counts()[4096] >= 6
    assert world.now < world.budget_s + 20


def test_small_sizes_get_more_samples_than_large_ones():
    world = World(reclaim=0.97, noise=0.3).run()
    counts = world.counts()
    assert counts[256] >= 2 * counts[4096]
    assert counts[256] >= counts[1024] >= counts[4096] >= 6


def test_decided_cells_are_not_visited_again():
    world = World(reclaim=0.86, budget_s=600).run()
    for number, turn in enumerate(world.turns[2:], 3):
        before = [row for row in world.samples if row.round < number]
        decided = {
            (row.target, row.memory_mib): {"better", "worse"} >= {row.verdict}
            for row in compare(before, looks=True)
            if row.latency == "reclaim"
        }
        visited = {(key[1][0], key[1][2]) for key in turn if key[0] == "teardown"}
        assert not [place for place in visited if decided[place]]


def test_cells_are_tested_only_at_looks():
    world = World(reclaim=0.87, budget_s=400).run()
    taken = Counter()
    for turn in world.turns:
        for key, visits in turn.items():
            taken[key] += visits
            assert taken[key] in (1, *LOOKS)


@pytest.mark.parametrize("reclaim", [0.5, 0.87, 0.97])
def test_restarts_come_last(reclaim):
    world = World(reclaim=reclaim, noise=0.3).run()
    kinds = [row.kind for row in world.samples]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count("restart") >= 6


def test_cell_that_does_not_fit_leaves_the_time_to_others():
    dear = Wish(key=("teardown", (1,)), visits=3, seconds=20.0, verdict_s=20.0)
    cheap = Wish(key=("teardown", (2,)), visits=3, seconds=5.0, verdict_s=50.0)
    assert _fitting([cheap, dear], 10.0) == (cheap,)
    assert _fitting([cheap, dear], 25.0) == (dear, cheap)


def test_time_for_restarts_is_kept_even_if_verdicts_stay_open():
    world = World(reclaim=0.97, noise=0.3).run()
    assert world.counts("restart")[4096] >= 3
    assert world.now < world.budget_s + 20


def test_equal_variants_are_decided_by_the_second_look():
    world = World(exit_=1.0, reclaim=1.0, noise=0.02, restarts=False).run()
    assert set(world.counts().values()) == {12}
    assert set(world.verdicts()) == {("exit", "same"), ("reclaim", "same")}


def test_single_variant_is_decided_by_the_second_look():
    assert set(World(variants=("base",), restarts=False).run().counts().values()) == {12}


def test_cell_that_does_not_fit_is_left_alone():
    world = World(cancelled=(4096,)).run()
    assert len([row for row in world.samples if row.memory_mib == 4096 and row.kind == "teardown"]) == 4
    assert world.verdicts()["exit", "better"] == 4


def test_cell_that_fails_is_left_alone():
    world = World(failing=(1024,)).run()
    assert len([row for row in world.samples if row.memory_mib == 1024]) == 4


def test_no_budget_still_has_the_pilot():
    world = World(budget_s=1.0).run()
    assert len(world.turns) == 1


@pytest.mark.parametrize("slow", [0.5, 1.0, 3.0, 5.0])
def test_run_keeps_to_its_budget(slow):
    world = World(reclaim=0.95, noise=0.4, slow=slow, budget_s=150).run()
    assert world.now < 165


@pytest.mark.slow
def test_adaptive_runs_of_equal_variants_rarely_have_a_finding(monkeypatch):
    """At most one in twenty runs, each with 12 comparisons and noise that keeps them open."""
    monkeypatch.setattr(statistics, "RESAMPLES", 50)  # the intervals decide on same only
    found = 0
    for seed in range(20):
        world = World(exit_=1.0, reclaim=1.0, noise=0.3, seed=seed, restarts=False).run()
        found += any(row.verdict in ("better", "worse") for row in compare(world.samples, looks=True))
    assert found <= 1


def test_delay_of_5_ms_on_8_ms_is_found():
    """As in nox -s calibrate: one cell, 15 % noise, on a machine with time."""
    late = 0
    for seed in range(10):
        world = World(exit_=13 / 8, reclaim=13 / 8, noise=0.2, seed=seed, restarts=False, budget_s=60)
        world.cells = dict(list(world.cells.items())[:1])
        late += world.run().verdicts()["exit", "worse"]
    assert late == 10
