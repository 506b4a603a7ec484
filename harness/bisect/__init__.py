"""Commits → builds and tests: each commit of a series built in one folder, and QEMU's own tests run on it.

Takes what harness.check judged; gives rows for the results, and findings for what is new with a commit.
"""

from harness.bisect.commits import BisectResult, run_bisect

__all__ = ["BisectResult", "run_bisect"]
