"""Fetch and verify the source of a pin (stage one).

The input is a pin (qemu-src/pins.toml), or a local folder or archive. The output is a Source; the tree stage
relies on its digest. The package also fetches Debian packages, such as firmware, without installing them.
"""

from harness.source.clone import Clone
from harness.source.closure import fetch_closure
from harness.source.fetch import NO_PIN, Source, fetch
from harness.source.packages import Deb, fetch_packages, unpack_packages
from harness.source.pin import Edit, Pin, Traces, find_pin

__all__ = [
    "NO_PIN",
    "Clone",
    "Deb",
    "Edit",
    "Pin",
    "Source",
    "Traces",
    "fetch",
    "fetch_closure",
    "fetch_packages",
    "find_pin",
    "unpack_packages",
]
