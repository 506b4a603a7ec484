import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from harness.properties.moved import _check_threads
from harness.properties.outcome import Failed

from ..programs import started

HELPER = """
import os, sys, threading, time
os.sched_setaffinity(0, {int(sys.argv[2])})
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
time.sleep(0.3)
os._exit(0)
"""


@contextmanager
def helper(threads, cpu):
    """A process that runs on one CPU. It ends soon after QEMU has got its signal."""
    words = (sys.executable, "-c", HELPER, str(threads), str(cpu))
    with started(*words, ready=True, stdin=subprocess.PIPE) as child:

        def end(number):
            assert number == 15
            child.stdin.write(b"\n")
            child.stdin.flush()

        yield SimpleNamespace(helper=lambda: child.pid, signal=end)


def test_several_threads_must_be_where_qemu_was_moved_to():
    cpu = max(os.sched_getaffinity(0))
    with helper(1, cpu) as running:
        assert _check_threads(running, 15, set()) == 1
    with helper(3, cpu) as running:
        assert _check_threads(running, 15, {cpu}) == 3
    with helper(3, cpu) as running, pytest.raises(Failed, match=f"3 threads of its helper run on CPU {cpu}"):
        _check_threads(running, 15, {cpu + 1})
    with helper(2, cpu) as running, pytest.raises(Failed, match="run in its own control group"):
        _check_threads(running, 15, set())


def test_a_helper_that_was_not_seen_fails():
    with subprocess.Popen(["true"]) as child:
        child.wait()
    gone = SimpleNamespace(helper=lambda: child.pid, signal=lambda _: None)
    with pytest.raises(Failed, match="exited too soon"):
        _check_threads(gone, 15, set())
