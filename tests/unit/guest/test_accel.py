from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.guest import Boot, Firmware, accel
from harness.guest.accel import probe_accel
from harness.progress import Silent

from .support import fake_binary

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow

NONE = Firmware(folders=())


def probe(folder, requested, *, name="qemu-fake", target="x86_64-softmmu", **fields):
    reporter, binary = Silent(), fake_binary(folder, name)
    found = probe_accel(
        binary, target, requested, NONE, reporter, logs=folder / "logs", host="x86_64", **fields
    )
    return found, reporter.lines


def test_kvm_is_used_if_the_firmware_prints(tmp_path):
    found, lines = probe(tmp_path, "auto")
    assert (found.name, found.runs, lines) == ("kvm", True, [])


def test_kvm_that_runs_no_instruction_falls_back_to_tcg(tmp_path, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    found, lines = probe(tmp_path, "auto", name="qemu-frozen")
    assert found.name == "tcg"
    assert lines == ["x86_64-softmmu paused: using TCG, because under KVM no guest instruction ran in 0.2 s"]


def test_requested_kvm_is_used_although_it_runs_no_instruction(tmp_path, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    found, lines = probe(tmp_path, "kvm", name="qemu-frozen")
    assert (found.name, found.runs) == ("kvm", False)
    assert len(lines) == 1


def test_unusable_kvm_is_an_error_if_requested(tmp_path):
    with pytest.raises(GuestError, match=r"KVM cannot be used: .*Permission denied"):
        probe(tmp_path, "kvm", name="qemu-nokvm")


def test_unusable_kvm_falls_back_to_tcg_with_auto(tmp_path):
    found, lines = probe(tmp_path, "auto", name="qemu-nokvm")
    assert found.name == "tcg"
    assert "Permission denied" in lines[0]


@pytest.mark.parametrize("requested", ["auto", "kvm", "tcg"])
def test_foreign_target_uses_tcg_without_a_probe(tmp_path, requested):
    found = probe_accel(
        tmp_path / "none", "s390x-softmmu", requested, NONE, Silent(), logs=tmp_path, host="x86_64"
    )
    assert found.name == "tcg"


def test_requested_tcg_is_not_probed(tmp_path):
    assert (
        probe_accel(tmp_path / "none", "x86_64-softmmu", "tcg", NONE, Silent(), logs=tmp_path).name == "tcg"
    )


BOOT = Boot(kernel=Path("/kernel"), initrd=Path("/initrd"), release="6.1")


@pytest.fixture
def linux(monkeypatch):
    """Options of a probe with Linux, and a small guest for the fake QEMU."""
    monkeypatch.setattr(accel, "LINUX_MIB", 1)
    return {"payload": "linux", "boot": BOOT}


def test_payload_linux_is_probed_with_linux(tmp_path, linux):
    found, lines = probe(tmp_path, "auto", name="qemu-linux", **linux)
    assert (found.name, found.payload, lines) == ("kvm", "linux", [])
    assert found.reason == "its Linux ran under KVM"


def test_kvm_that_runs_only_firmware_falls_back_for_linux_only(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "LINUX_LIMIT_S", 0.5)
    found, lines = probe(tmp_path, "auto", name="qemu-mute", **linux)
    assert found.name == "tcg"
    (line,) = lines
    assert line.startswith("x86_64-softmmu linux: using TCG, because under KVM ")
    assert "not ready after 0.5 s" in line
    assert probe(tmp_path, "auto", name="qemu-mute")[0].name == "kvm"


def test_kvm_that_runs_no_linux_is_an_error_if_requested(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "LINUX_LIMIT_S", 0.5)
    with pytest.raises(GuestError, match="payload linux does not run under this machine's KVM"):
        probe(tmp_path, "kvm", name="qemu-mute", **linux)


def test_kvm_that_runs_no_instruction_is_an_error_if_requested_with_linux(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    with pytest.raises(GuestError, match=r"payload linux does not run .* no guest instruction ran"):
        probe(tmp_path, "kvm", name="qemu-frozen", **linux)


def test_probe_writes_only_to_the_log_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    probe(tmp_path, "auto")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "qemu-fake"]
