import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from harness.errors import TeardownError
from harness.guest.machine import start
from harness.teardown import watch
from harness.teardown.watch import find_sharers, measure, shares_memory
from tests.unit.programs import has_ended

from ..guest.support import fake_guest

# Dozens of real processes: run by nox -s tests.
pytestmark = pytest.mark.slow


def measured(folder, mode, trigger, timeout_s=10.0):
    with start(fake_guest(folder, mode), log=folder / "log", timeout_s=10) as machine:
        found = measure(machine, trigger, timeout_s=timeout_s)
        assert has_ended(machine.pid)
        return found


@pytest.mark.parametrize(
    ("trigger", "status"), [("sigterm", 0), ("sigkill", -9), ("sigabrt", -6), ("quit", 0)]
)
def test_each_trigger_ends_qemu_and_without_a_helper_reclaim_equals_exit(tmp_path, trigger, status):
    found = measured(tmp_path, "normal", trigger)
    assert found.exit_status == status
    assert 0 < found.exit_s < 5
    assert found.reclaim_s == found.exit_s
    assert found.helpers == 0


def test_reclaim_ends_with_the_helper(tmp_path):
    found = measured(tmp_path, "helper:400000", "sigkill")
    assert found.helpers == 1
    assert found.stuck == 0
    assert found.exit_s < 0.1 < found.reclaim_s < 0.5


def test_helper_that_never_ends_is_killed_and_counted(tmp_path):
    found = measured(tmp_path, "helper:900000000", "sigkill", timeout_s=0.2)
    assert found.stuck == 1
    assert found.reclaim_s is None


def test_process_started_after_the_trigger_is_waited_for_and_reaped(tmp_path):
    """A helper may start processes that free memory after QEMU's exit."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.teardown.cpu import adopt_orphans, children\n"
        "from tests.unit.teardown.test_watch import measured\n"
        "adopt_orphans()\nfound = measured(Path(sys.argv[1]), 'late:400000', 'sigterm')\n"
        "print(found.helpers, found.exit_s, found.reclaim_s, len(children()))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]  # this process must not adopt orphans
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()
    helpers, exit_s, reclaim_s, remaining = map(float, printed)
    assert (helpers, remaining) == (0, 0)
    assert exit_s < 0.3 < reclaim_s < 0.6


def test_qemu_that_ignores_the_trigger_is_killed_at_the_limit(tmp_path):
    began = time.monotonic()
    with pytest.raises(TeardownError, match=r"did not end within 0\.2 s of sigterm"):
        measured(tmp_path, "stubborn", "sigterm", timeout_s=0.2)
    assert time.monotonic() - began < 3


def test_qemu_that_ended_before_the_trigger_is_not_timed(tmp_path):
    with start(fake_guest(tmp_path, "normal"), log=tmp_path / "log", timeout_s=10) as machine:
        os.kill(machine.pid, signal.SIGKILL)  # as the kernel does when memory runs out
        assert machine.child.has_ended(10)
        with pytest.raises(TeardownError, match="QEMU had ended before the trigger"):
            measure(machine, "sigkill", timeout_s=10)


def test_threads_share_memory_and_children_do_not():
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


def test_dead_process_shares_no_memory():
    """It has no memory, like kernel threads; kcmp reports that as equal."""
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert find_sharers(child.pid) == ()


def test_forbidden_kcmp_gives_no_answer(monkeypatch):
    """In containers without CAP_SYS_PTRACE, a filter returns EPERM even for this process."""
    monkeypatch.setattr(watch, "kcmp", lambda *_: -errno.EPERM)
    assert shares_memory(os.getpid(), 1) is None
    monkeypatch.setattr(watch, "kcmp", lambda pid, other, _: 0 if pid == other else -errno.EPERM)
    assert shares_memory(os.getpid(), 1) is False


def test_helper_is_found_by_shared_memory(tmp_path):
    with start(fake_guest(tmp_path, "helper:3000000"), log=tmp_path / "log", timeout_s=10) as machine:
        (helper,) = find_sharers(machine.pid)
        assert helper != machine.pid


def test_without_kcmp_helpers_are_found_by_parent_and_name(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "shares_memory", lambda *_: None)
    for pid, name, parent in ((10, "qemu", 1), (11, "a) b (c", 10), (12, "cleanup/10", 1), (13, "sh", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1\n")
    (tmp_path / "14").mkdir()  # ended during the search
    assert find_sharers(10, tmp_path) == (11, 12)


def powered_off(folder, mode):
    guest = fake_guest(folder, mode, payload="linux", kernel=folder / "k", initrd=folder / "i")
    with start(guest, log=folder / "log", timeout_s=10) as machine:
        return measure(machine, "poweroff", timeout_s=10)


def test_poweroff_excludes_the_shutdown_of_the_guest(tmp_path):
    found = powered_off(tmp_path, "linux")
    assert found.exit_status == 0
    assert 0.2 < found.shutdown_s < 2
    assert 0 < found.exit_s < 0.15


def test_exit_without_shutdown_event_is_an_error(tmp_path):
    with pytest.raises(TeardownError, match="without an event SHUTDOWN") as caught:
        powered_off(tmp_path, "deaf")
    assert caught.value.details[-1] == "harness: ready"


def test_clock_that_was_set_is_detected(tmp_path, monkeypatch):
    real = time.time_ns
    calls = iter((0, 5_000_000, 5_000_000))
    monkeypatch.setattr(watch.time, "time_ns", lambda: real() + next(calls))
    with pytest.raises(TeardownError, match="clock was set"):
        powered_off(tmp_path, "linux")


def test_unknown_trigger_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(TeardownError, match="unknown trigger 'unplug'") as caught:
        measured(tmp_path, "normal", "unplug")
    assert "poweroff" in caught.value.remedy
