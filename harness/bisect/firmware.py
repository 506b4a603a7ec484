"""Give QEMU's own tests firmware: the harness's builds install none, and Debian's archives contain none."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.build import Build
from harness.errors import HarnessError
from harness.jsonfile import storing
from harness.layout import Layout
from harness.progress import Reporter
from harness.source.packages import fetch_packages, unpack_packages

BUNDLE = Path("qemu-bundle") / "usr" / "local" / "share" / "qemu"
"""Where a QEMU in its build folder looks for firmware (docs/devel/build-system.rst, qemu-bundle)."""
REQUIRED = {"x86_64": "bios-256k.bin", "i386": "bios-256k.bin", "s390x": "s390-ccw.img"}
"""The file without which no machine of a target starts."""
PACKAGES = ("ipxe-qemu", "qemu-system-data", "seabios")
FOLDERS = ("usr/share/seabios", "usr/share/qemu", "usr/lib/ipxe/qemu")


def add_firmware(build: Build, layout: Layout, reporter: Reporter) -> None:
    """Add firmware to the build folder: that of the sources, else Debian's. Without any, warn.

    Files that exist are kept. Raises StorageError.
    """
    folder, own = Path(build.folder) / BUNDLE, Path(build.source) / "pc-bios"
    if not folder.is_dir():
        return
    wanted = {REQUIRED[name] for target in build.targets if (name := target.partition("-")[0]) in REQUIRED}
    if all((folder / name).exists() for name in wanted):
        return
    with storing(f"write {folder}"):
        # A link, because the sources are visible in the sandbox; the cache is not.
        for path in _files(own):
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
        if all((folder / name).exists() for name in wanted):
            return
        for place in _debian(layout, reporter):
            for path in _files(place):
                if not (folder / path.name).exists():
                    shutil.copyfile(path, folder / f".{path.name}.new")
                    (folder / f".{path.name}.new").rename(folder / path.name)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.suffix in (".bin", ".img", ".rom"))


def _debian(layout: Layout, reporter: Reporter) -> tuple[Path, ...]:
    """Return the folders with Debian's firmware; without network, warn and return none."""
    try:
        debs = fetch_packages(layout, reporter, PACKAGES)
        digests = "".join(hashlib.sha256(debs[name].read_bytes()).hexdigest() for name in PACKAGES)
        name = f"tests-{hashlib.sha256(digests.encode()).hexdigest()[:16]}"
        place = unpack_packages(debs.values(), layout.cache / "firmware" / name)
    except HarnessError as error:
        reporter.warn(f"QEMU's tests run without firmware: {error.cause}")
        return ()
    return tuple(place / name for name in FOLDERS)
