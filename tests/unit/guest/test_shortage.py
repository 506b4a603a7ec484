"""End a guest if the machine runs out of memory while the guest populates its memory."""

import threading

import pytest

from harness.guest import shortage
from harness.guest.machine import start
from harness.guest.shortage import end_in_shortage
from tests.unit.programs import has_ended

from .support import failure, fake_guest
from .test_console import linux


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(shortage, "POLL_S", 0.01)


def test_linux_guest_is_ended_with_its_last_report(tmp_path, monkeypatch):
    console = tmp_path / "log.console"
    monkeypatch.setattr(
        shortage,
        "available_mib",
        lambda: 100 if console.exists() and b"100 of" in console.read_bytes() else 4096,
    )
    error = failure(linux(tmp_path, "stuck"), tmp_path)
    assert error.cause == "the guest was ended because only 100 MiB of the machine's memory were available"
    assert error.details[-1] == "harness: touched 100 of 200 MiB"


@pytest.mark.parametrize(
    ("available", "mode", "cause"), [(255, "silent", "only 255 MiB"), (256, "die", "bad luck")]
)
def test_paused_guest_is_ended_during_its_start_only_in_a_shortage(
    tmp_path, monkeypatch, available, mode, cause
):
    monkeypatch.setattr(shortage, "available_mib", lambda: available)
    assert cause in failure(fake_guest(tmp_path, mode), tmp_path).cause


def test_polling_stops_when_the_guest_is_ready(tmp_path, monkeypatch):
    room = [4096]
    monkeypatch.setattr(shortage, "available_mib", lambda: room[0])
    with start(fake_guest(tmp_path), log=tmp_path / "log", timeout_s=10) as machine:
        room[0] = 0
        assert not machine.child.has_ended(0.1)
        assert "memory-shortage" not in {thread.name for thread in threading.enumerate()}
        with end_in_shortage(machine.child) as watch:
            assert machine.child.has_ended(10)
        assert "only 0 MiB" in watch.reason
    assert has_ended(machine.pid)
