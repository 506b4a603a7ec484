"""Tree → binaries: takes a Checkout, gives a Build with one binary a target.

``harness.build.doctor`` lists and installs what building needs; it is imported alone, because it is cheap.
"""

from __future__ import annotations

from harness.build.compile import build
from harness.build.find import find_binary
from harness.build.result import Binary, Build, BuildResults, write_build_results

__all__ = ["Binary", "Build", "BuildResults", "build", "find_binary", "write_build_results"]
