"""``build/results/properties.json``: recorded, rendered as a table, and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.errors import PropertyError
from harness.jsonfile import about, utc_now, write_json
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.properties import ROWS, CheckedBinary, Part, PropertyRow, run_properties, worst
from harness.report.host import host_facts
from harness.report.model import HostFacts

SCHEMA = 1
_STYLES = {"pass": "green", "fail": "red", "cancel": "yellow"}


class PropertiesResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete run of properties."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    binaries: Annotated[tuple[CheckedBinary, ...], about("the binaries that were checked")]
    rows: Annotated[
        tuple[PropertyRow, ...], about("a row for each property and binary, in the order of the run")
    ]


def properties_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "properties.json"


def record_properties(
    layout: Layout,
    options: Options,
    binaries: Sequence[CheckedBinary],
    rows: Sequence[int],
    reporter: Reporter,
    *,
    command: str,
    elsewhere: Mapping[str, tuple[Part, ...]],
) -> PropertiesResults:
    """Check ``rows`` on ``binaries`` and write properties.json after each row; a stopped run keeps them.

    Raises the errors of run_properties.
    """
    started, host = utc_now(), host_facts()
    done: list[PropertyRow] = []

    def keep(made: Sequence[PropertyRow], *, complete: bool) -> PropertiesResults:
        results = PropertiesResults(
            command=command,
            started=started,
            finished=utc_now(),
            complete=complete,
            host=host,
            options=options.values(),
            binaries=tuple(binaries),
            rows=tuple(made),
        )
        write_json(properties_file(layout), results)
        return results

    def on_row(row: PropertyRow) -> None:
        done.append(row)
        keep(done, complete=False)

    made = run_properties(layout, options, binaries, rows, reporter, elsewhere=elsewhere, on_row=on_row)
    return keep(made, complete=True)


def render_properties(results: PropertiesResults) -> RenderableType:
    """Render properties by binary, then the reasons, unexpected outcomes first."""
    variants = list(dict.fromkeys(row.variant for row in results.rows))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    table.add_column("property")
    for variant in variants:
        table.add_column(variant)
    for number in dict.fromkeys(row.row for row in results.rows):
        cells = (
            _cell([row for row in results.rows if (row.row, row.variant) == (number, variant)])
            for variant in variants
        )
        table.add_row(str(number), ROWS[number], *cells)
    parts: list[RenderableType] = [_heading(results), Text(), table]
    notes = [_note(row) for row in sorted(results.rows, key=lambda row: not row.is_surprise) if row.reason]
    if notes:
        parts += [Text(), *notes]
    if not results.complete:
        parts.append(Text("The run was stopped before its end.", style="yellow"))
    return Group(*parts)


def check_properties(layout: Layout, results: PropertiesResults) -> None:
    """Raise PropertyError if a row differs from its expectation, with a line for each such row."""
    surprises = [row for row in results.rows if row.is_surprise]
    if surprises:
        raise PropertyError(
            f"{len(surprises)} of {len(results.rows)} properties differ from their expectation",
            f"see the parts of these rows in {properties_file(layout)}, and QEMU's logs below "
            f"{layout.build / 'avocado' / 'jobs'}",
            details=tuple(
                f"row {row.row} of {_who(row)}: {row.outcome} instead of {row.expected}"
                + (f": {row.reason}" if row.reason else "")
                for row in surprises
            ),
            log=layout.logs / "avocado.log",
        )


def _heading(results: PropertiesResults) -> Text:
    targets = ", ".join(dict.fromkeys(binary.target.removesuffix("-softmmu") for binary in results.binaries))
    host = results.host
    return Text(
        f"Properties of asynchronous teardown: {targets}\n"
        f"{host.distribution}, Linux {host.kernel}, {host.cpus} CPUs, {host.memory_mib // 1024} GiB"
    )


def _cell(rows: Sequence[PropertyRow]) -> Text:
    """Format the worst outcome of a property over all targets; mark an unexpected one."""
    if not rows:
        return Text("\N{EN DASH}")
    outcome = worst([row.outcome for row in rows])
    surprise = any(row.is_surprise for row in rows)
    return Text(outcome + (" !" if surprise else ""), style="bold red" if surprise else _STYLES[outcome])


def _note(row: PropertyRow) -> Text:
    mark = f" (instead of {row.expected})" if row.is_surprise else ""
    return Text(f"{row.row} {_who(row)} {row.outcome}{mark}: {row.reason}")


def _who(row: PropertyRow) -> str:
    return f"{row.variant} {row.target.removesuffix('-softmmu')}"
