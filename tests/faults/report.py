"""``build/results/faults.json``: the injected faults, and whether the harness survived them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.errors import FaultsError
from harness.jsonfile import about
from harness.layout import Layout
from harness.machine import HostFacts

SCHEMA = 1
Outcome = Literal["survived", "failed", "cancelled", "noticed", "missed"]
GOOD = ("survived", "noticed")


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One injected fault."""

    case: Annotated[str, about("name of the case, see docs/faults.md")]
    name: Annotated[str, about("the injected fault; for a kill also the step that it interrupted")]
    outcome: Annotated[
        Outcome,
        about(
            "survived, failed, or cancelled if it could not run on this machine; with a weakened harness:"
            " noticed, or missed if every trial passed"
        ),
    ]
    reason: Annotated[str, about("reason of the failure or cancellation")]
    duration_s: Annotated[float, about("seconds from the previous row to this one")]


class FaultsResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete run of faults."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run, including the seed")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    seed: Annotated[int, about("seed of the instants of kill -9")]
    host: Annotated[HostFacts, about("the machine")]
    rows: Annotated[tuple[FaultRow, ...], about("a row for each injected fault, in the order of the run")]


def faults_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "faults.json"


def render_faults(results: FaultsResults) -> RenderableType:
    """Render a line for each case, and one for each fault that was not survived."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("fault", no_wrap=True)
    weakened = any(row.outcome in ("noticed", "missed") for row in results.rows)
    for name in ("tried", "noticed" if weakened else "survived", "not tried", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for case in dict.fromkeys(row.case for row in results.rows):
        table.add_row(*_cells(case, [row for row in results.rows if row.case == case]))
    table.add_section()
    table.add_row(*_cells("all", results.rows))
    return Group(table, Text(""), *_remarks(results))


def _cells(name: str, rows: Sequence[FaultRow]) -> tuple[str, ...]:
    tried = [row for row in rows if row.outcome != "cancelled"]
    survived = [row for row in tried if row.outcome in GOOD]
    seconds = sum(row.duration_s for row in rows)
    return (name, str(len(tried)), str(len(survived)), str(len(rows) - len(tried)), f"{seconds:.0f}")


def _remarks(results: FaultsResults) -> Iterable[RenderableType]:
    for row in results.rows:
        if row.outcome != "survived":
            style = {"cancelled": "yellow", "noticed": ""}.get(row.outcome, "bold red")
            yield Text(f"{row.outcome}: {row.case}: {row.name}: {row.reason}", style=style)
    if not results.complete:
        yield Text("The run was stopped before its end.", style="yellow")


def check_faults(layout: Layout, results: FaultsResults) -> None:
    """Raise FaultsError if a fault was not survived or a weakness was missed, with a line for each."""
    failed = [row for row in results.rows if row.outcome in ("failed", "missed")]
    if failed:
        missed = failed[0].outcome == "missed"
        problem = "weaknesses were not noticed" if missed else "faults were not survived"
        words = f"{'--weakened ' if missed else ''}--cases {failed[0].case}"
        raise FaultsError(
            f"{len(failed)} of {len(results.rows)} {problem}",
            f"see {faults_file(layout)}; to repeat the first: nox -s faults -- {words}",
            details=tuple(f"{row.case}: {row.name}: {row.reason}" for row in failed[:10]),
            log=faults_file(layout),
        )
