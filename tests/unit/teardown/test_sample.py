import sys

import pytest

from harness.errors import GuestError
from harness.teardown import sample as module
from harness.teardown.meter import Meter
from harness.teardown.sample import take_sample

from ..guest.support import fake_binary
from .support import make_cell

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow


def taken(folder, mode="normal", **fields):
    cell = make_cell(binary=str(fake_binary(folder)), options=("-fake", mode), **fields)
    return take_sample(cell, log=folder / "log")


def test_a_good_sample_has_everything(tmp_path):
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


@pytest.mark.parametrize(
    ("mode", "helper", "reason"),
    [
        ("helper:300000", False, "1 process(es) share QEMU's memory, though base should have none"),
        ("normal", True, "no helper shares QEMU's memory, though base was started with -fake normal"),
    ],
)
def test_a_helper_too_many_or_too_few_fails_the_sample(tmp_path, mode, helper, reason):
    sample = taken(tmp_path, mode, helper=helper)
    assert sample.outcome == "failed"
    assert sample.reason == reason
    assert sample.exit_s is not None


@pytest.mark.slow
def test_memory_that_does_not_come_back_fails_the_sample(tmp_path):
    sample = taken(tmp_path, "helper:900000000", helper=True, timeout_s=2.0)
    assert sample.outcome == "failed"
    assert sample.reason == "memory not back 2 s after QEMU's end: 1 helper(s) killed"
    assert sample.reclaim_s is None


def test_a_crash_of_qemu_is_no_sample(tmp_path):
    sample = taken(tmp_path, "crash", trigger="sigterm")
    assert sample.outcome == "failed"
    assert sample.reason == "QEMU ended with signal 11 on sigterm"
    assert sample.exit_status == -11


def test_a_guest_that_does_not_start_fails_the_sample(tmp_path):
    sample = taken(tmp_path, "die")
    assert sample.outcome == "failed"
    assert "bad luck" in sample.reason


def test_a_guest_that_does_not_fit_is_cancelled_and_not_started(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "start", lambda *_, **__: pytest.fail("was started"))
    sample = taken(tmp_path, memory_mib=1 << 30)
    assert sample.outcome == "cancelled"
    assert sample.reason.startswith("needs ")


def test_a_sample_during_which_the_machine_swapped_is_no_sample(tmp_path, monkeypatch):
    counts = iter((7, 10))
    monkeypatch.setattr(module, "swapped_out_mib", lambda: next(counts))
    sample = taken(tmp_path)
    assert sample.outcome == "failed"
    assert sample.reason.startswith("the machine wrote 3 MiB to swap")


def test_a_guest_with_linux_is_powered_off(tmp_path):
    sample = taken(
        tmp_path, "linux", payload="linux", kernel="/k", initrd="/i", trigger="poweroff", accel="tcg"
    )
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.shutdown_s > 0.2 > sample.exit_s


def test_a_restart_lasts_until_the_second_guest_is_ready(tmp_path):
    sample = taken(tmp_path, "helper:300000", helper=True, kind="restart")
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.exit_s < sample.restart_s
    assert sample.reclaim_s < sample.restart_s + 0.3
    assert (tmp_path / "log.second").exists()


def test_two_guests_at_once_need_room_for_both(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "available_mib", lambda: 1000)
    sample = taken(tmp_path, helper=True, kind="restart", memory_mib=300)
    assert (sample.outcome, sample.reason) == (
        "cancelled",
        "two guests at once need 1400 MiB, 1000 MiB are available",
    )


def test_memory_that_is_not_back_when_it_is_said_to_be_fails_the_sample(tmp_path, monkeypatch):
    readings = iter((0.0, 0.1, 0.5))
    meter = Meter(name="memory.current", free_mib=lambda: next(readings), exact=True)
    monkeypatch.setattr(module, "choose_meter", lambda *_: meter)
    sample = taken(tmp_path)
    assert sample.outcome == "failed"
    assert "of 1 MiB had come back when the last process that was seen to hold them" in sample.reason
    assert (sample.returned_mib, sample.held_at_exit_mib) == (0.5, 0.4)


def test_huge_pages_that_cannot_be_had_cancel_the_sample(tmp_path, monkeypatch):
    def refuse(mib):
        raise GuestError("the kernel reserved 0 of 5 huge pages", "x")

    monkeypatch.setattr(module, "reserved", refuse)
    sample = taken(tmp_path, backend="hugetlb", pages="hugetlb")
    assert (sample.outcome, sample.reason) == ("cancelled", "the kernel reserved 0 of 5 huge pages")


def test_a_small_process_is_timed_like_a_guest(tmp_path):
    program = tmp_path / "floor"
    ready = "import os, sys, time; os.write(int(sys.argv[2]), b'r' * (sys.argv[1] == '3')); time.sleep(60)"
    program.write_text(f"#!{sys.executable}\n{ready}\n")
    program.chmod(0o755)
    cell = make_cell(kind="floor", variant="floor", binary=str(program), threads=3)
    sample = take_sample(cell, log=tmp_path / "log")
    assert (sample.outcome, sample.reason) == ("ok", "")
    assert sample.exit_s > 0
    program.write_text("#!/bin/sh\nexit 1\n")
    sample = take_sample(cell, log=tmp_path / "log")
    assert (sample.outcome, sample.reason) == ("failed", "the floor's process did not get ready")
