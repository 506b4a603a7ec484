"""Results files: their common fields, writing them during a run, and reading them.

``build/results/NAME.json`` is written at the end of a run. Before that, it is written every SAVE_EVERY_S
seconds and on interruption, with the rows so far and ``complete`` false.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from harness.errors import StorageError
from harness.jsonfile import UNREADABLE, about, utc_now, write_json
from harness.machine import HostFacts, host_facts
from harness.options import Options
from harness.process import shell_quote

SAVE_EVERY_S = 10.0

Kept = TypeVar("Kept")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made", bound="Results")


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Common fields of all results files."""

    schema: Annotated[int, about("version of this format")] = 1
    command: Annotated[str, about("command that reproduces this run, including the seed")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false if the run was stopped before its end")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]


class Recorder(Generic[Kept, Made]):
    """Keep the rows of a run in its results file, from the first row to the end of the ``with`` block.

    ``make`` returns the results of the rows so far. It gets the fields of Results except ``schema``, and
    whether the run has ended. A block that raises (also KeyboardInterrupt) leaves a file with its rows; a
    successful one calls ``finish``. Raises StorageError if the file cannot be written.
    """

    def __init__(
        self, path: Path, options: Options, *, command: str, make: Callable[[dict[str, Any], bool], Made]
    ) -> None:
        self.rows: list[Kept] = []
        self._path = path
        self._make = make
        self._shared: dict[str, Any] = {
            "command": command,
            "started": utc_now(),
            "host": host_facts(),
            "options": options.values(),
        }
        self._saved = time.monotonic()

    def __enter__(self) -> Recorder[Kept, Made]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.rows:
            self._write(complete=False, ended=True)

    def take(self, row: Kept) -> None:
        """Add ``row``; write the file if it was not written for SAVE_EVERY_S seconds."""
        self.rows.append(row)
        if time.monotonic() - self._saved >= SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the results so far."""
        self._write(complete=False, ended=False)
        self._saved = time.monotonic()

    def finish(self) -> Made:
        """Write the results of the complete run, and return them."""
        return self._write(complete=True, ended=True)

    def _write(self, *, complete: bool, ended: bool) -> Made:
        results = self._make({**self._shared, "finished": utc_now(), "complete": complete}, ended)
        write_json(self._path, results)
        return results


def with_words(command: str, *words: str) -> str:
    """Append arguments to ``command``, after ``--`` under nox. The last value of an option is effective."""
    if command.startswith("nox ") and " --" not in command:
        command += " --"
    return command if words[0] in command.split() else f"{command} {shell_quote(words)}"


class _Schema(msgspec.Struct):
    schema: int


def read_results(
    path: Path,
    kind: type[Loaded],
    wanted: int,
    command: str,
    *,
    older: Mapping[int, Callable[[bytes], Loaded]] | None = None,
) -> Loaded:
    """Read results of ``kind`` from ``path``; ``command`` creates them, ``older`` converts other schemas.

    Raises StorageError: missing file, not JSON, or another schema.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        remedy = f"run {command} first, or name another file" if missing else "check the file and its mode"
        raise StorageError(f"cannot read {path}: {error.strerror}", remedy) from error
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
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
