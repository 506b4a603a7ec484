"""Cycles, rows, and drivers with a fake QEMU, for tests."""

import subprocess
import sys

import msgspec

from harness.cycles.model import Cycle, CycleRow, DriverJob
from tests.unit.defaults import ROOT
from tests.unit.guest.support import fake_binary
from tests.unit.programs import running


def make_job(folder, mode, *cycles, lanes=2):
    """Return the job of a driver, with a fake QEMU in ``mode``."""
    return DriverJob(
        variant="fake",
        binaries=(("x86_64-softmmu", str(fake_binary(folder)), ()),),
        options=("-fake", mode),
        cycles=cycles,
        lanes=lanes,
        limit_s=10.0,
        folder=str(folder / "work"),
    )


def drive(module, folder, job):
    """Return the lines that the driver ``module`` prints for ``job``. No process may remain."""
    (folder / "work").mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    words = [sys.executable, "-m", module, str(folder / "job.json")]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert not running(str(folder))
    return ended.stdout.splitlines()


def make_cycle(**fields):
    return Cycle(
        **{
            "number": 1,
            "life": "paused",
            "trigger": "sigterm",
            "scope": "process",
            "helper": "let be",
            "confinement": "none",
            "victim": "qemu",
            "backend": "ram",
            "accel": "tcg",
            "memory_mib": 64,
            "moment": 0.5,
            **fields,
        }
    )


def make_row(*reasons, variant="patched", **fields):
    return CycleRow(
        variant=variant,
        target="x86_64-softmmu",
        cycle=make_cycle(**fields),
        outcome="fail" if reasons else "pass",
        reasons=reasons,
    )
