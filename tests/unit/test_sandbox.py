"""Untrusted code in the sandbox cannot harm the machine."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import diskwatch
from harness import sandbox as module
from harness.errors import MissingError
from harness.progress import Silent
from harness.sandbox import NO_SANDBOX, open_sandbox
from tests.unit.defaults import ROOT
from tests.unit.programs import running, wait_until, write_program

pytestmark = pytest.mark.slow


@pytest.fixture
def place(layout):
    """A build folder with sources next to it, and a shared compiler cache."""
    folder = layout.build / "x" / "native"
    folder.mkdir(parents=True)
    source = folder.parent / "src"
    source.mkdir()
    (source / "a.c").write_text("int a;\n")
    layout.ccache.mkdir(parents=True)
    (layout.ccache / "object").write_text("shared")
    return folder


@pytest.fixture
def sandbox(layout, place):
    try:
        with open_sandbox(layout, "bwrap", Silent()) as found:
            yield found
    except MissingError as error:
        pytest.skip(error.cause)


@pytest.fixture
def in_sandbox(sandbox, place):
    def run(script):
        argv = sandbox.wrap(("sh", "-c", script), place)
        return subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)

    return run


def test_program_can_build_in_its_folder(in_sandbox, place):
    ended = in_sandbox(
        "cc -c ../src/a.c -o a.o && ccache --version >/dev/null && python3 -c pass && pwd && nproc"
    )
    assert ended.returncode == 0, ended.stderr
    assert (place / "a.o").is_file()
    assert ended.stdout.splitlines()[0] == str(place)


def test_program_cannot_access_other_files(in_sandbox, place, tmp_path, layout):
    secret = tmp_path / "secret"
    secret.write_text("key")
    hook = layout.root / ".git" / "hooks" / "pre-commit"
    ended = in_sandbox(
        f"cat {secret} ~/.ssh/id_rsa {Path.home()}/.bashrc; echo x > ../src/a.c; rm -f ../src/a.c; "
        f"mkdir -p {hook.parent}; echo x > {hook}; echo x > {layout.ccache}/object; "
        "echo x > /etc/passwd; echo end"
    )
    assert ended.stdout == "end\n"
    assert (place.parent / "src" / "a.c").read_text() == "int a;\n"
    assert not hook.exists()
    assert (layout.ccache / "object").read_text() == "shared"
    assert sorted(path.name for path in place.parent.iterdir()) == ["ccache", "native", "src"]


def test_only_the_lock_of_meson_can_be_written_in_the_sources(in_sandbox, place, tmp_path):
    folder = place.parent / "src" / "subprojects"
    folder.mkdir()
    (folder / "a.wrap").touch()
    script = "exec 9<>../src/subprojects/.wraplock && flock 9; echo x > ../src/subprojects/a.wrap; echo end"
    ended = in_sandbox(script)
    assert (ended.stdout, ended.stderr.count("Read-only")) == ("end\n", 1)
    assert (folder / "a.wrap").read_text() == ""
    (folder / ".wraplock").unlink()
    target = tmp_path / "victim"
    target.write_text("")
    (folder / ".wraplock").symlink_to(target)
    in_sandbox("echo x > ../src/subprojects/.wraplock")
    assert target.read_text() == ""


def test_compiler_cache_is_a_private_copy(in_sandbox, place, layout):
    assert in_sandbox('cat "$CCACHE_DIR/object"; echo evil > "$CCACHE_DIR/object"').stdout == "shared"
    assert (place.parent / "ccache" / "object").read_text() == "evil\n"
    assert (layout.ccache / "object").read_text() == "shared"


def test_trusted_program_has_the_shared_cache_and_the_network(sandbox, place, layout):
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        script = f'echo new > "$CCACHE_DIR/other"; python3 -c "{reach}"; echo x > ../src/a.c'
        argv = sandbox.trusting().wrap(("sh", "-c", script), place)
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
    assert (ended.stderr.count("Refused"), ended.stderr.count("Read-only")) == (0, 1)
    assert (layout.ccache / "other").read_text() == "new\n"
    assert not (place.parent / "ccache").exists()


def test_environment_is_filtered(in_sandbox, monkeypatch):
    monkeypatch.setenv("CI_JOB_TOKEN", "SECRET")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("CFLAGS", "-O1")
    variables = in_sandbox("env").stdout.splitlines()
    assert not [line for line in variables if "SECRET" in line or "agent" in line]
    assert "CFLAGS=-O1" in variables
    assert any(line.startswith("PATH=") for line in variables)


def test_toolchain_of_rustup_is_found(layout, place, monkeypatch, tmp_path):
    """rustup's rustc starts that of RUSTUP_HOME, by default below the user's home folder."""
    programs, home = tmp_path / "cargo" / "bin", tmp_path / "rustup"
    home.mkdir(parents=True)
    for name in ("rustup", "rustc"):
        write_program(programs / name, 'cat "$RUSTUP_HOME/version"')
    (home / "version").write_text("1.85")
    (programs.parent / "credentials.toml").write_text("token")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("RUSTUP_HOME", str(home))
    script = f"rustc; cat {programs.parent}/credentials.toml"
    for has_rustup in (True, False):
        with open_sandbox(layout, "auto", Silent()) as found:
            if found is NO_SANDBOX:
                pytest.skip("bubblewrap does not work here")
            argv = found.wrap(("sh", "-c", script), place)
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
        assert ended.stdout == ("1.85" if has_rustup else "")
        (programs / "rustup").unlink(missing_ok=True)


def test_program_has_no_network(in_sandbox):
    listener = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"
    assert in_sandbox(f'python3 -c "{listener}"').returncode == 0, "the sandbox has its own loopback"
    with subprocess.Popen(
        ["python3", "-u", "-c", listener + "; s.settimeout(20); s.accept()"],
        stdout=subprocess.PIPE,
        text=True,
    ) as outside:
        port = int(outside.stdout.readline())
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        assert in_sandbox(f'python3 -c "{reach}"').returncode != 0
        outside.kill()


def test_daemon_ends_with_the_program(in_sandbox):
    ended = in_sandbox("setsid -f sleep 7654.321 </dev/null >/dev/null 2>&1; sleep 0.2; echo started")
    assert ended.stdout == "started\n"
    wait_until(lambda: not running("sleep 7654.321"))


def test_number_of_processes_is_limited(layout, place, monkeypatch):
    monkeypatch.setattr(module, "PROCESSES", 40)
    with open_sandbox(layout, "auto", Silent()) as found:
        if not getattr(found, "groups", ()):
            pytest.skip("no control groups can be made here")
        script = "i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i+1)); done; echo all"
        ended = subprocess.run(
            found.wrap(("sh", "-c", script), place), capture_output=True, text=True, timeout=50, check=False
        )
        assert "all" not in ended.stdout
        assert "fork" in ended.stderr
        groups = found.groups
    assert not any(group.exists() for group in groups)


def test_size_of_files_is_limited(layout, place, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES", 1024 * 1024)
    with open_sandbox(layout, "auto", Silent()) as found:
        if found is NO_SANDBOX:
            pytest.skip("bubblewrap does not work here")
        subprocess.run(
            found.wrap(("sh", "-c", "head -c 5000000 /dev/zero > big"), place),
            capture_output=True,
            timeout=50,
            check=False,
        )
    assert (place / "big").stat().st_size <= 1024 * 1024


def test_total_size_of_files_is_limited(layout, place, monkeypatch):
    monkeypatch.setattr(module, "DISK_BYTES", 20 * 1024 * 1024)
    with open_sandbox(layout, "auto", Silent()) as found:
        if found is NO_SANDBOX:
            pytest.skip("bubblewrap does not work here")
        fill = "i=0; while :; do head -c 1000000 /dev/urandom > f$i; i=$((i+1)); sleep 0.01; done"
        argv = found.wrap(("sh", "-c", fill), place)
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == diskwatch.TOO_MUCH
    assert "more than 0.0 GiB" in ended.stderr
    written = diskwatch.used_bytes([str(place)])
    time.sleep(0.5)
    assert diskwatch.used_bytes([str(place)]) == written, "it has ended"


def test_diskwatch_returns_the_status_of_the_program(tmp_path):
    watch = [sys.executable, "-I", diskwatch.__file__, "1000000", str(tmp_path), "--"]
    assert subprocess.run([*watch, "sh", "-c", "exit 7"], check=False).returncode == 7
    assert subprocess.run([*watch, "sh", "-c", "kill -9 $$"], check=False).returncode == 128 + 9
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "gone").symlink_to("nowhere")
    (folder / "here").write_bytes(b"x" * 10000)
    assert (
        10000 <= diskwatch.used_bytes([str(folder), "/nonexistent"]) < 1024**2
    )  # file systems allocate ahead


def test_sigterm_of_diskwatch_ends_the_program(tmp_path):
    script = f"echo > {tmp_path}/up; exec sleep 60"
    watch = [sys.executable, "-I", diskwatch.__file__, "1000000", str(tmp_path), "--", "sh", "-c", script]
    with subprocess.Popen(watch) as child:
        wait_until((tmp_path / "up").exists)
        child.terminate()
        assert child.wait(20) == 128 + 15


def test_sigterm_before_the_start_of_the_program_ends_it(tmp_path):
    script = (
        "import os, signal, subprocess, sys; from harness import diskwatch\n"
        "real = subprocess.Popen\n"
        "def late(argv):\n    os.kill(os.getpid(), signal.SIGTERM); return real(argv)\n"
        "subprocess.Popen = late\n"
        f"sys.exit(diskwatch.main(['1000000', {str(tmp_path)!r}, '--', 'sleep', '60']))"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=30, cwd=ROOT)
    assert ended.returncode == 128 + 15


def test_auto_warns_if_there_is_no_sandbox(layout, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    reporter = Silent()
    with open_sandbox(layout, "auto", reporter) as found:
        assert found is NO_SANDBOX
    assert "without a sandbox" in reporter.lines[-1]
    with pytest.raises(MissingError, match="bwrap is not installed"), open_sandbox(layout, "bwrap", reporter):
        pass
    with open_sandbox(layout, "none", reporter) as found:
        assert found.wrap(("a", "b"), Path("/")) == ("a", "b")
