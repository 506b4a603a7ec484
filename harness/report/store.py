"""Results on disk, read back."""

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
"""The schema whose comparisons were with base alone. Its rows are rows still."""

T = TypeVar("T")


@contextlib.contextmanager
def made_from(path: Path) -> Iterator[None]:
    """Around what is made of the stored results in ``path``.

    Raises StorageError when that fails over values that have the right types, and that no run gives: an
    infinite latency, a size below nought. A file that a stranger sent may have them.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise StorageError(
            f"{path} has values that no run gives: {type(error).__name__}: {' '.join(str(error).split())}",
            "make the results anew",
        ) from error


class _Head(msgspec.Struct):
    schema: int


def read_teardown(path: Path) -> TeardownResults:
    """The results in ``path``. Raises StorageError: not there, not JSON, or of another schema."""
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
    """The results of ``kind`` in ``path``, which ``command`` makes; ``older`` raises those of other schemas.

    Raises StorageError as read_teardown.
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
                "make the results anew, or use the harness that wrote them",
            )
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise StorageError(f"{path} is not a results file: {error}", "make the results anew") from error


def _raised(data: bytes) -> TeardownResults:
    """Results of schema 1, with the comparisons that are made today."""
    fields = msgspec.json.decode(data) | {"schema": SCHEMA, "comparisons": ()}
    results = msgspec.convert(fields, TeardownResults)
    return msgspec.structs.replace(
        results, comparisons=compare(results.rows), slopes=fit_slopes(results.rows)
    )
