"""Fetch firmware for guests from Debian packages and unpack it into the cache, without installing it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import FetchError
from harness.guest.model import architecture_of

if TYPE_CHECKING:
    from harness.layout import Layout
    from harness.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """Folders for QEMU's ``-L``, in search order."""

    folders: tuple[Path, ...]


def needed_files(targets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return Debian package → its files that guests of ``targets`` need. Raises OptionError."""
    needed: dict[str, tuple[str, ...]] = {}
    for target in targets:
        for package, files in architecture_of(target).firmware.items():
            needed[package] = tuple(dict.fromkeys((*needed.get(package, ()), *files)))
    return needed


def fetch_firmware(layout: Layout, reporter: Reporter, targets: Sequence[str]) -> Firmware:
    """Return the firmware of guests of ``targets``, from the cache if possible.

    Raises the errors of ``fetch_packages``, and FetchError if a package does not contain an expected file.
    """
    # Imported here for speed: avocado starts a process for each test, and each imports this stage.
    from harness.lock import locked  # noqa: PLC0415
    from harness.source import fetch_packages, unpack_packages  # noqa: PLC0415

    needed = needed_files(targets)
    debs: dict[str, Path] = fetch_packages(layout, reporter, sorted(needed))
    digest = hashlib.sha256()
    for name in sorted(needed):
        digest.update(f"{name} {hashlib.sha256(debs[name].read_bytes()).hexdigest()}\n".encode())
    place = layout.cache / "firmware" / digest.hexdigest()[:16]
    if not place.is_dir():
        with locked(place, "the firmware", reporter):
            unpack_packages([debs[name] for name in sorted(needed)], place)
    return locate(place, needed)


def locate(place: Path, needed: dict[str, tuple[str, ...]]) -> Firmware:
    """Return the folders of the files ``needed`` below ``place``. Raises FetchError if one is missing."""
    folders: dict[Path, None] = {}
    for package, files in needed.items():
        for name in files:
            if not (place / name).is_file():
                raise FetchError(
                    f"Debian package {package} does not contain {name}",
                    f"remove {place} and run again; if it fails again, report it",
                )
            folders[(place / name).parent] = None
    return Firmware(folders=tuple(folders))
