"""The results of a properties run as a table."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.properties.model import ROWS, PropertyRow, worst
from harness.properties.record import PropertiesResults
from harness.report.terminal import stopped

_STYLES = {"pass": "green", "fail": "red", "cancel": "yellow"}


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
    return Group(*parts, *stopped(results))


def _heading(results: PropertiesResults) -> Text:
    targets = ", ".join(dict.fromkeys(binary.target.removesuffix("-softmmu") for binary in results.binaries))
    return Text(f"Properties of asynchronous teardown: {targets}\n{results.host.summary}")


def _cell(rows: Sequence[PropertyRow]) -> Text:
    """Format the worst outcome of a property over all targets; mark an unexpected one."""
    if not rows:
        return Text("\N{EN DASH}")
    outcome = worst([row.outcome for row in rows])
    surprise = any(row.is_surprise for row in rows)
    return Text(outcome + (" !" if surprise else ""), style="bold red" if surprise else _STYLES[outcome])


def _note(row: PropertyRow) -> Text:
    mark = f" (instead of {row.expected})" if row.is_surprise else ""
    return Text(f"{row.row} {row.subject_name} {row.outcome}{mark}: {row.reason}")
