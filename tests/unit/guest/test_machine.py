import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.guest import spawn as spawning
from harness.guest import start
from harness.guest.memory import huge_pages_off
from harness.guest.spawn import spawn

from .support import FAKE, fake_binary, fake_guest, is_gone

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
    assert is_gone(machine.pid)


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
    assert is_gone(machine.pid)


def test_exit_during_start_is_reported_with_status_and_last_line(tmp_path):
    with (
        pytest.raises(GuestError, match=r"ended while it started, with status 3: .*bad luck") as caught,
        start(fake_guest(tmp_path, "die"), log=tmp_path / "log", timeout_s=10),
    ):
        pass
    assert caught.value.log == tmp_path / "log"


def test_error_contains_only_the_last_lines(tmp_path):
    with (
        pytest.raises(GuestError) as caught,
        start(fake_guest(tmp_path, "babble"), log=tmp_path / "log", timeout_s=10),
    ):
        pass
    assert len(caught.value.details) == 12
    assert caught.value.details[-1] == "line 99999"


def test_endless_output_fails_the_start_and_is_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(spawning, "FLOOD_BYTES", 4 << 20)
    log = tmp_path / "log"
    with (
        pytest.raises(GuestError, match="QEMU printed more than") as caught,
        start(fake_guest(tmp_path, "flood"), log=log, timeout_s=30),
    ):
        pass
    assert caught.value.details
    text = log.read_bytes()
    assert len(text) < 2 * spawning.KEPT_BYTES + 100
    assert text.startswith(b"line 0\n")
    assert b"bytes omitted" in text


def test_silent_start_times_out(tmp_path):
    begun = time.monotonic()
    with (
        pytest.raises(GuestError, match=r"not ready after 0\.3 s") as caught,
        start(fake_guest(tmp_path, "silent"), log=tmp_path / "log", timeout_s=0.3),
    ):
        pass
    assert time.monotonic() - begun < 3
    assert caught.value.details == ("still waiting",)


def test_missing_memory_is_an_error(tmp_path):
    with (
        pytest.raises(GuestError, match=r"only \d+ of 4096 MiB of the guest"),
        start(fake_guest(tmp_path, memory_mib=4096), log=tmp_path / "log", timeout_s=10),
    ):
        pass


def test_running_guest_is_an_error(tmp_path):
    with (
        pytest.raises(GuestError, match="is running, not paused"),
        start(fake_guest(tmp_path, "running"), log=tmp_path / "log", timeout_s=10),
    ):
        pass


def test_missing_binary_is_named_in_the_error(tmp_path):
    with (
        pytest.raises(GuestError, match="nothing-here is not an executable file"),
        spawn([str(tmp_path / "nothing-here")], pages="thp", pass_fds=(), log=tmp_path / "log"),
    ):
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
        deadline = time.monotonic() + 10
        while not (tmp_path / "log").read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_gone(pid)
        parent.send_signal(signal.SIGKILL)
    while not is_gone(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(pid)
    assert FAKE.is_file()
