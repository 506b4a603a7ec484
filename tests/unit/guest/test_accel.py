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


def probe(folder, wish, *, name="qemu-fake", target="x86_64-softmmu", **fields):
    said, binary = Silent(), fake_binary(folder, name)
    found = probe_accel(binary, target, wish, NONE, said, logs=folder / "logs", host="x86_64", **fields)
    return found, said.lines


def test_output_of_the_firmware_proves_kvm(tmp_path):
    found, said = probe(tmp_path, "auto")
    assert (found.name, found.runs, said) == ("kvm", True, [])


def test_kvm_that_never_runs_an_instruction_falls_back_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    found, said = probe(tmp_path, "auto", name="qemu-frozen")
    assert found.name == "tcg"
    assert said == ["x86_64-softmmu paused: TCG, because under KVM no guest instruction ran in 0.2 s"]


def test_kvm_that_was_asked_for_stays_though_it_never_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    found, said = probe(tmp_path, "kvm", name="qemu-frozen")
    assert (found.name, found.runs) == ("kvm", False)
    assert len(said) == 1


def test_kvm_that_cannot_be_used_is_an_error_when_asked_for(tmp_path):
    with pytest.raises(GuestError, match=r"KVM cannot be used: .*Permission denied"):
        probe(tmp_path, "kvm", name="qemu-nokvm")


def test_kvm_that_cannot_be_used_falls_back_when_auto(tmp_path):
    found, said = probe(tmp_path, "auto", name="qemu-nokvm")
    assert found.name == "tcg"
    assert "Permission denied" in said[0]


@pytest.mark.parametrize("wish", ["auto", "kvm", "tcg"])
def test_a_foreign_target_is_tcg_and_nothing_is_started(tmp_path, wish):
    found = probe_accel(
        tmp_path / "none", "s390x-softmmu", wish, NONE, Silent(), logs=tmp_path, host="x86_64"
    )
    assert found.name == "tcg"


def test_tcg_that_was_asked_for_is_not_probed(tmp_path):
    assert (
        probe_accel(tmp_path / "none", "x86_64-softmmu", "tcg", NONE, Silent(), logs=tmp_path).name == "tcg"
    )


BOOT = Boot(kernel=Path("/kernel"), initrd=Path("/initrd"), release="6.1")


@pytest.fixture
def linux(monkeypatch):
    """Options of a probe with Linux. The stand-in holds little memory."""
    monkeypatch.setattr(accel, "LINUX_MIB", 1)
    return {"payload": "linux", "boot": BOOT}


def test_linux_is_tried_as_linux(tmp_path, linux):
    found, said = probe(tmp_path, "auto", name="qemu-linux", **linux)
    assert (found.name, found.payload, said) == ("kvm", "linux", [])
    assert found.reason == "its Linux ran under KVM"


def test_kvm_that_runs_firmware_and_no_linux_falls_back_for_linux_alone(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "LINUX_LIMIT_S", 0.5)
    found, said = probe(tmp_path, "auto", name="qemu-mute", **linux)
    assert found.name == "tcg"
    (line,) = said
    assert line.startswith("x86_64-softmmu linux: TCG, because under KVM ")
    assert "not ready after 0.5 s" in line
    assert probe(tmp_path, "auto", name="qemu-mute")[0].name == "kvm"


def test_kvm_that_runs_no_linux_is_an_error_when_asked_for(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "LINUX_LIMIT_S", 0.5)
    with pytest.raises(GuestError, match="payload linux does not run under this machine's KVM"):
        probe(tmp_path, "kvm", name="qemu-mute", **linux)


def test_kvm_that_never_runs_is_an_error_when_asked_for_with_linux(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    with pytest.raises(GuestError, match=r"payload linux does not run .* no guest instruction ran"):
        probe(tmp_path, "kvm", name="qemu-frozen", **linux)


def test_nothing_is_left_outside_the_log_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    probe(tmp_path, "auto")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "qemu-fake"]
