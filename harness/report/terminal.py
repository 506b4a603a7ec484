"""Parts that the tables of several runs share."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from harness.results import Results


def plain_table(words: Iterable[str], figures: Iterable[str] = ()) -> Table:
    """Return a table without a frame, with columns of words and then columns of figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def heading(title: str, results: Results) -> tuple[Text, Text, Text]:
    """Return the lines above a table: the title, the machine, an empty line."""
    return Text(title), Text(results.host.summary, style="dim"), Text("")


def stopped(results: Results) -> tuple[Text, ...]:
    """Return the line below the results of a run that was interrupted; none for a complete run."""
    return () if results.complete else (Text("The run was stopped before its end.", style="yellow"),)
