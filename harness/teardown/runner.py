"""Run the matrix through avocado and collect a sample for each cell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import TeardownError
from harness.guest import LINUX, Accel, Boot, fetch_firmware, prepare_boot, probe_accel
from harness.job import Event, Item, run_plan
from harness.teardown.model import Cell, Sample, Subject, TeardownRun, sample_of
from harness.teardown.scenario import plan

if TYPE_CHECKING:  # tests under avocado import this package: a hundred times a run
    from harness.layout import Layout
    from harness.options import Options
    from harness.progress import Reporter, Step

LINUX_PAYLOADS = frozenset(LINUX)
TEST = "tests/avocado/teardown.py"


def prepare_boots(layout: Layout, options: Options, reporter: Reporter) -> dict[str, Boot]:
    """By target, what guests boot; nothing when no payload runs Linux. Raises what prepare_boot raises."""
    if not LINUX_PAYLOADS.intersection(options.payload):
        return {}
    return {target: prepare_boot(layout, reporter, target) for target in options.targets}


def probe_accels(
    layout: Layout, options: Options, subjects: Sequence[Subject], reporter: Reporter
) -> dict[tuple[str, str], Accel]:
    """The accelerator for each target and payload, proved with the first binary for it.

    Raises GuestError, FetchError, and what prepare_boot raises.
    """
    firmware = fetch_firmware(layout, reporter, options.targets)
    boots = prepare_boots(layout, options, reporter)
    accels: dict[tuple[str, str], Accel] = {}
    for subject, payload in itertools.product(subjects, options.payload):
        # Builds may have more targets than are timed.
        if subject.target in options.targets and (subject.target, payload) not in accels:
            accels[subject.target, payload] = probe_accel(
                Path(subject.path),
                subject.target,
                options.accel,
                firmware,
                reporter,
                logs=layout.logs,
                payload=payload,
                boot=boots.get(subject.target),
            )
    return accels


def run_teardown(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    reporter: Reporter,
    *,
    accels: dict[tuple[str, str], Accel] | None = None,
    on_sample: Callable[[Sample], None] | None = None,
) -> TeardownRun:
    """Time ``subjects`` over the matrix of ``options``, one guest at a time.

    ``on_sample`` is called as each sample comes in, so that an interrupted run keeps what it has. A cell that
    does not fit into memory gives a cancelled sample, one that goes wrong a failed one; every cell gives one.
    Raises TeardownError when avocado itself cannot run, FetchError for firmware, GuestError for -Daccel=kvm
    without KVM, OptionError when there is nothing to time.
    """
    found = probe_accels(layout, options, subjects, reporter) if accels is None else accels
    cells = plan(
        options,
        subjects,
        found,
        fetch_firmware(layout, reporter, options.targets),
        boots=prepare_boots(layout, options, reporter),
    )
    items = tuple(
        Item(index=cell.index, name=cell.name, params={"cell": msgspec.json.encode(cell).decode()})
        for cell in cells
    )
    collector = _Collector(cells, on_sample)
    with reporter.step(f"teardown of {len(cells)} guests") as step:
        finished = run_plan(
            layout,
            TEST,
            items,
            timeout_s=2 * options.timeout + 120,
            on_event=lambda event: collector.take(event, step),
        )
    if not collector.samples:
        raise TeardownError(
            f"avocado ran no test (status {finished.returncode})",
            "read the lines above and the log",
            details=tuple(finished.output.splitlines()[-10:]),
            log=layout.logs / "avocado.log",
        )
    samples = collector.all_samples()
    _tell(samples, reporter)
    # numpy takes a while to load: only when there is something to compare
    from harness.teardown.statistics import compare  # noqa: PLC0415

    return TeardownRun(samples=samples, comparisons=compare(samples), complete=True)


class _Collector:
    """Events of the job → samples."""

    def __init__(self, cells: Sequence[Cell], on_sample: Callable[[Sample], None] | None) -> None:
        self._cells = {cell.index: cell for cell in cells}
        self._on_sample = on_sample
        self.samples: dict[int, Sample] = {}

    def take(self, event: Event, step: Step) -> None:
        cell = self._cells[event.index]
        try:
            sample = msgspec.json.decode(event.whiteboard, type=Sample)
        except msgspec.MsgspecError:
            reason = f"the test ended with {event.status} and no result: {event.reason or 'no reason given'}"
            sample = sample_of(cell, outcome="failed", reason=" ".join(reason.split()))
        self.samples[cell.index] = sample
        if self._on_sample is not None:
            self._on_sample(sample)
        step.update(
            len(self.samples),
            len(self._cells),
            f"{cell.target.removesuffix('-softmmu')} {cell.memory_mib} MiB {cell.variant}",
        )

    def all_samples(self) -> tuple[Sample, ...]:
        """One for each cell, in order; a cell that avocado said nothing about has failed."""
        return tuple(
            self.samples.get(index)
            or sample_of(cell, outcome="failed", reason="avocado gave no result for this test")
            for index, cell in sorted(self._cells.items())
        )


def _tell(samples: Sequence[Sample], reporter: Reporter) -> None:
    """Say once for each reason what was cancelled or failed."""
    said: dict[tuple[str, int, str], int] = {}
    for sample in samples:
        if sample.outcome != "ok":
            key = (sample.outcome, sample.memory_mib, sample.variant if sample.outcome == "failed" else "")
            said[key] = said.get(key, 0) + 1
            if said[key] == 1:
                who = f"{sample.variant} " if sample.outcome == "failed" else ""
                reporter.warn(f"{who}{sample.memory_mib} MiB {sample.outcome}: {sample.reason}")
