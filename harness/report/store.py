"""Results on disk, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import StorageError
from harness.report.model import SCHEMA, TeardownResults

T = TypeVar("T")


class _Head(msgspec.Struct):
    schema: int


def read_teardown(path: Path) -> TeardownResults:
    """The results in ``path``. Raises StorageError: not there, not JSON, or of another schema."""
    return read_results(path, TeardownResults, SCHEMA, "nox -s teardown")


def read_results(path: Path, kind: type[T], wanted: int, command: str) -> T:
    """The results of ``kind`` in ``path``, which ``command`` makes. Raises StorageError as read_teardown."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", f"run {command} first") from error
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema != wanted:
            raise StorageError(
                f"{path} has schema {schema}, this harness reads schema {wanted}",
                "make the results anew, or use the harness that wrote them",
            )
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise StorageError(f"{path} is not a results file: {error}", "make the results anew") from error
