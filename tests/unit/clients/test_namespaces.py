"""harness.clients.namespaces and session: files visible to the private libvirtd, requests and replies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness.clients.namespaces import driver_folder, make_namespaces, namespace_words
from harness.clients.session import STOPPED, Reply, Session
from harness.errors import LibvirtError
from harness.guest.spawn import Child


def pairs(words, option):
    """Return target → source of each bind."""
    return {words[index + 2]: words[index + 1] for index, word in enumerate(words) if word == option}


def test_folders_of_the_system_are_hidden(tmp_path):
    namespaces = make_namespaces(tmp_path / "cell")
    words = namespace_words(namespaces, Path("/usr/lib/x/libvirt/connection-driver"), (), talk_fd=7)
    written = pairs(words, "--bind")
    assert set(written) == {"/etc", "/run", "/var"}
    assert all(Path(source).is_relative_to(namespaces.folder) for source in written.values())
    # Other files are read-only, there is no network, and all processes end with bwrap.
    assert pairs(words, "--ro-bind")["/"] == "/"
    assert {"--unshare-pid", "--unshare-net", "--die-with-parent"} <= set(words)
    assert words[-1] == "7"


def test_only_the_qemu_driver_is_visible(tmp_path):
    folder = tmp_path / "x86_64-linux-gnu/libvirt/connection-driver"
    folder.mkdir(parents=True)
    with pytest.raises(LibvirtError):
        driver_folder(tmp_path)
    (folder / "libvirt_driver_qemu.so").touch()
    (folder / "libvirt_driver_network.so").touch()
    assert driver_folder(tmp_path) == folder
    words = namespace_words(make_namespaces(tmp_path / "cell"), folder, (), talk_fd=7)
    assert words[words.index(str(folder)) - 1] == "--tmpfs"
    assert [target for target in pairs(words, "--ro-bind") if target.startswith(f"{folder}/")] == [
        f"{folder}/libvirt_driver_qemu.so"
    ]


def test_needed_files_are_visible_in_any_folder(tmp_path):
    needed = (Path("/var/lib/ci/qemu"), Path("/run/user/firmware"), Path("/opt/qemu"))
    words = namespace_words(make_namespaces(tmp_path / "cell"), tmp_path, needed, talk_fd=7)
    shown = pairs(words, "--ro-bind")
    assert shown["/var/lib/ci/qemu"] == "/var/lib/ci/qemu"
    assert "/run/user/firmware" in shown
    assert "/opt/qemu" not in shown
    assert words.index("/var/lib/ci/qemu") > words.index("/var")


def test_libvirt_uses_the_given_cgroup_as_root(tmp_path):
    group = tmp_path / "group"
    namespaces = make_namespaces(tmp_path / "cell", controllers='"memory"')
    words = namespace_words(namespaces, tmp_path, (), talk_fd=7, group=group)
    assert pairs(words, "--bind")["/sys/fs/cgroup/memory"] == str(group)
    assert "--unshare-cgroup" in words
    assert "--unshare-cgroup" not in namespace_words(namespaces, tmp_path, (), talk_fd=7)
    text = (namespaces.folder / "etc/libvirt/qemu.conf").read_text(encoding="ascii")
    assert 'cgroup_controllers = ["memory"]' in text.splitlines()


def test_configuration_is_written_and_old_files_are_removed(tmp_path):
    folder = make_namespaces(tmp_path / "cell").folder
    text = (folder / "etc/libvirt/qemu.conf").read_text(encoding="ascii")
    for line in ('stdio_handler = "file"', "cgroup_controllers = []", 'user = "root"', "namespaces = []"):
        assert line in text.splitlines()
    assert "libvirt-qemu:" in (folder / "etc/passwd").read_text(encoding="ascii")
    (folder / "run/stale").touch()
    make_namespaces(folder)
    assert not (folder / "run/stale").exists()


@contextlib.contextmanager
def talking(tmp_path):
    """Open a session, with the other end for the test."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen(["sleep", "60"]) as process, ours:
        pidfd = os.pidfd_open(process.pid)
        try:
            child = Child(process=process, pidfd=pidfd, log=tmp_path / "log")
            yield Session(make_namespaces(tmp_path / "cell"), child, ours, 5.0), theirs
        finally:
            theirs.close()
            process.send_signal(signal.SIGKILL)
            os.close(pidfd)


def line(**message):
    return json.dumps(message).encode() + b"\n"


def test_replies_and_events_are_distinguished(tmp_path):
    with talking(tmp_path) as (session, far):
        far.sendall(line(did="connect", error="", value="9.0.0"))
        session.connect()
        assert session.version == "9.0.0"
        session.send("destroy", name="d")
        assert json.loads(far.recv(4096)) == {"do": "destroy", "name": "d"}
        early = line(event="lifecycle", name="d", kind=STOPPED, detail=1, at=5)
        late = line(event="lifecycle", name="d", kind=STOPPED, detail=1, at=20)
        other = line(event="lifecycle", name="e", kind=STOPPED, detail=1, at=15)
        reply = line(did="destroy", error="", began=10, ended=30)
        for part in (early + other, b"no JSON\n", late[:9], late[9:] + reply):
            far.sendall(part)
        assert session.reply("destroy") == Reply(did="destroy", began=10, ended=30)
        found = session.event("d", STOPPED, 10, 1)
        assert found.at == 20
        assert session.event("d", STOPPED, 21, 0) is None


def test_error_of_libvirt_is_quoted(tmp_path):
    with talking(tmp_path) as (session, far):
        threading.Timer(0.05, far.sendall, [line(did="create", error="internal error:\nno")]).start()
        with pytest.raises(LibvirtError, match="create: internal error: no"):
            session.ask("create", name="d")


def test_end_of_libvirtd_is_an_error(tmp_path):
    with talking(tmp_path) as (session, far):
        far.close()
        with pytest.raises(LibvirtError, match="ended before it answered"):
            session.reply("destroy")
