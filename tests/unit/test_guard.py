"""Real processes: nothing that a guarded run starts may be there after it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.programs import has_ended

HEAD = """
import os, signal, subprocess, sys, time
from harness import guard
guard.GRACE_S = 0.3
def spawn(code, **more):
    child = subprocess.Popen([sys.executable, "-IS", "-c", code], stdout=subprocess.PIPE, text=True, **more)
    print("child", child.stdout.readline().strip(), flush=True)
SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
# A daemon: forks twice, own session.
DAEMON = "import os\\nif os.fork() == 0:\\n  os.setsid()\\n  if os.fork() == 0:\\n    "
DAEMON += SLEEP.replace("; ", "\\n    ")
def wait():
    print("ready", os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def signals_as_at_a_terminal():
    """Reset signals that nohup(1) or a background job of a shell ignores, because children inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Run:
    """A guarded program; ``pids`` are those that it reported."""

    def __init__(self, main, **options):
        code = f"{HEAD}\ndef main():\n{main}\nsys.exit(guard.guarded(main))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self.pids: list[int] = []
        self.worker = 0

    def until_ready(self):
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            if word == "child":
                self.pids.append(int(rest))
            if word == "ready":
                self.worker = int(rest)
                return self
        raise AssertionError(self.process.stderr.read())

    def finish(self):
        out, self.errors = self.process.communicate(timeout=20)
        self.pids += [int(line.split()[1]) for line in out.splitlines() if line.startswith("child")]
        return self.process.returncode


@pytest.mark.parametrize(
    ("main", "status"),
    [
        ("    return 7", 7),
        ("    sys.exit(3)", 3),
        ("    raise KeyboardInterrupt", 130),
        ("    os.kill(os.getpid(), 9)", 137),
    ],
)
def test_exit_status_is_passed_on(main, status):
    assert Run(main).finish() == status


def test_error_of_main_is_printed_and_fails():
    run = Run("    raise ValueError('broken')")
    assert run.finish() == 1
    assert "ValueError: broken" in run.errors


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["return 0", "os.kill(os.getpid(), 9)"])
def test_remaining_children_and_daemons_are_ended_after_the_worker(ending):
    run = Run(
        "    spawn(SLEEP)\n    spawn(SLEEP, start_new_session=True)\n    spawn(DAEMON)\n    spawn(STUBBORN)\n"
        f"    {ending}"
    )
    assert run.finish() == (0 if "return" in ending else 137)
    assert len(run.pids) == 4
    assert all(has_ended(pid) for pid in run.pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_to_the_guard_unwinds_the_worker(number):
    run = Run(
        "    spawn(DAEMON)\n    try:\n        wait()\n    finally:\n        print('unwound', flush=True)"
    ).until_ready()
    run.process.send_signal(number)
    out, _ = run.process.communicate(timeout=20)
    assert "unwound" in out
    assert run.process.returncode == 130
    assert all(has_ended(pid) for pid in [run.worker, *run.pids])


def test_signal_to_the_whole_group_unwinds_once():
    """The worker gets it from the sender and from the guard; the second must not break the unwinding."""
    run = Run(
        "    try:\n        wait()\n    finally:\n"
        "        time.sleep(0.3)\n        print('unwound', flush=True)",
        start_new_session=True,
    ).until_ready()
    os.killpg(run.process.pid, signal.SIGINT)
    out, _ = run.process.communicate(timeout=20)
    assert "unwound" in out
    assert run.process.returncode == 130


@pytest.mark.slow
def test_worker_that_does_not_unwind_is_killed():
    run = Run(
        "    spawn(SLEEP)\n    while True:\n        try:\n            wait()\n"
        "        except KeyboardInterrupt:\n            pass\n"
        "guard.UNWIND_LIMIT_S = 0.3"
    ).until_ready()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(20) == 137
    assert all(has_ended(pid) for pid in [run.worker, *run.pids])
    run.finish()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_ignored_signal_stays_ignored(number):
    """nohup(1) ignores SIGHUP, a shell SIGINT for its background jobs."""
    run = Run(
        "    print('ready', os.getpid(), flush=True)\n    time.sleep(0.5)\n    return 5\n"
        "guard.UNWIND_LIMIT_S = 0.1",
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    ).until_ready()
    run.process.send_signal(number)
    assert run.finish() == 5


def test_children_are_awaited_despite_ignored_sigchld():
    run = Run("    return 5", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    try:
        assert run.process.wait(10) == 5
    finally:
        run.process.kill()
        run.finish()


def test_kill_9_of_the_guard_ends_the_worker():
    run = Run("    wait()").until_ready()
    run.process.kill()
    run.finish()
    assert has_ended(run.worker, within_s=5)


def test_die_with_parent_ends_the_run_with_its_parent():
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {HEAD!r} + '''\n"
        "def main():\n    spawn(DAEMON)\n    wait()\n"
        "sys.exit(guard.guarded(main, die_with_parent=True))'''], stdout=subprocess.PIPE, text=True)\n"
        "for line in child.stdout:\n    print(line.strip(), flush=True)\n"
        "    if line.startswith('ready'): break\n"
        "print('guard', child.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        pids = [int(starter.stdout.readline().split()[1]) for _ in range(3)]
        starter.kill()
    assert all(has_ended(pid, within_s=20) for pid in pids)


@pytest.mark.slow
def test_child_that_forks_while_it_is_ended_is_found():
    hydra = (
        "import os, signal, time\n"
        "def again(*_):\n    if os.fork() == 0: print(end='')\n"
        "signal.signal(signal.SIGTERM, again)\n"
        "print(os.getpid(), flush=True)\nwhile True: time.sleep(60)"
    )
    run = Run(f"    spawn({hydra!r}, start_new_session=True)\n    return 0")
    assert run.finish() == 0
    sessions = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    for entry in sessions:
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        assert fields[0] == "Z" or int(fields[3]) != run.pids[0]
