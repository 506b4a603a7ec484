"""Firmware images that meson asks for although no target of ours contains them.

Debian's archives, and clones made from them, lack ``pc-bios/edk2-*.fd.bz2``. If the machine has bzip2, meson
stops on the first missing file. An empty image takes its place. Only a full build unpacks it, and the harness
runs none.
"""

import bz2
import re
from pathlib import Path

from harness.jsonfile import storing
from harness.machine import text_of

LISTED = Path("pc-bios/meson.build")


def add_missing_blobs(source: Path) -> tuple[str, ...]:
    """Create empty images below ``source`` for those that it lists and lacks; return their names.

    git ignores them (info/exclude of the tree). Raises StorageError.
    """
    names = [f"{name}.bz2" for name in re.findall(r"'(edk2-[\w-]+\.fd)'", text_of(source / LISTED))]
    missing = tuple(name for name in names if not (source / "pc-bios" / name).exists())
    with storing(f"write below {source}"):
        for name in missing:
            (source / "pc-bios" / name).write_bytes(bz2.compress(b""))
    return missing
