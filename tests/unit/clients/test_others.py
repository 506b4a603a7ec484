"""harness.clients.others and runner, with a fake QEMU."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from harness.clients import moments, others, runner
from harness.clients.moments import find_qemu
from harness.clients.others import try_client
from harness.clients.runner import TrialRunner, run_clients
from harness.errors import LibvirtError
from harness.guest.firmware import Firmware
from harness.guest.spawn import wait_pidfd
from tests.unit.bench.support import make_bench
from tests.unit.clients.support import PATCHED, row, trial
from tests.unit.guest.support import fake_binary
from tests.unit.programs import write_program
from tests.unit.teardown.test_scenario import options

HELPER_S = 2.0
"""Lifetime of the helper from QEMU's start: longer than any trial takes until its trigger."""


@pytest.fixture(autouse=True)
def _script(monkeypatch):
    """The fake QEMU is a script, so the process runs its interpreter."""
    python = Path(sys.executable).resolve()
    monkeypatch.setattr(others, "find_qemu", lambda root, binary: find_qemu(root, python))


def served(folder, mode=f"helper:{int(HELPER_S * 1e6)}"):
    path = str(fake_binary(folder))
    return msgspec.structs.replace(PATCHED, path=path, options=("-fake", mode))


def tried(client, folder, **fields):
    return try_client(
        trial(client, served(folder, **fields), memory_mib=1), firmware=(), pages="thp", log=folder / "log"
    )


@pytest.mark.slow
@pytest.mark.parametrize("client", ["cgroup main", "qmp quit", "qmp kill", "pipeline"])
def test_clients_that_wait_for_the_helper_are_notified_late(client, tmp_path):
    # The fake helper keeps QEMU's descriptors, so a pipeline and a client of the monitor must wait for it.
    found = tried(client, tmp_path)
    if found.outcome == "cancelled":
        pytest.skip(found.reason)
    assert (found.outcome, found.reason, found.helpers) == ("ok", "", 1)
    assert found.exit_s < 0.5 * found.back_s
    assert found.told_s > 0.9 * found.back_s


def test_a_client_that_fences_waits_for_the_helper_that_is_named_after_qemu():
    name = (
        "import ctypes, os, time; ctypes.CDLL(None).prctl(15, b'cleanup/%d' % os.getppid()); time.sleep(60)"
    )
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {name!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", start]) as qemu:
        family = psutil.Process(qemu.pid)
        while not any(child.name() == f"cleanup/{qemu.pid}" for child in family.children()):
            time.sleep(0.01)
        (helper,) = family.children()
        fence = others._open_fence(qemu.pid)
        try:
            qemu.kill()
            qemu.wait()
            assert not wait_pidfd(fence, 0)
            helper.kill()
            assert wait_pidfd(fence, 10)
        finally:
            os.close(fence)
            with contextlib.suppress(psutil.NoSuchProcess):  # it was killed, and init has reaped it
                helper.kill()


@pytest.mark.parametrize("client", ["timeout", pytest.param("shell", marks=pytest.mark.slow)])
def test_clients_that_end_the_process_group_are_notified_at_once(client, tmp_path):
    # The fake helper is in QEMU's process group, and therefore ends with it.
    found = tried(client, tmp_path)
    assert (found.outcome, found.reason, found.helpers) == ("ok", "", 1)
    assert max(found.told_s, found.back_s) < HELPER_S / 2


def test_guest_without_populated_memory_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(moments, "resident_mib", lambda pid: 0)
    with pytest.raises(Exception, match="not populated"):
        tried("timeout", tmp_path)


def test_missing_program_cancels(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tried("timeout", tmp_path).reason == "timeout is not installed"


def test_missing_cgroup_cancels(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.clients.groups.unified_mount", lambda text: None)
    assert tried("cgroup kill", tmp_path).outcome == "cancelled"


def run(layout, trials, reporter):
    rows = []
    bench = make_bench(layout, options(pages=("thp",)), [PATCHED], reporter=reporter)
    run_clients(bench, [trials], on_row=rows.append)
    return rows


def test_failure_gives_a_row_and_the_run_continues(layout, reporter, tmp_path, monkeypatch):
    bad = trial("timeout", served(tmp_path, "die"), memory_mib=1)
    large = trial("timeout", served(tmp_path), memory_mib=1 << 40)
    monkeypatch.setattr(runner, "MEMORY_WAIT_S", 0.0)
    failed, cancelled = run(layout, (bad, large), reporter)
    assert failed.outcome == "failed"
    assert "bad luck" in failed.reason
    assert cancelled.outcome == "cancelled"
    assert "MiB are available" in cancelled.reason
    assert any("bad luck" in line for line in reporter.lines)


def test_clients_that_need_a_namespace_are_cancelled_without_one(layout, reporter, tmp_path, monkeypatch):
    write_program(tmp_path / "bwrap", "echo 'bwrap: No permissions' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    names = ("bwrap", "libvirt destroy")
    rows = run(layout, tuple(trial(name, memory_mib=1) for name in names), reporter)
    reason = "bubblewrap does not work: bwrap: No permissions"
    assert [(one.outcome, one.reason) for one in rows] == [("cancelled", reason)] * 2


def test_libvirt_without_root_is_cancelled(layout, reporter, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (found,) = run(layout, (trial("libvirt destroy", memory_mib=1),), reporter)
    assert (found.outcome, found.reason) == ("cancelled", "a private libvirtd needs root")


def test_libvirt_cgroup_needs_version_1(layout, reporter, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(runner, "check_namespace", lambda: "")
    monkeypatch.setattr(runner, "make_group", lambda prefix: contextlib.nullcontext(None))
    (found,) = run(layout, (trial("libvirt cgroup", memory_mib=1),), reporter)
    assert found.outcome == "cancelled"
    assert "version 1" in found.reason


def test_libvirtd_is_started_again_after_a_failure(layout, monkeypatch):
    started = []

    def start(self, backend, *, controlled):
        if controlled not in self._sessions:
            started.append(controlled)
            self._sessions[controlled] = "session", None
        return "session", "meter"

    answers = iter([(row("libvirt destroy"),), LibvirtError("gone", "read"), (row("libvirt destroy"),)])

    def answer(*_, **__):
        found = next(answers)
        if isinstance(found, LibvirtError):
            raise found
        return found

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(TrialRunner, "_libvirtd", start)
    monkeypatch.setattr(runner, "try_domain", answer)
    monkeypatch.setattr(runner, "check_namespace", lambda: "")
    trials = (trial("libvirt destroy", memory_mib=1),) * 3
    with TrialRunner(layout, trials, Firmware(folders=()), "thp") as tries:
        outcomes = [tries.rows(each, 1)[0].outcome for each in trials]
    assert outcomes == ["ok", "failed", "ok"]
    assert len(started) == 2
