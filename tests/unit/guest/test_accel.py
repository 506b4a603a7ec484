from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.guest import accel
from harness.guest.accel import probe_accel
from harness.guest.boot import Boot
from harness.guest.firmware import Firmware
from harness.progress import Silent

from .support import fake_binary

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow

NONE = Firmware(folders=())


def probe(folder, requested, *, name="qemu-fake", target="x86_64-softmmu", **fields):
    reporter, binary = Silent(), fake_binary(folder, name)
    with pytest.MonkeyPatch.context() as patched:
        # A stand-in that runs needs time to start on a busy machine.
        patched.setattr(accel, "PROBE_LIMIT_S", 0.2 if name == "qemu-frozen" else 20.0)
        found = probe_accel(
            binary, target, requested, NONE, reporter, logs=folder / "logs", host="x86_64", **fields
        )
    return found, reporter.lines


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(accel, "LINUX_LIMIT_S", 0.5)
    monkeypatch.setattr(accel, "LINUX_MIB", 1)


FROZEN = "x86_64-softmmu paused: using TCG, because under KVM no guest instruction ran in 0.2 s"


@pytest.mark.parametrize(
    ("requested", "binary", "name", "runs", "line"),
    [
        ("auto", "qemu-fake", "kvm", True, ""),
        ("auto", "qemu-frozen", "tcg", True, FROZEN),
        ("kvm", "qemu-frozen", "kvm", False, "no guest instruction ran"),
        ("auto", "qemu-nokvm", "tcg", True, "Permission denied"),
    ],
)
def test_kvm_is_used_if_the_firmware_prints_or_if_it_is_requested(
    tmp_path, requested, binary, name, runs, *, line
):
    found, lines = probe(tmp_path, requested, name=binary)
    assert (found.name, found.runs, len(lines)) == (name, runs, bool(line))
    assert line in "".join(lines)


@pytest.mark.parametrize(
    ("target", "requested"), [("s390x", "auto"), ("s390x", "kvm"), ("s390x", "tcg"), ("x86_64", "tcg")]
)
def test_foreign_target_or_requested_tcg_is_not_probed(tmp_path, target, requested):
    words = (f"{target}-softmmu", requested, NONE, Silent())
    assert probe_accel(tmp_path / "none", *words, logs=tmp_path, host="x86_64").name == "tcg"


BOOT = Boot(kernel=Path("/kernel"), initrd=Path("/initrd"), release="6.1")


LINUX = {"payload": "linux", "boot": BOOT}


def test_payload_linux_is_probed_with_linux(tmp_path):
    found, lines = probe(tmp_path, "auto", name="qemu-linux", **LINUX)
    assert (found.name, found.payload, lines) == ("kvm", "linux", [])
    assert found.reason == "its Linux ran under KVM"


def test_kvm_that_runs_only_firmware_falls_back_for_linux_only(tmp_path):
    found, (line,) = probe(tmp_path, "auto", name="qemu-mute", **LINUX)
    assert found.name == "tcg"
    assert line.startswith("x86_64-softmmu linux: using TCG, because under KVM ")
    assert "not ready after 0.5 s" in line
    assert probe(tmp_path, "auto", name="qemu-mute")[0].name == "kvm"


@pytest.mark.parametrize(
    ("binary", "words", "cause"),
    [
        ("qemu-nokvm", {}, r"KVM cannot be used: .*Permission denied"),
        ("qemu-mute", LINUX, "payload linux does not run under this machine's KVM"),
        ("qemu-frozen", LINUX, r"payload linux does not run .* no guest instruction ran"),
    ],
)
def test_unusable_kvm_is_an_error_if_requested(tmp_path, binary, words, cause):
    with pytest.raises(GuestError, match=cause):
        probe(tmp_path, "kvm", name=binary, **words)


def test_probe_writes_only_to_the_log_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    probe(tmp_path, "auto")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "qemu-fake"]
