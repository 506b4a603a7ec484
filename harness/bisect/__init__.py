"""Build each commit of a series in one folder, and run QEMU's own tests on it.

The input is a series that ``harness.check`` has applied. The results are rows for each build and test, and a
finding for each problem that a commit introduces.
"""

from harness.bisect.commits import BisectResult, run_bisect
from harness.bisect.compiled import nothing_compiled

__all__ = ["BisectResult", "nothing_compiled", "run_bisect"]
