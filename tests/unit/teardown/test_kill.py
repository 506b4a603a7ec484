"""A complete run, killed midway: guard, worker, avocado's job and test, and a fake QEMU."""

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.unit.defaults import ROOT
from tests.unit.guest.support import fake_binary
from tests.unit.programs import wait_until

MARK = "QEMU_HARNESS_TEST_MARK"
DRIVER = """
import sys
from pathlib import Path
from harness.guard import guarded
from harness.guest.accel import Accel
from harness.guest.firmware import Firmware
from harness.layout import Layout
from harness.options import parse_options
from harness.progress import Silent
from harness.teardown.runner import run_teardown
from harness.bench import Bench, Subject

root, home, binary = map(Path, sys.argv[1:])
layout = Layout(root=root, build=home / "build", trees=home / "trees", cache=home / "cache")
words = ["memory=1M", "variants=base", "targets=x86_64-softmmu", "triggers=sigterm", "rounds=1"]
options = parse_options(layout, [f"-D{word}" for word in words])
# It ignores SIGTERM, so the run hangs in the middle of a measurement.
subject = Subject(variant="base", host="native", target="x86_64-softmmu", path=str(binary), sha256="",
                  version="", options=("-fake", "stubborn"))
accels = {("x86_64-softmmu", "paused"): Accel(target="x86_64-softmmu", name="tcg", reason="")}

def main():
    # base normally has no options; here they set the mode of the fake QEMU
    bench = Bench(layout=layout, options=options, reporter=Silent(), subjects=(subject,), seed=1,
                  payloads=("paused",))
    vars(bench).update(accels=accels, firmware=Firmware(folders=()))
    run_teardown(bench)
    return 0

sys.exit(guarded(main))
"""


def marked(mark):
    """Return the processes of the run: pid → command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number"),
    [("guard", signal.SIGTERM), ("guard", signal.SIGKILL), ("worker", signal.SIGKILL)],
    ids=lambda value: getattr(value, "name", value),
)
def test_killed_run_leaves_no_process(tmp_path, victim, number):
    mark, binary = uuid.uuid4().hex, fake_binary(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(ROOT), str(tmp_path), str(binary)],
        env={**os.environ, MARK: mark},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as guard:
        try:
            wait_until(lambda: any(f"-IS {binary} " in line for line in marked(mark).values()), 30)
            assert len(marked(mark)) >= 4, "guard, worker, job, test and guest were expected"
            os.kill(guard.pid if victim == "guard" else children(guard.pid)[0], number)
            guard.wait(30)
            wait_until(lambda: not marked(mark), 30)
        finally:
            for pid in marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
