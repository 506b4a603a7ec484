"""The experiments of the documentation can be run."""

import math
import os
import sys

import pytest

from harness.process import run
from tests.unit.defaults import ROOT

pytestmark = pytest.mark.slow


def test_kept_memory_is_freed_after_the_exit():
    words = (sys.executable, "-m", "tests.experiments.kept", "--mib", "64", "--rounds", "3")
    lines = run(words, cwd=ROOT, env={"PYTHONPATH": os.fspath(ROOT)}, timeout_s=60).output.splitlines()
    times = {
        tuple(line[:22].strip().split(None, 1)): (float(line.split()[-3]), float(line.split()[-1]))
        for line in lines
        if " exit " in line
    }
    assert len(times) == 4, lines
    exit_ms, memory_ms = times["memfd", "not kept"]
    assert exit_ms == memory_ms
    exit_ms, memory_ms = times["memfd", "kept"]
    assert math.isfinite(memory_ms)
    assert exit_ms < memory_ms
