"""Guests that run Linux, simulated by a fake QEMU."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import GuestError, StorageError
from harness.guest import console as module
from harness.guest.console import open_console
from harness.guest.machine import Machine, start
from tests.unit.programs import has_ended, wait_until

from .support import failure, fake_guest

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow


def linux(folder, mode="linux", **fields):
    return fake_guest(folder, mode, payload="linux", kernel=Path("/kernel"), initrd=Path("/initrd"), **fields)


def test_guest_is_ready_when_init_reports_it(tmp_path):
    with start(linux(tmp_path), log=tmp_path / "log", timeout_s=10) as machine:
        assert machine.populated_mib >= 1
        assert machine.console.tail()[-1] == "harness: ready"
    assert has_ended(machine.pid)
    assert "harness: touched 100 of 200 MiB" in (tmp_path / "log.console").read_text()


def test_panic_is_reported_with_the_last_console_lines(tmp_path):
    error = failure(linux(tmp_path, "panic"), tmp_path)
    assert error.cause == "the guest failed: Kernel panic - not syncing: Attempted to kill init!"
    assert error.details[-1] == "[    1.1] Call Trace:"
    assert error.log == tmp_path / "log.console"


def test_control_characters_of_the_guest_are_removed(tmp_path):
    assert failure(linux(tmp_path, "panic"), tmp_path).details[0] == "[    0.1] Linux  [31mversion 6.1"


RUNNING = SimpleNamespace(has_ended=lambda timeout_s=0.0: False, last_lines=lambda: ())


def test_guest_without_reports_times_out_with_its_console_lines(tmp_path):
    wanted = pytest.raises(GuestError, match=r"not ready after 0\.3 s; it reported nothing")
    with open_console(tmp_path / "log") as (console, far), wanted as caught:
        far.sendall(b"[    0.1] Linux version 6.1\n")
        console.wait_ready(RUNNING, 0.3)
    assert caught.value.details == ("[    0.1] Linux version 6.1",)
    assert caught.value.log == tmp_path / "log"


def test_timeout_of_a_slow_guest_contains_its_last_report(tmp_path):
    wanted = pytest.raises(GuestError, match="its last report was: touched 100 of 200 MiB")
    with open_console(tmp_path / "log") as (console, far), wanted:
        far.sendall(b"harness: touched 100 of 200 MiB\n")
        console.wait_ready(RUNNING, 0.3)


def test_error_of_init_is_the_cause(tmp_path):
    assert (
        failure(linux(tmp_path, "fault"), tmp_path).cause == "the guest failed: mmap: Cannot allocate memory"
    )


def test_end_of_qemu_is_reported_before_the_timeout(tmp_path):
    assert failure(linux(tmp_path, "gone"), tmp_path).cause == "QEMU ended before its guest was ready"


def test_untouched_memory_is_an_error(tmp_path):
    error = failure(linux(tmp_path, memory_mib=4096), tmp_path)
    assert re.search(r"only \d+ of 4096 MiB of the guest", error.cause)
    assert error.details[-1] == "harness: ready"


def test_paused_guest_cannot_power_off(tmp_path):
    with start(fake_guest(tmp_path), log=tmp_path / "log", timeout_s=10) as machine:
        assert isinstance(machine, Machine)
        with pytest.raises(GuestError, match="payload paused cannot power off"):
            machine.send_poweroff()


def test_endless_output_is_limited_in_memory_and_log(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_LOG", 1000)
    with open_console(tmp_path / "log") as (console, far):
        for _ in range(50):
            far.sendall(b"x" * 5000)
        far.sendall(b"\nharness: last\n")
        wait_until(lambda: console.tail()[-1:] == ("harness: last",))
        assert [len(line) for line in console.tail()] == [module.LONGEST_LINE, len("harness: last")]
    assert (tmp_path / "log").stat().st_size == 1000


def test_unwritable_log_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    wanted = pytest.raises(StorageError, match="cannot write")
    with wanted, open_console(tmp_path / "file" / "log"):
        pass
