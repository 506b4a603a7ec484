import os
import subprocess
import sys

import pytest

from harness.teardown.cpu import Load, busy_s, children, cpu_clock_s, reap
from tests.unit.programs import wait_until

BURN = "import time\nwhile time.process_time() < 0.2: pass"


def test_cpu_clock_of_a_child_agrees_with_its_total_usage():
    with subprocess.Popen([sys.executable, "-IS", "-c", BURN + "\ninput()"], stdin=subprocess.PIPE) as child:
        wait_until(lambda: cpu_clock_s(child.pid) >= 0.2)
        before = cpu_clock_s(child.pid)
        assert before >= 0.2
        assert child.pid in children()
        assert reap(child.pid) is None  # still running
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        used = reap(child.pid)
        child.returncode = -9
    assert used == pytest.approx(before, abs=0.05)
    assert reap(child.pid) is None  # already reaped
    assert cpu_clock_s(child.pid) == 0.0


def test_own_cpu_time_is_not_foreign(monkeypatch):
    before = Load(at=0.0, busy_s=10.0, own_s=1.0)
    assert before.foreign_cpus(Load(at=2.0, busy_s=12.0, own_s=3.0)) == 0.0
    assert before.foreign_cpus(Load(at=2.0, busy_s=13.0, own_s=2.0)) == 1.0
    assert before.foreign_cpus(Load(at=2.0, busy_s=10.5, own_s=3.0)) == 0.0  # ticks are coarse
    assert Load.now().busy_s > 0


def test_idle_time_is_not_busy_time(tmp_path):
    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu {ticks} 0 {ticks} {9 * ticks} {9 * ticks} 0 0 {ticks} 0 0\ncpu0 1\n")
    assert busy_s(tmp_path) == 3.0
    assert busy_s(tmp_path / "none") == 0.0
