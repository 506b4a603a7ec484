"""Run the matrix through avocado, round by round, and collect a sample for each cell."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Bench
from harness.errors import TeardownError
from harness.figures import format_duration
from harness.guest.hugepages import restored
from harness.job import JobEvent, JobItem, run_plan
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter, Step
from harness.teardown.model import Cell, Sample, TeardownRun, cell_key, sample_of
from harness.teardown.scenario import Block, Design, design
from harness.teardown.schedule import next_turn

TEST = "tests/avocado/teardown.py"


def _nothing_to_do(*_: object) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Callbacks for each sample, for all samples so far (to show them on a step), and for each round."""

    on_sample: Callable[[Sample], None] = _nothing_to_do
    show: Callable[[Step, Sequence[Sample]], None] = _nothing_to_do
    on_round: Callable[[Sequence[Sample]], None] = _nothing_to_do


NO_HOOKS = Hooks()


def run_teardown(bench: Bench, *, floor: Path | None = None, hooks: Hooks = NO_HOOKS) -> TeardownRun:
    """Time the native subjects of ``bench`` over the matrix of its options, one guest at a time.

    The warm-up comes first; its samples are discarded (Design.warm_up). It is followed by -Drounds= rounds of
    all cells, or by the rounds of an adaptive run until all is decided or -Dbudget= is spent (schedule.py).
    With ``floor`` (floor.c) each round also times the floor and the measuring overhead.

    ``hooks`` receive each sample at once, so that an interrupted run keeps its samples. Each cell gives a
    sample: cancelled if the guest does not fit into memory, failed after an error. Raises TeardownError if
    avocado itself cannot run, FetchError for firmware, GuestError for -Daccel=kvm without KVM, OptionError if
    there is nothing to time.
    """
    layout, options, reporter = bench.layout, bench.options, bench.reporter
    matrix = design(options, bench.native, bench.accels, bench.firmware, boots=bench.boots, seed=bench.seed)
    if floor is not None:
        matrix = matrix.with_floor(floor, 1, float(options.timeout))
    began = time.monotonic()
    with restored(layout.locks / "hugepages.json", options.backends):
        blocks = matrix.warm_up()
        with reporter.step(f"warm-up: {sum(map(len, blocks))} samples, discarded") as step:
            warm = _run_round(layout, options, blocks, step, NO_HOOKS)
        warmup_s = time.monotonic() - began
        threads = max((sample.threads or 0 for sample in warm if sample.kind == "teardown"), default=0)
        if floor is not None:
            matrix = matrix.with_floor(floor, threads, float(options.timeout))
        samples = _run_rounds(layout, options, matrix, reporter, hooks, warmup_s=warmup_s)
    _warn(samples, reporter)
    rounds = max(sample.round for sample in samples)
    return TeardownRun(
        samples=samples,
        warmup_s=round(warmup_s, 1),
        round_s=round((time.monotonic() - began - warmup_s) / rounds, 1),
    )


def _run_rounds(
    layout: Layout,
    options: Options,
    matrix: Design,
    reporter: Reporter,
    hooks: Hooks,
    *,
    warmup_s: float,
) -> tuple[Sample, ...]:
    """Run all rounds after the warm-up, which took ``warmup_s``."""
    samples: list[Sample] = []
    began = time.monotonic()
    for turn in itertools.count(1):
        spent_s = time.monotonic() - began
        if options.rounds:
            blocks, title = _fixed(options, matrix, samples, turn, spent_s)
        else:
            blocks, title = _adaptive(options, matrix, samples, turn, warmup_s + spent_s)
        if not blocks:
            break
        with reporter.step(title) as step:
            samples += _run_round(layout, options, blocks, step, hooks, before=samples)
        hooks.on_round([sample for sample in samples if sample.round == turn])
    for cell in matrix.never(samples) if not options.rounds else ():
        late = sample_of(
            cell, outcome="cancelled", reason=f"no time was left of -Dbudget={options.budget_s}s"
        )
        samples.append(late)
        hooks.on_sample(late)
    return tuple(samples)


def _fixed(
    options: Options, matrix: Design, samples: Sequence[Sample], turn: int, spent_s: float
) -> tuple[Sequence[Block], str]:
    """Return the next round of a fixed design, and its title."""
    if turn > options.rounds:
        return (), ""
    blocks = matrix.round(turn, len(samples) + 1)
    left_s = spent_s / max(1, turn - 1) * (options.rounds - turn + 1)
    left = f", about {format_duration(left_s)} left" if samples else ""
    return blocks, f"round {turn} of {options.rounds}: {sum(map(len, blocks))} samples{left}"


def _adaptive(
    options: Options, matrix: Design, samples: Sequence[Sample], turn: int, spent_s: float
) -> tuple[Sequence[Block], str]:
    """Return the next round of an adaptive run (schedule.py), and its title."""
    wishes = next_turn(
        [cell_key(block[0]) for block in matrix.blocks],
        samples,
        budget_s=float(options.budget_s),
        left_s=options.budget_s - spent_s,
        visit_s=spent_s * len(matrix.blocks[0]) / max(1, len(samples)),
    )
    if not wishes:
        return (), ""
    blocks = matrix.round(turn, len(samples) + 1, {wish.key: wish.visits for wish in wishes})
    spent = f" ({spent_s:.0f} of {options.budget_s} s spent)" if samples else ""
    return blocks, f"round {turn}{spent}: {sum(map(len, blocks))} samples"


def _run_round(
    layout: Layout,
    options: Options,
    blocks: Sequence[Block],
    step: Step,
    hooks: Hooks,
    *,
    before: Sequence[Sample] = (),
) -> tuple[Sample, ...]:
    items = tuple(
        JobItem(
            index=block[0].index,
            name=block[0].name if len(block) == 1 else f"{block[0].name}-and-{len(block) - 1}",
            task=block,
        )
        for block in blocks
    )
    cells, samples = {block[0].index: block for block in blocks}, dict[int, Sample]()

    def take(event: JobEvent, made: tuple[Sample, ...] | None) -> None:
        found = {sample.index: sample for sample in made or ()}
        for cell in cells[event.index]:
            sample = found.get(cell.index) or sample_of(cell, outcome="failed", reason=event.no_result)
            samples[cell.index] = sample
            hooks.on_sample(sample)
        step.update(len(samples), sum(map(len, blocks)), _about(cells[event.index][-1]))
        hooks.show(step, [*before, *samples.values()])

    # Twice: a restart starts a second guest.
    most = max(map(len, blocks)) * 2 * (2 * options.timeout + 60)
    run_plan(layout, TEST, items, tuple[Sample, ...], take, timeout_s=most, error=TeardownError)
    return tuple(samples[index] for index in sorted(samples))


def _about(cell: Cell) -> str:
    if cell.kind in ("floor", "overhead"):
        return cell.kind
    kind = "" if cell.kind == "teardown" else f" {cell.kind}"
    return f"{cell.target.removesuffix('-softmmu')} {cell.memory_mib} MiB {cell.backend}{kind}"


def _warn(samples: Sequence[Sample], reporter: Reporter) -> None:
    """Warn of failed and cancelled samples, once for each outcome, size and (if failed) variant."""
    warned: set[tuple[str, int, str]] = set()
    for sample in samples:
        key = (sample.outcome, sample.memory_mib, sample.variant if sample.outcome == "failed" else "")
        if sample.outcome != "ok" and key not in warned:
            warned.add(key)
            variant = f"{sample.variant} " if sample.outcome == "failed" else ""
            kind = "" if sample.kind == "teardown" else f"{sample.kind} "
            reporter.warn(f"{variant}{kind}{sample.memory_mib} MiB {sample.outcome}: {sample.reason}")
