"""harness.clients.moments and groups: who ends when, by pidfd, by descriptor, by cgroup."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.clients.domains import files_of, kept_files
from harness.clients.groups import unified_group, unified_mount
from harness.clients.moments import ExitWatch, find_qemu, seconds, watching
from harness.errors import GuestError


def sleeper(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words or ("sleep", "60"), stdin=subprocess.DEVNULL)


def test_exit_back_and_what_else_is_told() -> None:
    reading, writing = os.pipe()
    with sleeper() as first, sleeper() as second:
        ends = [os.pidfd_open(process.pid) for process in (first, second)]
        watch = ExitWatch(first.pid, ends[0], {ends[1]: second.pid})
        answers = iter((False, True))
        watch.add("told", reading, select.POLLIN, lambda: bool(os.read(reading, 1)) and next(answers))
        began = time.monotonic_ns()
        watch.start(20)
        first.kill()
        assert watch.wait("exit", 10) is not None
        os.write(writing, b"a")
        assert watch.wait("told", 0.05) is None
        os.write(writing, b"b")
        assert watch.wait("told", 10) is not None
        assert "back" not in watch.at
        second.kill()
        watch.finish()
        exit_s, told_s, back_s = (seconds(watch, name, began) for name in ("exit", "told", "back"))
        assert exit_s is not None
        assert told_s is not None
        assert back_s is not None
        assert 0 < exit_s < told_s < back_s
        assert watch.stuck == 0
        for pidfd in (*ends, reading, writing):
            os.close(pidfd)


def test_who_stays_is_killed_after_the_limit() -> None:
    with sleeper() as process, watching(process.pid) as watch:
        watch.start(0.1)
        watch.finish()
        assert watch.stuck == 1
        assert process.wait() == -signal.SIGKILL


def test_who_has_gone_cannot_be_watched() -> None:
    with sleeper("true") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(GuestError, match="had ended"), watching(process.pid):
            pass


def test_qemu_is_found_by_its_file_and_its_children_are_not_it() -> None:
    python = Path(sys.executable).resolve()
    code = "import os, time; os.fork(); time.sleep(60)"
    with sleeper("sh", "-c", f"{python} -c '{code}' & {python} -c pass; wait") as shell:
        deadline = time.monotonic() + 10
        while True:
            children = subprocess.run(
                ["pgrep", "-P", str(shell.pid)], capture_output=True, text=True, check=False
            ).stdout.split()
            try:
                if find_qemu(shell.pid, python) == int(children[0]) and len(children) == 1:
                    break
            except (GuestError, IndexError):
                pass
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(GuestError, match="0 processes"):
            find_qemu(shell.pid, Path("/bin/true"))
        for pid in (*children, shell.pid):
            subprocess.run(["pkill", "-KILL", "-P", str(pid)], check=False)
            os.kill(int(pid), signal.SIGKILL)


def test_where_version_2_is_mounted() -> None:
    hybrid = "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert unified_mount(hybrid) == Path("/sys/fs/cgroup/unified")
    assert unified_mount("cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n") is None


def test_a_group_tells_when_it_is_empty() -> None:
    with unified_group("qemu-harness-test-") as group:
        if group is None:
            pytest.skip("no cgroup of version 2 can be made here")
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
        with sleeper() as left:
            group.add(left.pid)
            group.kill()
            assert left.wait() == -signal.SIGKILL
    assert not folder.exists()


def test_no_group_where_there_is_no_version_2(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("proc /proc proc rw 0 0\n", encoding="ascii")
    (tmp_path / "cgroup").write_text("4:memory:/\n", encoding="ascii")
    with unified_group("qemu-harness-test-", tmp_path) as group:
        assert group is None


def test_a_helper_that_keeps_qemus_files_is_seen(tmp_path: Path) -> None:
    with (tmp_path / "domain.log").open("wb") as log, sleeper() as other:
        with subprocess.Popen(["sleep", "60"], stdout=log, stderr=subprocess.STDOUT) as helper:
            files = {str(tmp_path / "domain.log"), "socket:[1]"}
            assert files_of(helper.pid) >= {str(tmp_path / "domain.log")}
            assert kept_files(ExitWatch(0, 0, {1: other.pid, 2: helper.pid}), files) == {
                str(tmp_path / "domain.log")
            }
            helper.kill()
        assert kept_files(ExitWatch(0, 0, {1: other.pid, 2: helper.pid}), files) == set()
        other.kill()
