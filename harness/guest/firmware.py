"""Find firmware for guests: in packages, which are unpacked and not installed, in sources, or installed."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import FetchError
from harness.guest.model import architecture_of
from harness.layout import Layout
from harness.lock import locked
from harness.platforms import distribution
from harness.progress import Reporter
from harness.source.packages import fetch_packages, unpack_packages

INSTALLED = tuple(
    map(Path, ("/usr/share/seabios", "/usr/share/qemu", "/usr/share/qemu-kvm", "/usr/local/share/qemu"))
)
"""Where distributions and QEMU's own installation have firmware."""


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


def fetch_firmware(
    layout: Layout, reporter: Reporter, targets: Sequence[str], binaries: Sequence[Path] = ()
) -> Firmware:
    """Return the firmware of guests of ``targets``, from the cache if possible.

    It comes from the packages of the machine's apt archive. Without them it is that of the sources that
    ``binaries`` or other builds were made from, which an official archive contains, else what is installed.

    Raises the errors of ``fetch_packages``, and FetchError if a package does not contain an expected file.
    """
    needed = needed_files(targets)
    if distribution().uses_apt:
        try:
            return _from_packages(layout, reporter, needed)
        except FetchError as error:
            found = _on_this_machine(layout, binaries, needed)
            if found is None:
                raise
            reporter.note(f"firmware from {found.folders[0]}: {error.cause}")
            return found
    found = _on_this_machine(layout, binaries, needed)
    if found is None:
        names = ", ".join(Path(name).name for files in needed.values() for name in files)
        raise FetchError(
            f"no firmware: neither the sources of a build nor {', '.join(map(str, INSTALLED))} have {names}",
            "install the QEMU of the distribution, which brings it",
        )
    return found


def _from_packages(layout: Layout, reporter: Reporter, needed: dict[str, tuple[str, ...]]) -> Firmware:
    debs: dict[str, Path] = fetch_packages(layout, reporter, sorted(needed))
    digest = hashlib.sha256()
    for name in sorted(needed):
        digest.update(f"{name} {hashlib.sha256(debs[name].read_bytes()).hexdigest()}\n".encode())
    place = layout.cache / "firmware" / digest.hexdigest()[:16]
    if not place.is_dir():
        with locked(place, "the firmware", reporter):
            unpack_packages([debs[name] for name in sorted(needed)], place)
    return locate(place, needed)


def _on_this_machine(
    layout: Layout, binaries: Sequence[Path], needed: dict[str, tuple[str, ...]]
) -> Firmware | None:
    """Return the first folders that have all files ``needed``; None if there are none.

    Debian's source archives have no firmware, and empty files stand for some of it (harness.build.blobs).
    """
    own = [path.parent.parent / "src" / "pc-bios" for path in binaries]
    places = (*own, *sorted(layout.build.glob("*/*/src/pc-bios")), *INSTALLED)
    folders: dict[Path, None] = {}
    for name in (Path(name).name for files in needed.values() for name in files):
        have = (place for place in places if (place / name).is_file() and (place / name).stat().st_size)
        if (place := next(have, None)) is None:
            return None
        folders[place] = None
    return Firmware(folders=tuple(folders))


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
