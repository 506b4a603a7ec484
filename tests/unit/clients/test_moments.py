"""harness.clients.moments and groups: times of exits and events, by pidfd, descriptor and cgroup."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.clients.domains import files_of, shared_files
from harness.clients.groups import unified_group, unified_mount
from harness.clients.moments import ExitWatch, find_qemu, seconds, watching
from harness.errors import GuestError


def sleeper(*words):
    return subprocess.Popen(words or ("sleep", "60"), stdin=subprocess.DEVNULL)


def test_times_of_exits_and_sources_are_recorded():
    reading, writing = os.pipe()
    with sleeper() as first, sleeper() as second:
        ends = [os.pidfd_open(process.pid) for process in (first, second)]
        watch = ExitWatch(first.pid, ends[0], {ends[1]: second.pid})
        answers = iter((False, True))
        watch.add("notified", reading, select.POLLIN, lambda: bool(os.read(reading, 1)) and next(answers))
        began = time.monotonic_ns()
        watch.start(20)
        first.kill()
        assert watch.wait("exit", 10) is not None
        os.write(writing, b"a")
        assert watch.wait("notified", 0.05) is None
        os.write(writing, b"b")
        assert watch.wait("notified", 10) is not None
        assert "back" not in watch.at
        second.kill()
        watch.finish()
        exit_s, told_s, back_s = (seconds(watch, name, began) for name in ("exit", "notified", "back"))
        assert 0 < exit_s < told_s < back_s
        assert watch.stuck == 0
        for pidfd in (*ends, reading, writing):
            os.close(pidfd)


def test_process_that_exceeds_the_limit_is_killed():
    with sleeper() as process, watching(process.pid) as watch:
        watch.start(0.1)
        watch.finish()
        assert watch.stuck == 1
        assert process.wait() == -signal.SIGKILL


def test_ended_process_cannot_be_watched():
    with sleeper("true") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(GuestError, match="had ended"), watching(process.pid):
            pass


def test_qemu_is_found_by_its_file_without_its_children():
    python = Path(sys.executable).resolve()
    code = "import os, time; os.fork(); time.sleep(60)"
    with sleeper("sh", "-c", f"{python} -c '{code}' & {python} -c pass; wait") as shell:
        deadline = time.monotonic() + 10
        while True:
            children = psutil.Process(shell.pid).children()
            try:
                if find_qemu(shell.pid, python) == children[0].pid and len(children) == 1:
                    break
            except (GuestError, IndexError):
                pass
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(GuestError, match="0 processes"):
            find_qemu(shell.pid, Path("/bin/true"))
        for process in (*psutil.Process(shell.pid).children(recursive=True), shell):
            process.kill()


def test_mount_point_of_version_2_is_found():
    hybrid = "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert unified_mount(hybrid) == Path("/sys/fs/cgroup/unified")
    assert unified_mount("cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n") is None


def test_cgroup_reports_when_it_is_empty():
    with unified_group("qemu-harness-test-") as group:
        if group is None:
            pytest.skip("cannot create a cgroup of version 2")
        with sleeper() as process:
            group.add(process.pid)
            assert group.members() == (process.pid,)
            assert not group.is_empty()
            poller = select.poll()
            poller.register(group.events, select.POLLPRI)
            assert not poller.poll(0)
            group.terminate()
            assert poller.poll(5000)
            assert group.is_empty()
            assert process.wait() == -signal.SIGTERM
        folder = group.folder
        with sleeper() as other:
            group.add(other.pid)
            group.kill()
            assert other.wait() == -signal.SIGKILL
    assert not folder.exists()


def test_without_version_2_there_is_no_cgroup(tmp_path):
    (tmp_path / "mounts").write_text("proc /proc proc rw 0 0\n", encoding="ascii")
    (tmp_path / "cgroup").write_text("4:memory:/\n", encoding="ascii")
    with unified_group("qemu-harness-test-", tmp_path) as group:
        assert group is None


def test_open_files_of_a_helper_are_found(tmp_path):
    with (tmp_path / "domain.log").open("wb") as log, sleeper() as other:
        with subprocess.Popen(["sleep", "60"], stdout=log, stderr=subprocess.STDOUT) as helper:
            files = {str(tmp_path / "domain.log"), "socket:[1]"}
            assert files_of(helper.pid) >= {str(tmp_path / "domain.log")}
            assert shared_files(ExitWatch(0, 0, {1: other.pid, 2: helper.pid}), files) == {
                str(tmp_path / "domain.log")
            }
            helper.kill()
        assert shared_files(ExitWatch(0, 0, {1: other.pid, 2: helper.pid}), files) == set()
        other.kill()
