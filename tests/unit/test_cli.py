"""The command line as a user meets it: exit codes, cause and remedy, never a traceback."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli, commands
from harness.errors import HarnessError, StorageError, all_errors
from tests.unit.defaults import ROOT


@pytest.fixture
def environment(tmp_path, known_options):
    shutil.copytree(known_options, tmp_path / "cache")
    return {
        **os.environ,
        "QEMU_HARNESS_BUILD": str(tmp_path / "build"),
        "QEMU_HARNESS_TREES": str(tmp_path / "trees"),
        "QEMU_HARNESS_CACHE": str(tmp_path / "cache"),
        "PYTHONWARNINGS": "error",
    }


def harness(environment, *words, module="harness"):
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env=environment,
        text=True,
        errors="surrogateescape",
        capture_output=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (("build", "-Dpin=9.9"), 2, "error: -Dpin: unknown pin '9.9'"),
        (("build", "-Dseries=no-such"), 2, "there is no series 'no-such'"),
        (("build", "-Dpin=\udcff\udcfe"), 2, "is not UTF-8"),
        (("cycles", "--binary", "mine"), 2, "is not NAME=PATH"),
        (("properties", "-Dprofile=sanitize"), 2, "builds are not timed"),
        (("properties", "--rows", "3,99"), 2, "there is no row 99"),
        (("properties", "--binary", "x"), 2, "is not NAME=PATH[,ARG...]"),
        (("properties", "--binary", f"mine={sys.executable}"), 2, "does not contain the target"),
        (
            ("teardown", "-Dtargets=aarch64-softmmu"),
            2,
            "guests of target 'aarch64-softmmu' cannot be started",
        ),
        (("--root", "build", "build"), 2, "no checkout of the harness"),
        (("tree", "-Dmemory=400000G"), 2, "cannot fit into this machine"),
        (("fetch", "-Dsource=/does/not/exist"), None, "/does/not/exist"),
        (("which", "base", "x86_64-softmmu"), 15, "nox -s build"),
        (
            ("which", "base", "s390x-softmmu", "s390x", "-Dpin=5.2"),
            15,
            "nox -s build -- -Dpin=5.2 -Dvariants=base -Dtargets=s390x-softmmu -Dhosts=s390x",
        ),
        (
            ("guest", "pristine", "x86_64-softmmu", "-Dpin=10.2"),
            15,
            "nox -s build -- -Dpin=10.2 -Dvariants=pristine -Dtargets=x86_64-softmmu",
        ),
        (("load", "--restart-memory", "x"), 2, "--restart-memory: 'x' is not a size"),
        (("teardown", "-Dhosts=aarch64"), 2, "can build for this host, but not emulate it"),
        (("which", "base", "s390x-softmmu", "s39x"), 2, "did you mean s390x"),
        (("guest", "base", "x86_64-softmmu"), 15, "nox -s build"),
        (("--root", "/", "fetch"), 2, "no checkout of the harness"),
        (("submit",), 26, "the series has not been validated"),
        (("submit", "-Dseries=async-teardow"), 2, "there is no series 'async-teardow'"),
        (("series", "refresh", "no-such"), 2, "there is no series 'no-such'"),
        (("series", "tags", "async-teardown", "/no/mbox"), 2, "no such file or folder: '/no/mbox'"),
        (("series", "new", "../x"), 2, "cannot be used as a folder name"),
    ],
)
def test_refusals_have_cause_remedy_and_code(environment, monkeypatch, capsys, words, code, cause):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    # The guard only forks around this, and has tests of its own.
    monkeypatch.setattr(cli, "guarded", lambda call, **_: call())
    status, printed = cli.main(words), capsys.readouterr()
    assert cause in printed.err
    assert re.search(r"^error: .+$", printed.err, re.MULTILINE)
    assert re.search(r"^remedy: .+$", printed.err, re.MULTILINE)
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert status == code or (code is None and status in {error.code for error in all_errors()})
    assert not Path(environment["QEMU_HARNESS_TREES"]).exists(), "refused only after work had begun"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "words", "code", "cause"),
    [
        ("tests.faults", ("--cases", "flood"), 2, "error: --cases: there is no case flood\nremedy: choose "),
        ("tests.fuzz", ("--only", "flood"), 2, "error: --only: there is no parser 'flood'\nremedy: choose "),
        ("tests.fuzz", ("-Dseed=1", "--repeat", "gates-x.bin"), 2, "error: cannot read gates-x.bin: "),
    ],
)
def test_programs_of_the_tests_report_errors_as_stages_do(environment, module, words, code, cause):
    ended = harness(environment, *words, module=module)
    assert (ended.returncode, ended.stderr[: len(cause)]) == (code, cause)


def test_help_lists_stages_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in commands.STAGES:
        assert name in text
    for error in all_errors():
        assert f"{error.code} {error.summary}" in text


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "the following arguments are required: STAGE"),
        (("bild",), "invalid choice: 'bild'"),
        (("build", "-D"), "argument -D: expected one argument"),
        (("load", "--minutes", "nan"), "argument --minutes: 'nan' is not a number from 0 to 1440"),
        (("cycles", "--only", "0"), "argument --only: '0' is not a number from 1 to "),
        (("which", "base"), "the following arguments are required: target"),
    ],
)
def test_wrong_arguments_have_cause_and_remedy_too(capsys, words, cause):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    error, remedy = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert cause in error
    assert re.fullmatch("remedy: run `qemu-harness (\\w+ )?--help`", remedy)


def test_removed_working_folder_is_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["which", "base", "x86_64-softmmu"]) == 2
    assert capsys.readouterr().err.startswith("error: the working folder was removed\nremedy: ")


@pytest.mark.slow
def test_missing_home_and_terminal_are_no_error(environment):
    for name in ("HOME", "TERM", "LANG", "TMPDIR"):
        environment.pop(name, None)
    assert harness(environment, "which", "base", "x86_64-softmmu").returncode == 15


def test_internal_error_leaves_a_log_and_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("QEMU_HARNESS_BUILD", str(tmp_path / "build"))
    monkeypatch.setitem(commands.STAGES, "which", lambda _: 1 // 0)
    assert cli.main(["which", "base", "x"]) == cli.INTERNAL_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[0]
        == "error: internal error of the harness: ZeroDivisionError: integer division or modulo by zero"
    )
    log = Path(lines[2].removeprefix("log: "))
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("number", [28, 13, 30, 5])
def test_system_errors_become_storage_errors(monkeypatch, capsys, number):
    def fail(_):
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setitem(commands.STAGES, "which", fail)
    assert cli.main(["which", "base", "x"]) == StorageError.code
    assert "remedy: " in capsys.readouterr().err


def test_details_and_log_are_printed(monkeypatch, capsys):
    def fail(_):
        raise HarnessError("the cause", "the remedy", details=("one", "two"), log=Path("/a/log"))

    monkeypatch.setitem(commands.STAGES, "which", fail)
    assert cli.main(["which", "base", "x"]) == 1
    assert capsys.readouterr().err == ("error: the cause\n  one\n  two\nremedy: the remedy\nlog: /a/log\n")


def test_reproducer_repeats_the_arguments_of_the_user(monkeypatch):
    seen = []
    monkeypatch.delenv("QEMU_HARNESS_COMMAND", raising=False)  # nox -s mutate sets it
    monkeypatch.setitem(commands.STAGES, "which", lambda request: seen.append(request.command) or 0)
    cli.main(["which", "-Dpin=7.2", "base", "a b"])
    monkeypatch.setenv("QEMU_HARNESS_COMMAND", "nox -s which --")
    cli.main(["which", "-Dpin=7.2", "base", "a b"])
    cli.main(["--die-with-parent", "which", "base", "x"])
    assert seen == [
        "qemu-harness which -Dpin=7.2 base 'a b'",
        "nox -s which -- -Dpin=7.2 base 'a b'",
        "nox -s which -- base x",
    ]


@pytest.mark.slow
def test_closed_pipe_of_the_reader_ends_with_sigpipe_status(environment, tmp_path):
    environment["PATH"] = str(tmp_path)  # no apt-get there: a unit test must never install anything
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "doctor"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        child.stdout.close()
        assert "Traceback" not in child.stderr.read()
    assert child.returncode == 128 + signal.SIGPIPE


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_error(environment, closed):
    ended = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-m", "harness", "check"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


def test_interrupt_gives_status_130(monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.STAGES, "which", stop)
    assert cli.main(["which", "base", "x"]) == 130
    assert capsys.readouterr().err.startswith("error: stopped by request\nremedy: ")


@pytest.mark.slow
def test_characters_that_the_locale_lacks_are_escaped(environment):
    ended = harness({**environment, "PYTHONIOENCODING": "ascii"}, "fetch", "-Dpin=\N{EN DASH}")
    assert ended.returncode == 2
    assert "\\u2013" in ended.stderr


@pytest.mark.skipif(shutil.which("qemu-harness") is None, reason="the console script is not on PATH")
def test_console_script_prints_help():
    ended = subprocess.run(["qemu-harness", "--help"], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("usage: qemu-harness")
