"""Faults of a helper, how processes are confined, and signals, with a fake QEMU and a real helper."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from harness.properties import bench as bench_module
from harness.properties import bpf, confinement, failures, lifetime, sandbox, signals, startup, status
from harness.properties.bench import PRELUDE, Surrounding
from harness.properties.outcome import Cancelled, Failed, Parts

from ..programs import write_program

# Dozens of real processes: run by nox -s tests.
pytestmark = pytest.mark.slow
HELPER = ("-fake", "helper:60000000")


@pytest.fixture(autouse=True)
def _memory_is_populated(monkeypatch):
    monkeypatch.setattr(bench_module, "resident_mib", lambda _: 1 << 20)


@pytest.fixture
def names():
    try:
        return sandbox.numbers().names
    except Cancelled as cancelled:
        pytest.skip(str(cancelled))


@pytest.mark.usefixtures("names")
def test_calls_of_the_helper_are_seen_and_those_of_qemu_are_not(make_bench):
    assert startup._undisturbed(make_bench(*HELPER), ()) == ["clock_nanosleep"]
    with pytest.raises(Failed, match="no processes share"):
        startup._undisturbed(make_bench(), ())


@pytest.mark.parametrize("action", ["kill", "refuse"])
@pytest.mark.parametrize("ready", [False, True])
def test_qemu_that_goes_on_without_its_helper_fails(make_bench, action, ready):
    # Before the fake is ready, its monitor may answer while the helper has not reached its call yet.
    wanted = "x: QEMU goes on with no helpers" if ready else "x: QEMU goes on"
    with pytest.raises(Failed, match=wanted):
        startup._check_fault(make_bench(*HELPER), (), 1, action, "x", ready=ready)


def test_helper_that_is_not_disturbed_must_be_ready(make_bench):
    with pytest.raises(Failed, match="x: QEMU goes on, and the helper's name is"):
        startup._check_fault(make_bench(*HELPER), (), 2, "kill", "x", ready=False)


def test_qemu_that_ends_must_name_the_feature(make_bench, tmp_path):
    with pytest.raises(Failed, match="x: QEMU ended while it started, with status 3"):
        startup._check_fault(make_bench("-fake", "die"), (), 1, "kill", "x", ready=False)
    polite = write_program(tmp_path / "polite", "echo async teardown: killed; exit 1")
    startup._check_fault(make_bench(path=polite), (), 1, "kill", "x", ready=False)
    rude = write_program(tmp_path / "rude", "echo bad luck; exit 1")
    with pytest.raises(Failed, match="does not name asynchronous teardown"):
        startup._check_fault(make_bench(path=rude), (), 1, "kill", "x", ready=False)


def test_process_is_compared_with_one_without_the_feature_and_with_its_helper(make_bench, monkeypatch):
    bench = make_bench(*HELPER)
    confinement._check_confinement(bench, ())
    real = status.confinement

    def another(pid):
        facts = real(pid)
        is_helper = "usleep" not in facts and Path(f"/proc/{pid}/stat").read_text().split()[3] != str(
            os.getpid()
        )
        return facts | ({"Groups": ""} if is_helper else {"Groups": "7"})

    monkeypatch.setattr(status, "confinement", another)
    with pytest.raises(Failed, match="helper has Groups none instead of 7"):
        confinement._check_confinement(bench, ())
    seen = []

    def growing(pid):
        seen.append(pid)
        return real(pid) | {"Umask": str(len(seen))}

    monkeypatch.setattr(status, "confinement", growing)
    with pytest.raises(Failed, match="QEMU itself has Umask 2 instead of 1"):
        confinement._check_confinement(bench, ())


def test_sandbox_without_any_filter_fails(make_bench):
    with pytest.raises(Failed, match="QEMU itself has 1 threads without a system call filter"):
        confinement._check_confinement(make_bench(*HELPER), ("-sandbox", "on"))


def test_signal_that_ends_the_helper_is_named_even_with_nohup(make_bench):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(Failed, match=r"the helper was ended by signal 1$"):
            signals._helper_alone(make_bench(*HELPER))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_each_signal_ends_qemu_alone(make_bench, monkeypatch):
    monkeypatch.setattr(signals, "MEMORY_MIB", 1)
    ended = signals._alone(make_bench("-fake", "helper:2500000"), 9)
    assert (ended.status, ended.helpers) == (-9, 1)


def test_help_that_creates_a_helper_is_noticed(make_bench, tmp_path):
    made = make_bench(path=tmp_path / "qemu")
    for script, outcome in (("exit 0", False), ("kill -SYS $$", True)):
        write_program(tmp_path / "qemu", script)
        assert lifetime._makes_helper(made, ("-x",), Surrounding()) is outcome
    write_program(tmp_path / "qemu", "exit 1")
    with pytest.raises(Failed, match="ended with status 1: -x y"):
        lifetime._makes_helper(made, ("-x", "y"), Surrounding())


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_other_user_can_still_read_all_files():
    # Not below tmp_path, which the other user could not reach even by name.
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "firmware"
        secret.write_text("bios")
        secret.chmod(0o600)
        settings = msgspec.json.encode(Surrounding(uid=61234)).decode()
        code = f"import os; print(os.getuid(), os.access({str(secret)!r}, 4), open({str(secret)!r}).read())"
        words = [sys.executable, "-IS", str(PRELUDE), settings, sys.executable, "-IS", "-c", code]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (made.stdout, made.stderr) == ("61234 True bios\n", "")


def test_traced_process_that_was_killed_is_kept_for_its_tracer():
    with subprocess.Popen(["sleep", "60"]) as child:
        bpf.seize(child.pid)
        child.kill()
        assert os.waitpid(child.pid, bpf.WALL)[0] == child.pid
        child.returncode = -9


def test_parts_of_the_faults_are_reported(make_bench, names):
    parts = Parts()
    startup.faults(make_bench(*HELPER), parts, confined=False)
    assert [part.outcome for part in parts.made][:2] == ["pass", "fail"]
    assert parts.made[1].figures == {"steps": 1.0}
    parts = Parts()
    startup.faults(make_bench(), parts, confined=False)
    assert [part.outcome for part in parts.made] == ["fail"]


def test_daemon_without_a_helper_must_be_reported_to_its_starter(make_bench, tmp_path):
    made = make_bench(path=write_program(tmp_path / "daemon", "echo async teardown: EPERM; exit 1"))
    failures._expect_no_daemon(made)
    for script, outcome in (
        ("echo async teardown: EPERM; exit 3", "QEMU ended with 3"),
        ("echo bad luck; exit 1", "no error names"),
    ):
        write_program(tmp_path / "daemon", script)
        with pytest.raises(Failed, match=outcome):
            failures._expect_no_daemon(made)
