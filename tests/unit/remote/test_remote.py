"""Runs on other hosts: copied files, commands, and cleanup."""

import contextlib
import getpass
import io
import os
import select
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.bench import Subject
from harness.errors import InterruptedRunError, MissingError, OptionError, RemoteError
from harness.layout import find_layout
from harness.progress import Silent
from harness.remote import run as module
from harness.remote.bundle import binary_words, gate_files, pack_assets, pack_code
from harness.remote.hosts import Container, Ssh, choose_hosts, run_on
from harness.remote.prepare import read_stamp
from harness.remote.run import _ControlPipes, layout_of, run_remote
from tests.unit.build.support import make_options
from tests.unit.defaults import ROOT
from tests.unit.programs import wait_until, write_program
from tests.unit.repositories import touch_files

SUPERVISOR = ROOT / "harness" / "remote" / "supervisor.py"


@dataclass(frozen=True)
class Here:
    """This machine as a host."""

    name: str = "here"

    def open(self):
        return contextlib.nullcontext()

    def argv(self, command):
        return [*command]


def subject(path, variant="base", host="native", options=()):
    target = "x86_64-softmmu"
    return Subject(variant=variant, host=host, target=target, path=str(path), options=options)


@pytest.fixture
def program(tmp_path):
    return write_program(tmp_path / "qemu-system-x86_64", "echo no QEMU at all >&2; exit 3")


def test_hosts_are_selected_by_options(tmp_path):
    assert choose_hosts(make_options(), tmp_path) == ()
    asked = make_options(spawner="remote", spawner_hosts=("lpar", "me@big"), spawner_ssh="ssh -F 'a b'")
    assert choose_hosts(asked, tmp_path) == (
        Ssh(name="lpar", program=("ssh", "-F", "a b")),
        Ssh(name="me@big", program=("ssh", "-F", "a b")),
    )
    (image,) = choose_hosts(make_options(spawner="podman", spawner_hosts=("debian:12",)), tmp_path)
    assert isinstance(image, Container)
    for bad in (
        {"spawner": "remote"},
        {"spawner_hosts": ("lpar",)},
        {"spawner": "remote", "spawner_hosts": ("-oProxyCommand=evil",)},
        {"spawner": "podman", "spawner_hosts": ("a b",)},
    ):
        with pytest.raises(OptionError):
            choose_hosts(make_options(**bad), tmp_path)


def test_arguments_are_quoted_for_the_remote_shell():
    words = Ssh(name="lpar").argv(["printf", "%s", "a b; $HOME"])
    assert words[-1] == "printf %s 'a b; $HOME'"
    assert "BatchMode=yes" in words


def test_bundle_contains_harness_binaries_and_gates(program, tmp_path):
    layout = find_layout(ROOT)
    subjects = [subject(program), subject(program, "patched", options=("-async-teardown",))]
    gates = tmp_path / "own.toml"
    gates.write_text('[[gate]]\nname = "x"\nkind = "recorded"\nfile = "ratios.json"\n')
    (tmp_path / "ratios.json").write_text('{"schema": 1, "command": "x", "ratios": []}')
    files = gate_files(str(gates), layout.root)
    assert files == (gates, tmp_path / "ratios.json")
    assert gate_files("", layout.root) == ()
    with tarfile.open(fileobj=io.BytesIO(pack_code(layout, subjects, files))) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert members["bin/patched/qemu-system-x86_64"].mode & 0o100
    assert {"harness/cli.py", "tests/avocado/teardown.py", "gates/own.toml", "gates/ratios.json"} <= set(
        members
    )
    assert not any("__pycache__" in name or name.startswith("patches") for name in members)
    assert {member.uname for member in members.values()} == {""}
    assert binary_words(subjects, "/there") == [
        "--binary",
        "base=/there/bin/base/qemu-system-x86_64",
        "--binary",
        "patched=/there/bin/patched/qemu-system-x86_64,-async-teardown",
    ]


def test_assets_contain_only_files_of_guests(layout):
    names = ("firmware/1/bios.bin", "ccache/object", "downloads/qemu.tar.xz", "downloads/debs/a.deb")
    touch_files(layout.cache, *names)
    with tarfile.open(fileobj=io.BytesIO(pack_assets(layout))) as tar:
        files = {member.name for member in tar.getmembers() if member.isfile()}
    assert files == {"firmware/1/bios.bin", "downloads/debs/a.deb"}


def test_each_host_has_a_separate_folder(layout):
    assert layout_of(layout, "me@big.example").build == layout.build / "spawned" / "me-big.example"
    assert layout_of(layout, "registry/debian:12").build == layout.build / "spawned" / "registry-debian-12"


def test_host_without_a_matching_binary_is_an_error(layout, program):
    (run,) = run_remote(
        replace(layout, root=ROOT), make_options(), [subject(program, host="s390x")], [Here()], Silent()
    )
    assert isinstance(run.error, RemoteError)
    assert "no binary was built for it" in run.error.cause


def test_closed_control_pipes_reach_end_of_file():
    pipes = _ControlPipes()
    with pipes.open() as one, pipes.open() as two:
        assert not select.select([one, two], [], [], 0)[0]
        pipes.close()
        assert len(select.select([one, two], [], [], 5)[0]) == 2
        assert one.read(1) == b""
    with pytest.raises(InterruptedRunError), pipes.open():
        pass


def test_interrupt_stops_all_hosts(layout, program, monkeypatch):
    ended = []

    def wait(host, *rest):
        if host.name == "first":
            raise KeyboardInterrupt
        try:
            with rest[-1].open() as pipe:
                assert pipe.read(1) == b""
        finally:
            ended.append(host.name)
        raise RemoteError("stopped", "run again")

    monkeypatch.setattr(module, "_on_host", wait)
    hosts = [Here(name) for name in ("first", "second", "third")]
    with pytest.raises(KeyboardInterrupt):
        run_remote(replace(layout, root=ROOT), make_options(), [subject(program)], hosts, Silent())
    assert sorted(ended) == ["second", "third"]


@pytest.mark.slow
def test_run_without_results_reports_the_reason_and_leaves_no_files(layout, program, monkeypatch):
    if not read_stamp(Path(sys.prefix)):
        pytest.skip("needs the environment of nox: otherwise the test would create one")
    monkeypatch.setenv("QEMU_HARNESS_CACHE", str(layout.cache))
    options = make_options(given=("-Dmemory=no-size", "-Dspawner=remote"))
    (run,) = run_remote(replace(layout, root=ROOT), options, [subject(program)], [Here()], Silent())
    assert isinstance(run.error, RemoteError)
    assert "no results" in run.error.cause
    assert any("no-size" in line for line in run.error.details), run.error.details
    assert list((layout.cache / "remote").iterdir()) == []


def test_supervisor_ends_the_program_when_stdin_is_closed(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    script = (
        f"trap 'echo > {tmp_path}/unwound; exit 9' TERM; echo > {tmp_path}/up; while :; do sleep 0.05; done"
    )
    with subprocess.Popen(
        [sys.executable, "-I", SUPERVISOR, folder, "sh", "-c", script], stdin=subprocess.PIPE
    ) as supervisor:
        wait_until((tmp_path / "up").exists)
        supervisor.stdin.close()
        assert supervisor.wait(20) == 9
    assert (tmp_path / "unwound").exists()
    assert not folder.exists()


def test_supervisor_returns_the_status_of_the_program(tmp_path):
    words = [sys.executable, "-I", SUPERVISOR, tmp_path, "sh", "-c", "exit 7"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as supervisor:
        assert supervisor.wait(20) == 7
    assert tmp_path.exists()


@pytest.fixture
def ssh(tmp_path):
    """The ssh command for host ``lpar``: a private sshd on loopback, with temporary keys."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("openssh-server and openssh-client are not both installed")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd requires it
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nUsePAM no\nPasswordAuthentication no\n"
    )
    (tmp_path / "config").write_text(
        f"Host lpar\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentitiesOnly yes\n"
        f" IdentityFile {tmp_path}/user\n UserKnownHostsFile {tmp_path}/known\n"
        " StrictHostKeyChecking accept-new\n"
    )
    with subprocess.Popen([sshd, "-D", "-f", tmp_path / "sshd_config", "-E", tmp_path / "log"]) as daemon:
        try:
            yield ("ssh", "-F", str(tmp_path / "config"))
        finally:
            daemon.terminate()


@pytest.mark.slow
def test_commands_run_over_ssh(ssh, tmp_path):
    host = Ssh(name="lpar", program=ssh)
    deadline = time.monotonic() + 20
    while True:
        try:
            with host.open():
                break
        except RemoteError:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
    assert run_on(host, ["printf", "%s", "a b; $HOME"]).output.endswith("a b; $HOME")
    assert run_on(host, ["cat"], stdin=b"\0\xff" * 10000, merge_stderr=False).output
    with pytest.raises(RemoteError, match="status 7"):
        run_on(host, ["sh", "-c", "exit 7"])
    unknown = Ssh(name="nowhere.invalid", program=ssh)
    with pytest.raises(RemoteError, match="cannot be reached"), unknown.open():
        pass


@pytest.mark.slow
def test_lost_connection_ends_the_program_and_removes_its_folder(ssh, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    script = f"echo $$ > {tmp_path}/pid; exec sleep 600"
    words = [sys.executable, "-I", str(SUPERVISOR), str(folder), "sh", "-c", script]
    argv = Ssh(name="lpar", program=ssh).argv(words)
    for _ in range(50):
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as connection:
            with contextlib.suppress(subprocess.TimeoutExpired):
                connection.wait(1)
                continue  # sshd was not up yet
            wait_until((tmp_path / "pid").exists)
            connection.kill()
            break
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not (Path(f"/proc/{pid}").exists() or folder.exists()))


def test_missing_ssh_or_podman_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError), Ssh(name="lpar").open():
        pass
    with pytest.raises(MissingError), Container(name="x", shared=tmp_path, container="c").open():
        pass
