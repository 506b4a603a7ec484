import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import GuestError
from harness.properties import descriptors, inflight
from harness.properties.bench import Surrounding
from harness.properties.outcome import Cancelled, Failed, Parts

FILTER = ((0, 0, 0, 0),)


def outcomes(parts):
    return [(part.outcome, part.reason) for part in parts.made]


@pytest.fixture
def bench(tmp_path):
    return SimpleNamespace(work=tmp_path, require_option=lambda: None)


def io_over(bench, monkeypatch, landed):
    @contextlib.contextmanager
    def slow_disk(image):
        assert image.stat().st_size == inflight.WRITTEN
        yield bench.work

    monkeypatch.setattr(inflight, "slow_disk", slow_disk)
    monkeypatch.setattr(inflight, "_killed", lambda _bench, aio, _image, _group: landed(aio))
    parts = Parts()
    inflight.io_over(bench, parts)
    assert not (bench.work / "image").exists()
    return outcomes(parts)


def test_a_block_after_the_end_of_the_helper_fails_except_for_io_uring(bench, monkeypatch):
    late = io_over(bench, monkeypatch, lambda _: {"exit_s": 0.01, "helper_s": 0.5, "landed_s": 2})
    assert [outcome for outcome, _ in late] == ["fail", "fail", "pass"]
    assert "1.50 s after the helper's end" in late[0][1]
    in_time = io_over(bench, monkeypatch, lambda _: {"exit_s": 0.01, "helper_s": 2.01, "landed_s": 2})
    assert [outcome for outcome, _ in in_time] == ["pass"] * 3


def test_a_write_that_was_not_slowed_down_proves_nothing(bench, monkeypatch):
    fast = io_over(bench, monkeypatch, lambda _: {"exit_s": 0.01, "helper_s": 0.02, "landed_s": 0.015})
    assert fast == [("cancel", "the disk was not slowed down: 16 MiB were written after 15 ms")] * 3


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("aio=native was specified, but is not supported in this build.", Cancelled),
        ("-drive aio=io_uring: invalid aio option", Cancelled),
        ("out of memory", GuestError),
    ],
)
def test_a_build_without_the_kind_of_aio_cancels(bench, text, error):
    @contextlib.contextmanager
    def start(*words, surrounding):
        assert f"file={bench.work}/a,,b," in words[1]
        assert surrounding.cgroup == "/group"
        raise GuestError(f"QEMU ended while it started, with status 1: {text}", "r")
        yield

    bench.start = start
    with pytest.raises(error):
        inflight._killed(bench, "native", bench.work / "a,b", Path("/group"))


def test_files_without_a_disk_cancel():
    with pytest.raises(Cancelled, match="not on a disk"):
        inflight._disk_of(Path("/proc/version"))


def test_each_event_is_recorded_when_it_happens(monkeypatch, tmp_path):
    arrived = tmp_path / "arrived"
    late = "import time, sys; time.sleep(0.2); open(sys.argv[1], 'w'); time.sleep(60)"
    with (
        subprocess.Popen(["sleep", "60"]) as qemu,
        subprocess.Popen(["sleep", "60"]) as helper,
        subprocess.Popen([sys.executable, "-c", late, arrived]) as writer,
    ):
        pidfds = [os.pidfd_open(process.pid) for process in (qemu, helper)]
        try:
            monkeypatch.setattr(
                inflight, "_last_block", lambda _: contextlib.nullcontext(lambda: _arrived(arrived, helper))
            )
            running = SimpleNamespace(pidfd=pidfds[0], signal=lambda number: _both(qemu, number))
            seen = inflight._watch(running, pidfds[1], tmp_path / "image")
            assert 0 <= seen["exit_s"] < seen["landed_s"] <= seen["helper_s"]
            monkeypatch.setattr(inflight, "LIMIT_S", 0.2)
            monkeypatch.setattr(inflight, "_last_block", lambda _: contextlib.nullcontext(lambda: False))
            with pytest.raises(Failed, match="has not happened: landed"):
                inflight._watch(running, pidfds[1], tmp_path / "image")
        finally:
            writer.kill()
            for descriptor in pidfds:
                os.close(descriptor)


def _arrived(path, helper):
    """The helper ends when the block is there, and not before it was seen."""
    if path.exists():
        helper.kill()
        return True
    return False


def _both(process, number):
    assert number == signal.SIGKILL
    process.kill()
    time.sleep(0.01)


@pytest.mark.parametrize(
    ("surrounding", "absent", "error", "accepted"),
    [
        (Surrounding(filter=FILTER, no_proc=True), False, "with status 1: async teardown: no", True),
        (Surrounding(filter=FILTER), True, "with status 1: Asynchronous teardown: no pidfd", True),
        (Surrounding(filter=FILTER), False, "with status 1: async teardown: no", GuestError),
        (Surrounding(no_proc=True), False, "with status 1: async teardown: no", GuestError),
        (Surrounding(filter=FILTER, no_proc=True), False, "with status 1: no firmware", Failed),
        (Surrounding(filter=FILTER, no_proc=True), False, "by signal 6: async teardown", GuestError),
    ],
)
def test_refusing_to_start_is_accepted_where_no_distribution_runs_qemu(surrounding, absent, error, accepted):
    problem = GuestError(f"QEMU ended while it started, {error}", "r")
    guard = descriptors._or_refusal(surrounding, absent=absent)
    with contextlib.nullcontext() if accepted is True else pytest.raises(accepted), guard:
        raise problem
