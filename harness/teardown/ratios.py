"""Ratios of a run, stored for the comparison with later runs, possibly on other machines.

``teardown --save-ratios FILE`` writes a file of ratios, and gates of kind ``recorded`` read it. It
contains no times, because times depend on the machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import OptionError
from harness.jsonfile import UNREADABLE, write_json
from harness.teardown.model import MATRIX_FIELDS, Comparison
from harness.teardown.results import TeardownResults

SCHEMA = 1
FIELDS = ("variant", "reference", "latency", *(field for field in MATRIX_FIELDS if field != "accel"))
"""Without the accelerator, which depends on the machine and has no effect on paused guests."""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """One ratio of medians, with its cell."""

    variant: str
    reference: str
    latency: str
    target: str
    host: str
    memory_mib: int
    backend: str
    pages: str
    payload: str
    trigger: str
    ratio: float

    @property
    def key(self) -> tuple[Any, ...]:
        """All fields except the ratio."""
        return tuple(getattr(self, field) for field in FIELDS)

    @staticmethod
    def of(row: Comparison, ratio: float) -> Ratio:
        """Return ``ratio`` for the cell of ``row``."""
        return Ratio(ratio=ratio, **{field: getattr(row, field) for field in FIELDS})


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """A file of ratios. ``command`` is the run that produced them."""

    schema: int = SCHEMA
    command: str
    ratios: tuple[Ratio, ...]


def check_destination(path: Path) -> None:
    """Raise OptionError before a long run if ``save_ratios`` could not write ``path`` after it."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise OptionError(f"--save-ratios: cannot write {path}", "name a file in a folder that is writable")


def save_ratios(path: Path, results: TeardownResults) -> int:
    """Write the ratios of ``results`` and return their number. Raises StorageError."""
    ratios = tuple(
        Ratio.of(row, float(f"{row.ratio:.3g}")) for row in results.comparisons if row.ratio is not None
    )
    write_json(path, Ratios(command=results.command, ratios=ratios))
    return len(ratios)


def read_ratios(path: Path) -> tuple[Ratio, ...]:
    """Read the ratios in ``path``. Raises OptionError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Ratios)
    except (OSError, *UNREADABLE) as error:
        raise OptionError(
            f"cannot read recorded ratios from {path}: {error}", "create the file with teardown --save-ratios"
        ) from error
    if found.schema != SCHEMA:
        raise OptionError(f"{path} has schema {found.schema}", f"this harness reads schema {SCHEMA}")
    return found.ratios
