import sys

import pytest

from harness.errors import GuestError
from harness.teardown import sample as module
from harness.teardown.meter import Meter
from harness.teardown.sample import take_sample

from ..guest.support import fake_binary
from ..programs import write_program
from .support import make_cell

# Dozens of real processes: run by nox -s tests.
pytestmark = pytest.mark.slow


def taken(folder, mode="normal", **fields):
    cell = make_cell(binary=str(fake_binary(folder)), options=("-fake", mode), **fields)
    return take_sample(cell, log=folder / "log")


def test_good_sample_has_all_figures(tmp_path):
    sample = taken(tmp_path)
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.exit_s > 0
    assert sample.populated_mib >= 1
    assert sample.start_s > 0
    assert sample.mem_available_mib > 0
    assert sample.started.endswith("+00:00")
    assert sample.threads >= 1
    assert sample.qemu_cpu_s >= 0
    assert sample.helper_cpu_s == 0.0
    assert sample.foreign_cpus >= 0
    assert (sample.kernel, sample.cpu, sample.returned_by) != ("", "", "")
    assert sample.returned_mib is not None


NORMAL = "no helper shares QEMU's memory, though base was started with -fake normal"
TWO = "1 process(es) share QEMU's memory, though base should have none"
STUCK = "memory not freed 2 s after QEMU's exit: 1 helper(s) killed"


@pytest.mark.parametrize(
    ("mode", "fields", "reason", "known"),
    [
        ("helper:300000", {}, TWO, {}),
        ("normal", {"helper": True}, NORMAL, {}),
        ("helper:900000000", {"helper": True, "timeout_s": 2.0}, STUCK, {"reclaim_s": None}),
        ("crash", {"trigger": "sigterm"}, "QEMU ended with signal 11 on sigterm", {"exit_status": -11}),
    ],
)
def test_unexpected_end_fails_the_sample(tmp_path, mode, fields, reason, known):
    sample = taken(tmp_path, mode, **fields)
    assert (sample.outcome, sample.reason) == ("failed", reason)
    assert sample.exit_s is not None
    assert {name: getattr(sample, name) for name in known} == known


def test_failed_start_fails_the_sample(tmp_path):
    sample = taken(tmp_path, "die")
    assert sample.outcome == "failed"
    assert "bad luck" in sample.reason


def test_guest_that_does_not_fit_is_cancelled_and_not_started(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "start", lambda *_, **__: pytest.fail("was started"))
    sample = taken(tmp_path, memory_mib=1 << 30)
    assert sample.outcome == "cancelled"
    assert sample.reason.startswith("needs ")


def test_swapping_fails_the_sample(tmp_path, monkeypatch):
    counts = iter((7, 10))
    monkeypatch.setattr(module, "swapped_out_mib", lambda: next(counts))
    sample = taken(tmp_path)
    assert sample.outcome == "failed"
    assert sample.reason.startswith("the machine swapped out 3 MiB")


def test_linux_guest_is_powered_off(tmp_path):
    sample = taken(
        tmp_path, "linux", payload="linux", kernel="/k", initrd="/i", trigger="poweroff", accel="tcg"
    )
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.shutdown_s > 0.2 > sample.exit_s


def test_restart_ends_when_the_second_guest_is_ready(tmp_path):
    sample = taken(tmp_path, "helper:300000", helper=True, kind="restart")
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.exit_s < sample.restart_s
    assert sample.reclaim_s < sample.restart_s + 0.3
    assert (tmp_path / "log.second").exists()


def test_restart_needs_memory_for_two_guests(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "available_mib", lambda: 1000)
    sample = taken(tmp_path, helper=True, kind="restart", memory_mib=300)
    assert (sample.outcome, sample.reason) == (
        "cancelled",
        "two guests at once need 1400 MiB, 1000 MiB are available",
    )


def test_memory_not_freed_at_the_end_of_reclaim_fails_the_sample(tmp_path, monkeypatch):
    readings = iter((0.0, 0.1, 0.5))
    meter = Meter(name="memory.current", free_mib=lambda: next(readings), exact=True)
    monkeypatch.setattr(module, "choose_meter", lambda *_: meter)
    sample = taken(tmp_path)
    assert sample.outcome == "failed"
    assert "of 1 MiB were free after the last known process with QEMU's memory had ended" in sample.reason
    assert (sample.returned_mib, sample.held_at_exit_mib) == (0.5, 0.4)


def test_unavailable_huge_pages_cancel_the_sample(tmp_path, monkeypatch):
    def refuse(mib):
        raise GuestError("the kernel reserved 0 of 5 huge pages", "x")

    monkeypatch.setattr(module, "reserved", refuse)
    sample = taken(tmp_path, backend="hugetlb", pages="hugetlb")
    assert (sample.outcome, sample.reason) == ("cancelled", "the kernel reserved 0 of 5 huge pages")


def test_floor_process_is_timed_like_a_guest(tmp_path):
    ready = "import os, sys, time; os.write(int(sys.argv[2]), b'r' * (sys.argv[1] == '3')); time.sleep(60)"
    program = write_program(tmp_path / "floor", f"#!{sys.executable}\n{ready}\n")
    cell = make_cell(kind="floor", variant="floor", binary=str(program), threads=3)
    sample = take_sample(cell, log=tmp_path / "log")
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.exit_s > 0
    program.write_text("#!/bin/sh\nexit 1\n")
    sample = take_sample(cell, log=tmp_path / "log")
    assert (sample.outcome, sample.reason) == ("failed", "the floor process did not get ready")
