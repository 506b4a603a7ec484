"""Run the cycles, and write cycles.json."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.bench import Bench, Subject
from harness.cycles.model import LIVES, Cycle, CycleRow, Memory
from harness.cycles.runner import run_cycles
from harness.errors import CyclesError
from harness.jsonfile import about
from harness.layout import Layout
from harness.results import Recorder, Results, with_words

SHOWN = 10


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Cycles of one binary and one kind of life."""

    variant: Annotated[str, about("name of the binary")]
    life: Annotated[str, about("kind of life")]
    cycles: Annotated[int, about("number of cycles")]
    failed: Annotated[int, about("number of failed cycles")]


class CycleFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed cycle, with the command that runs it alone."""

    variant: Annotated[str, about("name of the binary")]
    number: Annotated[int, about("the cycle's number")]
    reasons: Annotated[tuple[str, ...], about("reasons, one a line")]
    command: str
    """command that repeats this cycle, at the same instant as far as the machine allows"""


class CyclesResults(Results, frozen=True, kw_only=True):
    """A complete run of start/stop cycles."""

    seed: Annotated[int, about("seed of the plan")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were started")]
    counts: Annotated[tuple[Count, ...], about("cycles by binary and kind of life")]
    failures: Annotated[tuple[CycleFailure, ...], about("the failed cycles")]
    memory: Annotated[tuple[Memory, ...], about("memory before and after, by binary")]
    rows: Annotated[tuple[CycleRow, ...], about("every cycle")]


def cycles_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "cycles.json"


def record_cycles(bench: Bench, cycles: Sequence[Cycle], *, command: str) -> CyclesResults:
    """Run ``cycles`` and write cycles.json, also during the run. Raises the errors of run_cycles."""
    again = with_words(command, f"-Dseed={bench.seed}")
    order = [subject.variant for subject in bench.subjects]
    memory: list[Memory] = []

    def make(shared: dict[str, Any], _: bool) -> CyclesResults:
        rows = tuple(sorted(recorder.rows, key=lambda row: (order.index(row.variant), row.cycle.number)))
        return CyclesResults(
            **shared,
            seed=bench.seed,
            binaries=bench.subjects,
            counts=tuple(_counts(rows)),
            failures=tuple(
                CycleFailure(
                    variant=row.variant,
                    number=row.cycle.number,
                    reasons=row.reasons,
                    command=with_words(again, "--only", str(row.cycle.number)),
                )
                for row in rows
                if row.outcome == "fail"
            ),
            memory=tuple(memory),
            rows=rows,
        )

    file = cycles_file(bench.layout)
    recorder = Recorder[CycleRow, CyclesResults](file, bench.options, command=again, make=make)
    with recorder:
        memory += run_cycles(bench, cycles, on_row=recorder.take)
        return recorder.finish()


def check_cycles(layout: Layout, results: CyclesResults) -> None:
    """Raise CyclesError if a cycle failed, or memory was not freed."""
    lines = [f"{one.variant} {one.number}: {'; '.join(one.reasons)}" for one in results.failures[:SHOWN]]
    lines += [f"{one.variant}: {one.lost_mib:g} MiB were not freed" for one in results.memory if one.leaked]
    if lines:
        raise CyclesError(
            f"{len(results.failures)} of {len(results.rows)} cycles failed"
            if results.failures
            else "memory was not freed",
            f"run one alone: {results.failures[0].command}"
            if results.failures
            else "run again on a quiet machine; if that fails too, find the process that holds the memory",
            details=tuple(lines),
            log=layout.results / "cycles.json",
        )


def _counts(rows: Sequence[CycleRow]) -> Iterable[Count]:
    for variant in dict.fromkeys(row.variant for row in rows):
        for life in LIVES:
            mine = [row for row in rows if (row.variant, row.cycle.life) == (variant, life)]
            if mine:
                failed = sum(row.outcome == "fail" for row in mine)
                yield Count(variant=variant, life=life, cycles=len(mine), failed=failed)
