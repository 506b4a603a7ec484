"""Reading of stored results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import StorageError
from harness.jsonfile import UNREADABLE
from harness.report.model import SCHEMA, TeardownResults
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare

WITHOUT_REFERENCES = 1
"""The schema with comparisons to base only. Its rows are still valid."""

T = TypeVar("T")


@contextlib.contextmanager
def made_from(path: Path) -> Iterator[None]:
    """Context for code that processes the stored results in ``path``.

    Raises StorageError if the code fails on values of the right types that no run produces, such as an
    infinite latency or a negative size. A file from an untrusted source may contain them.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise StorageError(
            f"{path} has values that no run produces: {type(error).__name__}: {' '.join(str(error).split())}",
            "run it again",
        ) from error


class _Head(msgspec.Struct):
    schema: int


def read_teardown(path: Path) -> TeardownResults:
    """Read the results in ``path``. Raises StorageError: missing, not JSON, or of another schema."""
    older = {WITHOUT_REFERENCES: _raised}
    return read_results(path, TeardownResults, SCHEMA, "nox -s teardown", older=older)


def read_results(
    path: Path,
    kind: type[T],
    wanted: int,
    command: str,
    *,
    older: Mapping[int, Callable[[bytes], T]] | None = None,
) -> T:
    """Read results of ``kind`` from ``path``; ``command`` produces them, ``older`` converts other schemas.

    Raises StorageError as read_teardown does.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", f"run {command} first") from error
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if older and schema in older:
            return older[schema](data)
        if schema != wanted:
            raise StorageError(
                f"{path} has schema {schema}, this harness reads schema {wanted}",
                "run it again, or use the version of the harness that wrote the file",
            )
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise StorageError(f"{path} is not a results file: {error}", "run it again") from error


def _raised(data: bytes) -> TeardownResults:
    """Convert results of schema 1; comparisons are computed again."""
    fields = msgspec.json.decode(data) | {"schema": SCHEMA, "comparisons": ()}
    results = msgspec.convert(fields, TeardownResults)
    return msgspec.structs.replace(
        results, comparisons=compare(results.rows), slopes=fit_slopes(results.rows)
    )
