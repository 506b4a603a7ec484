"""Bench stage: binaries and options → what guests are run with.

Takes: builds, binaries of ``--binary``, options. Gives: a Bench, with subjects, accelerators, firmware, seed,
and the lock for the time that guests run. Every stage that runs guests gets one.
"""

from harness.bench.bench import Bench, open_bench
from harness.bench.subject import WITHOUT_FEATURE, Subject, refuse_timing, subjects_of

__all__ = ["WITHOUT_FEATURE", "Bench", "Subject", "open_bench", "refuse_timing", "subjects_of"]
