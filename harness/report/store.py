"""Results on disk, read back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import StorageError
from harness.report.model import SCHEMA, TeardownResults
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare

WITHOUT_REFERENCES = 1
"""The schema whose comparisons were with base alone. Its rows are rows still."""


class _Head(msgspec.Struct):
    schema: int


def read_teardown(path: Path) -> TeardownResults:
    """The results in ``path``. Raises StorageError: not there, not JSON, or of another schema."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "run nox -s teardown first") from error
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema == WITHOUT_REFERENCES:
            return _raised(data)
        if schema != SCHEMA:
            raise StorageError(
                f"{path} has schema {schema}, this harness reads schema {SCHEMA}",
                "make the results anew, or use the harness that wrote them",
            )
        return msgspec.json.decode(data, type=TeardownResults)
    except msgspec.MsgspecError as error:
        raise StorageError(f"{path} is not a results file: {error}", "make the results anew") from error


def _raised(data: bytes) -> TeardownResults:
    """Results of schema 1, with the comparisons that are made today."""
    fields = msgspec.json.decode(data) | {"schema": SCHEMA, "comparisons": ()}
    results = msgspec.convert(fields, TeardownResults)
    return msgspec.structs.replace(
        results, comparisons=compare(results.rows), slopes=fit_slopes(results.rows)
    )
