"""The results of a load run as tables."""

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.figures import NONE, format_seconds
from harness.load.model import LoadPlan, Summary
from harness.load.record import LoadResults
from harness.options import format_size
from harness.report.terminal import heading, plain_table, stopped


def render_load(results: LoadResults) -> RenderableType:
    """Render the figures of each binary under each kind of load, and its leftovers."""
    accels = ", ".join(dict.fromkeys(part.accel for part in results.slices))
    parts: list[RenderableType] = [*heading(f"Load: {accels or 'nothing ran'}", results)]
    for plan in results.plans:
        mine = [summary for summary in results.summaries if summary.kind == plan.kind]
        parts.append(Text(_title(plan)))
        if mine:
            parts += [Text(""), _table(mine), Text("")]
    for summary in results.summaries:
        parts += [
            Text(f"{summary.kind} {summary.variant}: {reason}", style="bold red")
            for reason in summary.reasons
        ]
    return Group(*parts, *stopped(results))


def _title(plan: LoadPlan) -> str:
    size, reason = format_size(plan.memory_mib), f" ({plan.reason})" if plan.reason else ""
    if not plan.guests:
        return f"{plan.kind}: cancelled: {plan.reason}"
    if plan.kind == "crowd":
        return f"crowd: {plan.guests} guests of {size} for {plan.seconds:g} s with each binary{reason}"
    return f"restart: {plan.restarts} times one guest of {size}, waits for: {plan.wait}{reason}"


def _table(summaries: Sequence[Summary]) -> Table:
    table = plain_table([""], [summary.variant for summary in summaries])
    lines: dict[str, Callable[[Summary], str]] = {
        "exits": lambda one: str(one.exits),
        "reclaims": lambda one: str(one.reclaims),
        "restarts": lambda one: str(one.restarts),
        "failures": lambda one: str(one.failures),
        "exit, median": lambda one: _seconds(one.exit_s),
        "reclaim, median": lambda one: _seconds(one.reclaim_s),
        "restart, median": lambda one: _seconds(one.restart_s),
        "ready before the memory was freed": lambda one: str(one.overlaps),
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
