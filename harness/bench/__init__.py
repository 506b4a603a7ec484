"""Bench stage: binaries and options → a Bench, the input of every stage that runs guests.

Takes: builds, binaries of ``--binary``, options. Gives: a Bench with subjects, accelerators, firmware, seed.
While it is open, it holds the lock on the machine.
"""

from harness.bench.bench import Bench, open_bench
from harness.bench.subject import PRISTINE_WITH_OPTION, REFERENCES, Subject, refuse_timing, subjects_of

__all__ = [
    "PRISTINE_WITH_OPTION",
    "REFERENCES",
    "Bench",
    "Subject",
    "open_bench",
    "refuse_timing",
    "subjects_of",
]
