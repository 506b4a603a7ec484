"""Record a run of cycles and render it. The table depends on the results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.cycles import Cycle, CycleRow, CyclesRun, Memory, run_cycles
from harness.cycles.model import LIVES
from harness.errors import CyclesError
from harness.guest import Firmware
from harness.jsonfile import about, utc_now, write_json
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.report.command import with_words
from harness.report.host import host_facts
from harness.report.model import HostFacts
from harness.teardown import Subject

SCHEMA = 1
SHOWN = 10
SEVERAL = 2


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
    command: Annotated[
        str, about("command that repeats this cycle, at the same instant as far as the machine allows")
    ]


class CyclesResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete run of start/stop cycles."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run, including the seed")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    seed: Annotated[int, about("seed of the plan")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were started")]
    counts: Annotated[tuple[Count, ...], about("cycles by binary and kind of life")]
    failures: Annotated[tuple[CycleFailure, ...], about("the failed cycles")]
    memory: Annotated[tuple[Memory, ...], about("memory before and after, by binary")]
    rows: Annotated[tuple[CycleRow, ...], about("every cycle")]


def record_cycles(  # noqa: PLR0917 - the stages' products
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    cycles: Sequence[Cycle],
    firmware: Mapping[str, Firmware],
    reporter: Reporter,
    *,
    seed: int,
    command: str,
    only_tcg: Collection[str] = (),
) -> CyclesResults:
    """Run ``cycles`` and write cycles.json, even if the run is stopped. Raises the errors of run_cycles."""
    started, rows = utc_now(), list[CycleRow]()
    again = with_words(command, f"-Dseed={seed}")

    def results(run: CyclesRun) -> CyclesResults:
        return CyclesResults(
            command=again,
            started=started,
            finished=utc_now(),
            complete=run.complete,
            seed=seed,
            host=host_facts(),
            options=options.values(),
            binaries=tuple(subjects),
            counts=tuple(_counts(run.rows)),
            failures=tuple(
                CycleFailure(
                    variant=row.variant,
                    number=row.cycle.number,
                    reasons=row.reasons,
                    command=with_words(again, "--only", str(row.cycle.number)),
                )
                for row in run.rows
                if row.outcome == "fail"
            ),
            memory=run.memory,
            rows=run.rows,
        )

    try:
        run = run_cycles(layout, subjects, cycles, firmware, reporter, only_tcg=only_tcg, on_row=rows.append)
    except BaseException:
        if rows:
            stopped = CyclesRun(rows=tuple(rows), memory=(), complete=False)
            write_json(layout.results / "cycles.json", results(stopped))
        raise
    finished = results(run)
    write_json(layout.results / "cycles.json", finished)
    return finished


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
            else "run again on a quiet machine; if that fails too, find the process that holds it",
            details=tuple(lines),
            log=layout.results / "cycles.json",
        )


def render_cycles(results: CyclesResults) -> RenderableType:
    """Render cycles and failures by kind of life, a block a binary, then memory, reports, reasons."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("variant", "QEMU is ended"):
        table.add_column(name)
    for name in ("cycles", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for count in results.counts:
        style = "red" if count.failed else ""
        table.add_row(
            count.variant,
            f"{count.life}: {LIVES[count.life]}",
            str(count.cycles),
            Text(str(count.failed), style=style),
        )
    head = Text(f"Start/stop cycles, seed {results.seed}")
    return Group(head, Text(""), table, Text(""), *_memory(results), *_reports(results), *_reasons(results))


def _memory(results: CyclesResults) -> Iterable[RenderableType]:
    for one in results.memory:
        verdict = "was not freed" if one.leaked else "was freed"
        yield Text(
            f"{one.variant}: memory {verdict}: {one.before_mib:g} MiB before, {one.after_mib:g} after, "
            f"peak {one.peak_mib:g} ({one.source}, tolerance {one.tolerance_mib:g})",
            style="red" if one.leaked else "",
        )


def _reports(results: CyclesResults) -> Iterable[RenderableType]:
    for variant in dict.fromkeys(row.variant for row in results.rows):
        found = [report for row in results.rows if row.variant == variant for report in row.reports]
        if found:
            ours = sum(report.ours for report in found)
            yield Text(
                f"{variant}: sanitizer reports: {ours} name files of the series, {len(found) - ours} others"
            )
            others = Counter(report.summary for report in found if not report.ours)
            for summary, count in others.most_common(SHOWN):
                yield Text(f"  {count} x {summary}", style="dim")


def _reasons(results: CyclesResults) -> Iterable[RenderableType]:
    reasons: dict[tuple[str, str], list[int]] = {}
    for one in results.failures:
        for reason in one.reasons:
            reasons.setdefault((one.variant, reason), []).append(one.number)
    for (variant, reason), numbers in sorted(reasons.items(), key=lambda item: -len(item[1])):
        times = f"{len(numbers)} cycles" if len(numbers) >= SEVERAL else "1 cycle"
        yield Text(f"{variant}: {reason} ({times}, such as {numbers[0]})", style="yellow")


def _counts(rows: Sequence[CycleRow]) -> Iterable[Count]:
    for variant in dict.fromkeys(row.variant for row in rows):
        for life in LIVES:
            mine = [row for row in rows if (row.variant, row.cycle.life) == (variant, life)]
            if mine:
                failed = sum(row.outcome == "fail" for row in mine)
                yield Count(variant=variant, life=life, cycles=len(mine), failed=failed)
