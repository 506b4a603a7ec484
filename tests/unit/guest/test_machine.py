import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.guest import spawn as spawning
from harness.guest.machine import start
from harness.guest.memory import huge_pages_off
from harness.guest.spawn import spawn
from tests.unit.programs import has_ended, wait_until

from .support import FAKE, failure, fake_binary, fake_guest

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow


def test_guest_is_ready_in_the_block_and_ends_with_it(tmp_path):
    with start(fake_guest(tmp_path), log=tmp_path / "log", timeout_s=10) as machine:
        assert machine.execute("query-status")["status"] == "prelaunch"
        assert machine.populated_mib >= 1
        # The pid is that of QEMU, not of the launcher.
        assert b"qemu-fake" in Path(f"/proc/{machine.pid}/cmdline").read_bytes()
        assert huge_pages_off(machine.pid) is not False
        assert os.getsid(machine.pid) == machine.pid
        assert Path(f"/proc/{machine.pid}/cwd").readlink() == Path("/")
    assert has_ended(machine.pid)


def test_pages_thp_keeps_the_setting_of_the_machine(tmp_path):
    with start(fake_guest(tmp_path, pages="thp"), log=tmp_path / "log", timeout_s=10) as machine:
        assert huge_pages_off(machine.pid) is not True


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_guest_ends_when_the_block_raises(tmp_path, error):
    with (
        pytest.raises(error),
        start(fake_guest(tmp_path, "stubborn"), log=tmp_path / "l", timeout_s=10) as machine,
    ):
        raise error
    assert has_ended(machine.pid)


@pytest.mark.parametrize(
    ("mode", "memory_mib", "timeout_s", "cause", "last"),
    [
        ("die", 1, 10, "ended while it started, with status 3: .*bad luck", "qemu: -machine q35: bad luck"),
        ("babble", 1, 10, "ended while it started, with status 1", "line 99999"),
        ("silent", 1, 0.3, r"not ready after 0\.3 s", "still waiting"),
        ("normal", 4096, 10, r"only \d+ of 4096 MiB of the guest", ""),
        ("running", 1, 10, "is running, not paused", ""),
    ],
)
def test_failed_start_is_reported_with_its_reason_and_last_lines(
    tmp_path, mode, memory_mib, timeout_s, *, cause, last
):
    error = failure(fake_guest(tmp_path, mode, memory_mib), tmp_path, timeout_s)
    assert re.search(cause, error.cause)
    assert error.log == tmp_path / "log"
    assert error.details[-1:] == ((last,) if last else ())
    assert len(error.details) == (12 if mode == "babble" else bool(last))


def test_endless_output_fails_the_start_and_is_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(spawning, "FLOOD_BYTES", 4 << 20)
    error = failure(fake_guest(tmp_path, "flood"), tmp_path, 30)
    assert "QEMU printed more than" in error.cause
    assert error.details
    text = (tmp_path / "log").read_bytes()
    assert len(text) < 2 * spawning.KEPT_BYTES + 100
    assert text.startswith(b"line 0\n")
    assert b"bytes omitted" in text


def test_missing_binary_is_named_in_the_error(tmp_path):
    wanted = pytest.raises(GuestError, match="nothing-here is not an executable file")
    with wanted, spawn([str(tmp_path / "nothing-here")], pages="thp", pass_fds=(), log=tmp_path / "log"):
        pass


def test_binary_of_another_machine_is_reported(tmp_path):
    binary = tmp_path / "alien"
    binary.write_bytes(b"\x7fELF no program at all")
    binary.chmod(0o755)
    with spawn([str(binary)], pages="thp", pass_fds=(), log=tmp_path / "log") as child:
        assert child.has_ended(timeout_s=10)
        assert child.last_lines() == (f"cannot execute {binary}: Exec format error",)


def test_refused_command_is_an_error(tmp_path):
    wanted = pytest.raises(GuestError, match="bad got no answer: no such command")
    with start(fake_guest(tmp_path), log=tmp_path / "log", timeout_s=10) as machine, wanted:
        machine.execute("bad")


def test_qemu_ends_with_the_process_that_started_it(tmp_path):
    """The parent ends by SIGKILL, so it cannot clean up."""
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom harness.guest.spawn import spawn\n"
        f"with spawn([{str(fake_binary(tmp_path))!r}, '-fake', 'silent'], pages='thp', pass_fds=(),"
        f" log=Path({str(tmp_path / 'log')!r})) as child:\n"
        "    print(child.pid, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        wait_until((tmp_path / "log").read_bytes)
        assert not has_ended(pid)
        parent.send_signal(signal.SIGKILL)
    assert has_ended(pid, within_s=10)
    assert FAKE.is_file()
