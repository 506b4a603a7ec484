"""Rows 16 and 17: content of shared memory, and what a sleeping process waits for and holds."""

import contextlib
import mmap
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.properties import asleep, sandbox, shared
from harness.properties.bench import Ended
from harness.properties.outcome import Cancelled, Failed
from tests.unit.programs import wait_until

from ..programs import QUIET_PYTHON, started

MIB = 1 << 20


@pytest.fixture
def view():
    with mmap.mmap(-1, MIB) as memory:
        shared._stamp(memory)
        yield memory


def test_each_page_is_compared_from_start_to_end(view):
    shared._compare(view, MIB, MIB)
    for place in (0, MIB - 1, 5 * mmap.PAGESIZE, 6 * mmap.PAGESIZE - 1):
        kept = view[place]
        view[place] = kept ^ 1
        with pytest.raises(Failed, match=f"first at {place // mmap.PAGESIZE * mmap.PAGESIZE / MIB:g} MiB"):
            shared._compare(view, MIB, MIB)
        view[place] = kept
    with pytest.raises(Failed, match="has 4096 bytes after QEMU's end, 1048576 before"):
        shared._compare(view, 4096, MIB)


def test_mapped_file_of_that_size_is_opened():
    script = (
        "import mmap, os; f = os.memfd_create('x'); os.ftruncate(f, 3 << 20); m = mmap.mmap(f, 3 << 20); "
    )
    script += "m[0:2] = b'hi'; print(flush=True); import time; time.sleep(60)"
    with started(*QUIET_PYTHON, script, ready=True) as child:
        try:
            descriptor = shared._open_memory(child.pid, 3 * MIB)
            assert os.pread(descriptor, 2, 0) == b"hi"
            os.close(descriptor)
            with pytest.raises(Cancelled, match="not found"):
                shared._open_memory(child.pid, 5 * MIB)
        except PermissionError:
            pytest.skip("opening mapped files needs CAP_CHECKPOINT_RESTORE")


@pytest.mark.parametrize(("helpers", "reclaim_s"), [(0, 0.1), (1, None)])
def test_end_without_a_helper_that_ends_proves_nothing(helpers, reclaim_s):
    ended = Ended(exit_s=0.1, reclaim_s=reclaim_s, helpers=helpers, statuses=(), status=0)
    with pytest.raises(Failed, match="no helper freed"):
        shared._end(SimpleNamespace(end_by=lambda *_, **__: ended), 9)


def sleeper(code):
    code = f"import os, select, time; print(flush=True); {code}"
    return started(*QUIET_PYTHON, code, ready=True, stdin=subprocess.PIPE)


@pytest.mark.parametrize(
    ("code", "limited"),
    [
        ("os.read(0, 1)", False),
        ("p = select.poll(); p.register(0); p.modify(0, 0); p.poll()", False),
        ("p = select.poll(); p.poll(60000)", True),
        ("select.select([0], [], [])", False),
        ("select.select([0], [], [], 60)", True),
        ("time.sleep(60)", True),
        ("p = select.epoll(); p.poll()", False),
        ("p = select.epoll(); p.poll(60)", True),
    ],
)
def test_time_limit_of_a_wait_is_found(code, limited):
    try:
        sandbox.numbers()
    except Cancelled as cancelled:
        pytest.skip(str(cancelled))
    with sleeper(code) as child:
        wait_until(lambda: not Path(f"/proc/{child.pid}/syscall").read_text().startswith("running"))
        time.sleep(0.1)
        with pytest.raises(Failed, match="with a time limit") if limited else contextlib.nullcontext():
            asleep._check_waits(child.pid)


def test_wakeups_are_counted():
    with sleeper("[time.sleep(0.01) for _ in range(10000)]") as child:
        before = asleep._switches(child.pid)
        time.sleep(0.3)
        assert asleep._switches(child.pid) > before
