"""Descriptions of cells, for messages and reports."""

from collections.abc import Iterable, Sequence

from harness.options import format_size
from harness.teardown.model import MATRIX_FIELDS, SERIES_FIELDS, Sample


def place_words(place: Sequence[object]) -> str:
    """Describe a cell of the matrix by the fields that identify it."""
    named = dict(zip(MATRIX_FIELDS, place, strict=True))
    return " ".join(
        (
            str(named["target"]).removesuffix("-softmmu"),
            *(() if named["host"] == "native" else (f"on {named['host']}",)),
            format_size(int(str(named["memory_mib"]))),
            *(str(named[field]) for field in ("backend", "pages", "payload", "trigger")),
        )
    )


def series_words(rows: Iterable[Sample], place: Sequence[str]) -> str:
    """Describe a fitted line: its target, and the fields in which the guests among ``rows`` differ."""
    named = dict(zip(SERIES_FIELDS, place, strict=True))
    guests = [row for row in rows if row.kind == "teardown"]
    words = [named["target"].removesuffix("-softmmu")]
    for field in SERIES_FIELDS[1:]:
        values = {getattr(row, field) for row in guests}
        if field != "accel" and len(values) > 1:
            words.append(str(named[field]))
    return " ".join(words)
