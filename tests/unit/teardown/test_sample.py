import pytest

from harness.teardown import sample as module
from harness.teardown.sample import take_sample

from ..guest.support import fake_binary
from .support import make_cell


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


def test_memory_that_does_not_come_back_fails_the_sample(tmp_path):
    sample = taken(tmp_path, "helper:900000000", helper=True, timeout_s=0.4)
    assert sample.outcome == "failed"
    assert sample.reason == "memory not back 0.4 s after QEMU's end: 1 helper(s) killed"
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
