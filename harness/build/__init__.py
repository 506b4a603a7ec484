"""Build a Checkout into a Build with one binary for each target.

``harness.build.doctor`` lists and installs the required programs and libraries. It is imported separately,
because it needs few modules.
"""

from harness.build.compile import build, configure
from harness.build.find import find_binary
from harness.build.result import Binary, Build, BuildResults, write_build_results

__all__ = ["Binary", "Build", "BuildResults", "build", "configure", "find_binary", "write_build_results"]
