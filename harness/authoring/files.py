"""Write files of a series: each whole or as it was before."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from harness.errors import StorageError
from harness.series.metadata import FILE, parse_series_file


def write_file(path: Path, data: bytes) -> bool:
    """Make ``path`` hold ``data``; False when it did already. Raises StorageError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error}", "make the folder writable") from error
    return True


def edit_series_file(folder: Path, **values: object) -> None:
    """Set keys of ``series.toml``, underscores for dashes; all else in it stays, comments too.

    Raises OptionError when the file would not be a series.toml, StorageError.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        document = tomlkit.parse(text)
    except (OSError, ValueError, TOMLKitError) as error:
        raise StorageError(f"{path} cannot be read: {error}", "mend it as docs/series.md says") from error
    for name, value in values.items():
        document[name.replace("_", "-")] = value
    data = tomlkit.dumps(document).encode()
    parse_series_file(data, path)
    write_file(path, data)
