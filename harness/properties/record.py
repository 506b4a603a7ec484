"""Check the properties of a bench's subjects, and write properties.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from harness.bench import Bench, Subject
from harness.errors import PropertyError
from harness.jsonfile import about
from harness.layout import Layout
from harness.properties.emulated import check_emulated
from harness.properties.model import HOSTS_ROW, PropertyRow
from harness.properties.runner import run_properties
from harness.results import Recorder, Results

SCHEMA = 2
"""Schema 2 has subjects in ``binaries``, as the other results files."""


class PropertiesResults(Results, frozen=True, kw_only=True):
    """A complete run of properties."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were checked")]
    rows: tuple[PropertyRow, ...]
    """a row for each property and binary, in the order of the run"""


def properties_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "properties.json"


def record_properties(bench: Bench, rows: Sequence[int], *, command: str) -> PropertiesResults:
    """Check ``rows`` on the subjects of ``bench`` and write properties.json, also during the run.

    Row 15 includes the emulated hosts of ``bench``. Raises the errors of run_properties and run_emulated.
    """

    def make(shared: dict[str, Any], _: bool) -> PropertiesResults:
        return PropertiesResults(**shared, binaries=bench.native, rows=tuple(recorder.rows))

    file = properties_file(bench.layout)
    recorder = Recorder[PropertyRow, PropertiesResults](file, bench.options, command=command, make=make)
    with recorder:
        emulated = check_emulated(bench) if HOSTS_ROW in rows else {}
        run_properties(bench, rows, emulated=emulated, on_row=recorder.take)
        return recorder.finish()


def check_properties(layout: Layout, results: PropertiesResults) -> None:
    """Raise PropertyError if a row differs from its expectation, with a line for each such row."""
    surprises = [row for row in results.rows if row.is_surprise]
    if surprises:
        raise PropertyError(
            f"{len(surprises)} of {len(results.rows)} properties differ from their expectation",
            f"see the parts of these rows in {properties_file(layout)}, and QEMU's logs below "
            f"{layout.build / 'avocado' / 'jobs'}",
            details=tuple(
                f"row {row.row} of {row.subject_name}: {row.outcome} instead of {row.expected}"
                + (f": {row.reason}" if row.reason else "")
                for row in surprises
            ),
            log=layout.logs / "avocado.log",
        )
