import itertools
import os

import pytest

from harness.progress import Silent
from harness.teardown import quiet
from harness.teardown.quiet import wait_for_quiet

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that is as busy in each second as ``machine`` lists; the last entry repeats."""
    seconds: list[float] = []
    now = [100.0]
    used = [0.0]
    for pid in ("7", "8"):
        (tmp_path / pid).mkdir()

    def write():
        (tmp_path / "stat").write_text(f"cpu {round(used[0] * TICKS)} 0 0 0 0 0 0 0\n")
        for pid, name, parent in (("7", "cc1 plus", "1"), ("8", "ksoftirqd/0", "2")):
            fields = ["S", parent, *["0"] * 9, str(round(used[0] * TICKS)), "0"]
            (tmp_path / pid / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")

    def sleep(duration):
        now[0] += duration
        used[0] += duration * next(steps)
        write()

    steps = itertools.chain.from_iterable(
        itertools.repeat(seconds[0]) if len(seconds) == 1 else [seconds.pop(0)] for _ in itertools.count()
    )
    write()
    monkeypatch.setattr(quiet.time, "sleep", sleep)
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now[0])

    def run(*busy):
        seconds[:] = busy
        reporter = Silent()
        began = now[0]
        wait_for_quiet(reporter, proc=tmp_path)
        return now[0] - began, reporter.lines

    return run


def test_quiet_machine_is_not_waited_for(machine):
    assert machine(0.1) == (1.0, [])


def test_run_waits_until_the_machine_is_quiet_and_reports_what_is_busy(machine):
    waited, lines = machine(1.5, 1.5, 1.5, 0.1)
    assert waited == 4.0
    assert lines == [
        "other work keeps 1.5 CPUs busy (cc1 plus): waiting for at most 60 s",
        "waiting for a quieter machine",
    ]


def test_wait_ends_after_a_minute_with_a_warning(machine):
    waited, lines = machine(2.0)
    assert 60 <= waited <= 62
    assert lines[-1] == ("the machine is not quiet: 2.0 CPUs busy (cc1 plus); the verdicts take more samples")


def test_process_that_disappears_is_no_error(machine, tmp_path):
    (tmp_path / "9").mkdir()
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "stat").write_text("cut off")
    assert machine(0.1) == (1.0, [])
