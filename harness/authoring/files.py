"""Write files of a series atomically."""

from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from harness.errors import StorageError
from harness.jsonfile import storing, write_bytes
from harness.series.metadata import FILE, parse_series_file


def write_file(path: Path, data: bytes) -> bool:
    """Write ``data`` to ``path``; return False if it is already its content. Raises StorageError."""
    with storing(f"write {path}"):
        if path.is_file() and path.read_bytes() == data:
            return False
    write_bytes(path, data)
    return True


def edit_series_file(folder: Path, **values: object) -> None:
    """Set keys of ``series.toml`` (with underscores for dashes) and keep the rest, including comments.

    Raises OptionError if the result is not a valid series.toml, StorageError.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        document = tomlkit.parse(text)
    except (OSError, ValueError, TOMLKitError) as error:
        raise StorageError(
            f"cannot read {path}: {error}", "correct it; docs/series.md lists the keys"
        ) from error
    for name, value in values.items():
        document[name.replace("_", "-")] = value
    data = tomlkit.dumps(document).encode()
    parse_series_file(data, path)
    write_file(path, data)
