"""Atomic writing of JSON files, and helpers for their structs."""

import contextlib
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import StorageError

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors of decoding JSON or TOML: invalid bytes, wrong types, too deep nesting."""
T = TypeVar("T")


def about(text: str) -> msgspec.Meta:
    """Description of a field in docs/results.md: ``Annotated[int, about("guest memory in MiB")]``.

    A longer one is the docstring of the field.
    """
    return msgspec.Meta(description=text)


def utc_now(timespec: str = "seconds") -> str:
    """Return the time in UTC in ISO 8601, with the precision ``timespec`` (datetime.isoformat)."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec=timespec)


@contextlib.contextmanager
def storing(what: str) -> Iterator[None]:
    """Raise StorageError for an OSError of the block; ``what`` is what it does, such as "write FILE"."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot {what}: {error}", "free some disk space, or make the folder writable"
        ) from error


def write_json(path: Path, value: object) -> None:
    """Write ``value`` (a struct) as indented JSON: to a temporary file, flushed to disk, renamed into place.

    Raises StorageError; ``path`` is then unchanged.
    """
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` as write_json does. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with storing(f"write {path}"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def load(path: Path, kind: type[T]) -> T | None:
    """Read a ``kind`` from ``path``; None if the file is missing, damaged or of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *UNREADABLE):
        return None
