import pytest

from harness.errors import GuestError
from harness.guest import Firmware, accel
from harness.guest.accel import probe_accel
from harness.progress import Silent

from .support import fake_binary

NONE = Firmware(folders=())


def probe(folder, wish, *, name="qemu-fake", target="x86_64-softmmu"):
    said = Silent()
    return probe_accel(fake_binary(folder, name), target, wish, NONE, said, host="x86_64"), said.lines


def test_output_of_the_firmware_proves_kvm(tmp_path):
    found, said = probe(tmp_path, "auto")
    assert (found.name, found.runs, said) == ("kvm", True, [])


def test_kvm_that_never_runs_an_instruction_falls_back_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 0.2)
    found, said = probe(tmp_path, "auto", name="qemu-frozen")
    assert found.name == "tcg"
    assert said == ["x86_64-softmmu: TCG, because under KVM no guest instruction ran in 0.2 s"]


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
    found = probe_accel(tmp_path / "none", "s390x-softmmu", wish, NONE, Silent(), host="x86_64")
    assert found.name == "tcg"


def test_tcg_that_was_asked_for_is_not_probed(tmp_path):
    assert probe_accel(tmp_path / "none", "x86_64-softmmu", "tcg", NONE, Silent()).name == "tcg"
