"""Results on disk, read back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import StorageError
from harness.report.model import SCHEMA, TeardownResults


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
        if schema != SCHEMA:
            raise StorageError(
                f"{path} has schema {schema}, this harness reads schema {SCHEMA}",
                "make the results anew, or use the harness that wrote them",
            )
        return msgspec.json.decode(data, type=TeardownResults)
    except msgspec.MsgspecError as error:
        raise StorageError(f"{path} is not a results file: {error}", "make the results anew") from error
