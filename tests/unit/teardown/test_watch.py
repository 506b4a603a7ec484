import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from harness.errors import TeardownError
from harness.guest import start
from harness.teardown import watch
from harness.teardown.watch import find_sharers, measure, shares_memory

from ..guest.support import fake_guest, is_gone

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow


def measured(folder, mode, trigger, timeout_s=10.0):
    with start(fake_guest(folder, mode), log=folder / "log", timeout_s=10) as machine:
        found = measure(machine, trigger, timeout_s=timeout_s)
        assert is_gone(machine.pid)
        return found


@pytest.mark.parametrize(
    ("trigger", "status"), [("sigterm", 0), ("sigkill", -9), ("sigabrt", -6), ("quit", 0)]
)
def test_each_trigger_ends_qemu_and_without_helper_reclaim_is_exit(tmp_path, trigger, status):
    found = measured(tmp_path, "normal", trigger)
    assert found.exit_status == status
    assert 0 < found.exit_s < 5
    assert found.reclaim_s == found.exit_s
    assert found.helpers == 0


def test_reclaim_lasts_until_the_helper_has_gone(tmp_path):
    found = measured(tmp_path, "helper:400000", "sigkill")
    assert found.helpers == 1
    assert found.stuck == 0
    assert found.exit_s < 0.1 < found.reclaim_s < 0.5


def test_a_helper_that_never_ends_is_killed_and_counted(tmp_path):
    found = measured(tmp_path, "helper:900000000", "sigkill", timeout_s=0.2)
    assert found.stuck == 1
    assert found.reclaim_s is None


@pytest.mark.slow
def test_a_process_that_comes_after_the_trigger_is_waited_for_and_reaped(tmp_path):
    """A helper may use more processes to free memory once QEMU is gone."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.teardown.cpu import adopt_orphans, children\n"
        "from tests.unit.teardown.test_watch import measured\n"
        "adopt_orphans()\nfound = measured(Path(sys.argv[1]), 'late:400000', 'sigterm')\n"
        "print(found.helpers, found.exit_s, found.reclaim_s, len(children()))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]  # this process adopts nobody
    said = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()
    helpers, exit_s, reclaim_s, left = map(float, said)
    assert (helpers, left) == (0, 0)
    assert exit_s < 0.3 < reclaim_s < 0.6


def test_a_qemu_that_ignores_the_trigger_is_killed_at_the_limit(tmp_path):
    begun = time.monotonic()
    with pytest.raises(TeardownError, match=r"did not end within 0\.2 s of sigterm"):
        measured(tmp_path, "stubborn", "sigterm", timeout_s=0.2)
    assert time.monotonic() - begun < 3


def test_a_qemu_that_ended_before_the_trigger_is_not_timed(tmp_path):
    with start(fake_guest(tmp_path, "normal"), log=tmp_path / "log", timeout_s=10) as machine:
        os.kill(machine.pid, signal.SIGKILL)  # as the kernel does when memory runs out
        assert machine.child.has_ended(10)
        with pytest.raises(TeardownError, match="QEMU had ended before the trigger"):
            measure(machine, "sigkill", timeout_s=10)


def test_an_unknown_trigger_is_refused(tmp_path):
    with pytest.raises(TeardownError, match="'please' is not known"):
        measured(tmp_path, "normal", "please")


def test_the_kernel_tells_who_shares_memory():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert shares_memory(os.getpid(), thread.native_id) is True
    finally:
        done.set()
        thread.join()
    with subprocess.Popen([sys.executable, "-IS", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert shares_memory(os.getpid(), child.pid) is False
        child.stdin.close()


def test_a_dead_process_shares_nothing():
    """It has no memory, and neither have kernel threads: kcmp calls that equal."""
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert find_sharers(child.pid) == ()


def test_where_kcmp_is_forbidden_it_does_not_decide(monkeypatch):
    """Containers without CAP_SYS_PTRACE: their filter answers EPERM even about ourselves."""
    monkeypatch.setattr(watch, "_kcmp_vm", lambda *_: -errno.EPERM)
    assert shares_memory(os.getpid(), 1) is None
    monkeypatch.setattr(watch, "_kcmp_vm", lambda pid, other: 0 if pid == other else -errno.EPERM)
    assert shares_memory(os.getpid(), 1) is False


def test_a_helper_is_found_whatever_its_name_is(tmp_path):
    with start(fake_guest(tmp_path, "helper:3000000"), log=tmp_path / "log", timeout_s=10) as machine:
        (helper,) = find_sharers(machine.pid)
        assert helper != machine.pid


def test_without_kcmp_children_and_the_helpers_name_decide(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "shares_memory", lambda *_: None)
    for pid, name, parent in ((10, "qemu", 1), (11, "a) b (c", 10), (12, "cleanup/10", 1), (13, "sh", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1\n")
    (tmp_path / "14").mkdir()  # ended while we looked
    assert find_sharers(10, tmp_path) == (11, 12)


def powered_off(folder, mode):
    guest = fake_guest(folder, mode, payload="linux", kernel=folder / "k", initrd=folder / "i")
    with start(guest, log=folder / "log", timeout_s=10) as machine:
        return measure(machine, "poweroff", timeout_s=10)


def test_the_guests_own_time_to_power_off_is_not_qemus(tmp_path):
    found = powered_off(tmp_path, "linux")
    assert found.exit_status == 0
    assert 0.2 < found.shutdown_s < 2
    assert 0 < found.exit_s < 0.15


def test_an_end_without_the_guests_shutdown_is_not_timed(tmp_path):
    with pytest.raises(TeardownError, match="without an event SHUTDOWN") as caught:
        powered_off(tmp_path, "deaf")
    assert caught.value.details[-1] == "harness: ready"


def test_a_clock_that_was_set_meanwhile_is_noticed(tmp_path, monkeypatch):
    real = time.time_ns
    calls = iter((0, 5_000_000, 5_000_000))
    monkeypatch.setattr(watch.time, "time_ns", lambda: real() + next(calls))
    with pytest.raises(TeardownError, match="clock was set"):
        powered_off(tmp_path, "linux")


def test_an_unknown_trigger_names_the_known(tmp_path):
    with pytest.raises(TeardownError, match="'unplug' is not known") as caught:
        measured(tmp_path, "normal", "unplug")
    assert "poweroff" in caught.value.remedy
