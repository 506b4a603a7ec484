"""Results on disk: a file is whole or not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from harness.errors import StorageError
from harness.report.model import SCHEMA, TeardownResults


class _Head(msgspec.Struct):
    schema: int


def write_json(path: Path, value: object) -> None:
    """Write ``value`` (a struct) as indented JSON: aside, flushed to disk, renamed into place.

    Raises StorageError; ``path`` then is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    data = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error}", "free the disk or make the folder writable"
        ) from error


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
