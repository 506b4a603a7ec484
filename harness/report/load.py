"""``build/results/load.json``: recorded, rendered as a table, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.errors import LoadError
from harness.guest import Firmware
from harness.jsonfile import about, utc_now, write_json
from harness.layout import Layout
from harness.load import LoadPlan, Slice, Summary, run_load, summarize
from harness.options import Options, format_size
from harness.progress import Reporter
from harness.report.command import with_words
from harness.report.figures import NONE, format_seconds
from harness.report.host import host_facts
from harness.report.model import HostFacts
from harness.teardown import Subject

SCHEMA = 1


class LoadResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete load run."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run, including the seed")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last slice ended")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    seed: Annotated[int, about("seed of the order of slices, ends and pauses")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were started")]
    plans: Annotated[
        tuple[LoadPlan, ...], about("the loads that were planned, with the reason for each reduction")
    ]
    summaries: Annotated[tuple[Summary, ...], about("each kind of load with each binary, with its outcome")]
    slices: Annotated[tuple[Slice, ...], about("the parts of the run, in their order")]


def load_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "load.json"


def record_load(  # noqa: PLR0917 - the stages' products
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    plans: Sequence[LoadPlan],
    firmware: Mapping[str, Firmware],
    accels: Mapping[str, str],
    reporter: Reporter,
    *,
    seed: int,
    command: str,
) -> LoadResults:
    """Run the plans and write load.json at the start and after each slice. Raises the errors of run_load."""
    started, host, slices = utc_now(), host_facts(), list[Slice]()

    def keep(*, complete: bool) -> LoadResults:
        results = LoadResults(
            command=with_words(command, f"-Dseed={seed}"),
            started=started,
            finished=utc_now(),
            complete=complete,
            seed=seed,
            host=host,
            options=options.values(),
            binaries=tuple(subjects),
            plans=tuple(plans),
            summaries=summarize(slices),
            slices=tuple(slices),
        )
        write_json(load_file(layout), results)
        return results

    def take(part: Slice) -> None:
        slices.append(part)
        keep(complete=False)

    keep(complete=False)  # replaces the file of an earlier run, even if this one ends here
    run_load(
        layout,
        subjects,
        plans,
        firmware,
        accels,
        reporter,
        seed=seed,
        limit_s=float(options.timeout),
        on_slice=take,
    )
    return keep(complete=True)


def check_load(layout: Layout, results: LoadResults) -> None:
    """Raise LoadError if something was left behind or failed, or nothing could run."""
    failed = [summary for summary in results.summaries if summary.outcome == "fail"]
    if failed:
        short = any(summary.oom_kills for summary in failed)
        raise LoadError(
            f"{len(failed)} of {len(results.summaries)} loads failed",
            "let restarts wait with --wait-for-memory, or use a smaller guest (--restart-memory)"
            if short
            else f"see the rows in {load_file(layout)}",
            details=tuple(
                f"{summary.kind} {summary.variant}: {why}" for summary in failed for why in summary.reasons
            ),
            log=load_file(layout),
        )
    if not results.summaries:
        raise LoadError(
            "nothing ran: " + "; ".join(plan.reason for plan in results.plans),
            "free memory, or choose fewer or smaller guests",
        )


def render_load(results: LoadResults) -> RenderableType:
    """Render the figures of each binary under each kind of load, and its leftovers."""
    parts: list[RenderableType] = [*_heading(results)]
    for plan in results.plans:
        mine = [summary for summary in results.summaries if summary.kind == plan.kind]
        parts.append(Text(_title(plan)))
        if mine:
            parts += [Text(""), _table(mine), Text("")]
    for summary in results.summaries:
        parts += [
            Text(f"{summary.kind} {summary.variant}: {why}", style="bold red") for why in summary.reasons
        ]
    if not results.complete:
        parts.append(Text("The run was stopped before its end.", style="yellow"))
    return Group(*parts)


def _heading(results: LoadResults) -> Iterable[RenderableType]:
    host = results.host
    accels = ", ".join(dict.fromkeys(part.accel for part in results.slices))
    yield Text(f"Load: {accels or 'nothing ran'}")
    yield Text(
        f"{host.distribution}, Linux {host.kernel}, {host.cpus} CPUs, {host.memory_mib // 1024} GiB",
        style="dim",
    )
    yield Text("")


def _title(plan: LoadPlan) -> str:
    size, reason = format_size(plan.memory_mib), f" ({plan.reason})" if plan.reason else ""
    if not plan.guests:
        return f"{plan.kind}: cancelled: {plan.reason}"
    if plan.kind == "crowd":
        return f"crowd: {plan.guests} guests of {size} for {plan.seconds:g} s with each binary{reason}"
    return f"restart: {plan.restarts} times one guest of {size}, waits for: {plan.wait}{reason}"


def _table(summaries: Sequence[Summary]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", no_wrap=True)
    for summary in summaries:
        table.add_column(summary.variant, justify="right", no_wrap=True)
    lines: dict[str, Callable[[Summary], str]] = {
        "exits": lambda one: str(one.exits),
        "reclaims": lambda one: str(one.reclaims),
        "restarts": lambda one: str(one.restarts),
        "failures": lambda one: str(one.failures),
        "exit, median": lambda one: _seconds(one.exit_s),
        "reclaim, median": lambda one: _seconds(one.reclaim_s),
        "restart, median": lambda one: _seconds(one.restart_s),
        "ready before the memory was back": lambda one: str(one.overlaps),
        "CPU of QEMUs": lambda one: f"{one.qemu_cpu_s:.1f} s",
        "CPU of helpers": lambda one: f"{one.helper_cpu_s:.1f} s",
        "processes, zombies, fds left": lambda one: f"{one.processes}, {one.zombies}, {one.fds}",
        "memory not freed, peak": lambda one: f"{one.lost_mib:.1f}, {one.peak_mib:.0f} MiB",
        "killed because memory ran out": lambda one: str(one.oom_kills),
        "outcome": lambda one: one.outcome,
    }
    for name, cell in lines.items():
        table.add_row(name, *(cell(summary) for summary in summaries))
    return table


def _seconds(value: float | None) -> str:
    return NONE if value is None else format_seconds(value)
