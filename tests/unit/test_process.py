"""harness.process: output, limits, errors, and that nothing it starts is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import HarnessError, MissingError, StorageError, TimeoutExpiredError
from harness.process import clean_environment, disk_is_full, run, shell_quote
from tests.unit.programs import has_ended


def test_output_is_passed_to_on_line_and_log(tmp_path):
    lines = []
    log = tmp_path / "deep" / "x.log"
    finished = run(["sh", "-c", "echo one; echo two >&2; printf three"], log=log, on_line=lines.append)
    assert lines == ["one", "two", "three"]
    assert finished.output == "one\ntwo\nthree"
    assert log.read_text() == "$ sh -c 'echo one; echo two >&2; printf three'\none\ntwo\nthree"


def test_stderr_can_be_separated(tmp_path):
    log = tmp_path / "x.log"
    assert run(["sh", "-c", "echo out; echo err >&2"], merge_stderr=False, log=log).output == "out\n"
    assert "err" in log.read_text()


def test_large_input_and_output_do_not_block():
    data = b"0123456789abcde\n" * 200_000
    assert len(run(["cat"], stdin=data).output) == len(data)


def test_undecodable_output_is_replaced():
    assert run(["printf", "\\377x"]).output == "\ufffdx"


def test_error_contains_last_lines_and_log(tmp_path):
    log = tmp_path / "x.log"
    with pytest.raises(HarnessError) as caught:
        run(["sh", "-c", "echo reason; exit 3"], log=log)
    assert "status 3" in caught.value.cause
    assert caught.value.details == ("reason",)
    assert caught.value.log == log


def test_error_of_the_caller_is_raised():
    with pytest.raises(MissingError, match="status 4"):
        run(["sh", "-c", "exit 4"], error=lambda ended: MissingError(f"status {ended.returncode}", "x"))


def test_missing_program_is_an_error():
    with pytest.raises(MissingError, match="no-such-program"):
        run(["no-such-program"])


def test_status_127_of_an_existing_program_is_not_a_missing_program():
    assert run(["sh", "-c", "exit 127"], check=False).returncode == 127


def test_unwritable_log_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        run(["true"], log=tmp_path / "file" / "x.log")


def test_timeout_applies_after_the_output_is_closed():
    with pytest.raises(TimeoutExpiredError, match="sleep 5"):
        run(["sh", "-c", "exec >&- 2>&-; sleep 5"], timeout_s=0.1)


def test_timeout_ends_the_process_group(tmp_path):
    pidfile = tmp_path / "pid"
    with pytest.raises(TimeoutExpiredError) as caught:
        run(["sh", "-c", f"sleep 60 & echo $! >{pidfile}; wait"], timeout_s=0.5)
    assert "setpriv" not in caught.value.cause
    assert has_ended(int(pidfile.read_text()), within_s=5)


def test_daemon_that_keeps_the_pipe_open_does_not_block(tmp_path):
    """As ssh's ControlPersist does behind git fetch."""
    started = time.monotonic()
    finished = run(["sh", "-c", "sleep 20 & echo $! >pid; echo said; exit 3"], cwd=tmp_path, check=False)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert time.monotonic() - started < 10
    assert (finished.returncode, finished.output) == (3, "said\n")


def test_interrupt_ends_the_program(tmp_path):
    pidfile = tmp_path / "pid"
    # A shell that starts pytest in the background has it ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(
        0.5, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    ).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", f"echo $$ >{pidfile}; exec sleep 60"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert has_ended(int(pidfile.read_text()), within_s=5)


def test_program_ends_with_a_killed_harness(tmp_path):
    pidfile = tmp_path / "pid"
    code = f"from harness.process import run; run(['sh', '-c', 'echo $$ >{pidfile}; exec sleep 60'])"
    with subprocess.Popen([sys.executable, "-c", code]) as us:
        while not (pidfile.exists() and pidfile.read_text().strip()):
            time.sleep(0.01)
        us.kill()
    assert has_ended(int(pidfile.read_text()), within_s=5)


def test_environment_has_no_variables_of_git_and_make(monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("MAKEFLAGS", "-j9")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    environment = clean_environment({"X": "1"})
    assert "GIT_DIR" not in environment
    assert "MAKEFLAGS" not in environment
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["X"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


def test_command_is_quoted_for_a_shell():
    assert shell_quote(["a b", Path("c")]) == "'a b' c"


def test_program_on_a_full_disk_gives_a_storage_error(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match="the disk is full") as caught:
        run(["sh", "-c", "echo cc1: No space left on device; exit 1"])
    assert caught.value.details == ("cc1: No space left on device",)
    assert (
        disk_is_full("error: unable to write file 'a.c'\n").cause
        == "the disk is full, or cannot be written to"
    )
    assert disk_is_full("error: unable to read file", tmp_path / "not" / "there", None) is None
    facts = os.statvfs(tmp_path)

    class Full:
        f_bavail, f_frsize, f_files, f_favail = 1, 4096, facts.f_files, facts.f_favail

    monkeypatch.setattr(os, "statvfs", lambda _: Full)
    found = disk_is_full("fatal: x\nerror: unable to write file", tmp_path / "not" / "there")
    assert found.cause == f"the disk is full: {tmp_path / 'not' / 'there'}"
    assert found.details[-1] == "error: unable to write file"
