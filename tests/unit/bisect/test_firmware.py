"""Firmware for QEMU's own tests, from the sources or from Debian's packages."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bisect import firmware
from harness.bisect.firmware import BUNDLE, PACKAGES, add_firmware
from harness.errors import FetchError
from tests.unit.repositories import write_files


@pytest.fixture
def build(tmp_path):
    (tmp_path / "native" / BUNDLE).mkdir(parents=True)
    (tmp_path / "src" / "pc-bios").mkdir(parents=True)
    targets = ("s390x-softmmu", "x86_64-softmmu")
    return SimpleNamespace(folder=str(tmp_path / "native"), source=str(tmp_path / "src"), targets=targets)


@pytest.fixture
def asked(tmp_path, layout, reporter, monkeypatch):
    """The packages that were fetched. They have the files that the real ones have."""
    asked = []
    place = tmp_path / "unpacked"
    names = ("seabios/bios-256k.bin", "seabios/vgabios-stdvga.bin", "qemu/s390-ccw.img", "qemu/readme")
    write_files(place / "usr" / "share", {name: f"Debian's {name}" for name in names})
    roms = write_files(place / "usr" / "lib" / "ipxe" / "qemu", {"efi-e1000.rom": "Debian's rom"})

    def fetch_packages(*given):
        assert given == (layout, reporter, PACKAGES)
        asked.append(PACKAGES)
        return dict.fromkeys(PACKAGES, roms / "efi-e1000.rom")

    def unpack_packages(debs, folder):
        assert list(debs) == [roms / "efi-e1000.rom"] * len(PACKAGES)
        assert folder.parent == layout.cache / "firmware"
        return place

    monkeypatch.setattr(firmware, "fetch_packages", fetch_packages)
    monkeypatch.setattr(firmware, "unpack_packages", unpack_packages)
    return asked


def content(build):
    return {path.name: path.read_text() for path in (Path(build.folder) / BUNDLE).iterdir()}


def test_firmware_of_debian_is_copied_for_sources_without_any(build, layout, reporter, asked):
    (Path(build.source) / "pc-bios" / "s390-ccw.img").write_text("the tree's")
    add_firmware(build, layout, reporter)
    assert content(build) == {
        "bios-256k.bin": "Debian's seabios/bios-256k.bin",
        "vgabios-stdvga.bin": "Debian's seabios/vgabios-stdvga.bin",
        "efi-e1000.rom": "Debian's rom",
        "s390-ccw.img": "the tree's",
    }
    assert not (Path(build.folder) / BUNDLE / "bios-256k.bin").is_symlink(), "the sandbox has no cache"
    add_firmware(build, layout, reporter)
    assert asked == [PACKAGES], "once"


def test_firmware_of_the_sources_needs_no_network(build, layout, reporter, asked):
    """The harness configures --disable-install-blobs, so the tests would not find these either."""
    for name in ("bios-256k.bin", "s390-ccw.img", "efi-e1000.rom", "README"):
        (Path(build.source) / "pc-bios" / name).write_text("the tree's")
    add_firmware(build, layout, reporter)
    assert content(build) == dict.fromkeys(("bios-256k.bin", "s390-ccw.img", "efi-e1000.rom"), "the tree's")
    assert asked == []


def test_without_network_there_is_a_warning(build, layout, reporter, monkeypatch):
    def gone(*_):
        raise FetchError("no network", "connect it")

    monkeypatch.setattr(firmware, "fetch_packages", gone)
    add_firmware(build, layout, reporter)
    assert content(build) == {}
    assert reporter.lines == ["QEMU's tests run without firmware: no network"]


def test_build_without_a_bundle_or_with_other_targets_is_left_alone(build, layout, reporter, asked):
    build.targets = ("riscv64-softmmu",)
    add_firmware(build, layout, reporter)
    build.folder, build.targets = build.source, ("x86_64-softmmu",)
    add_firmware(build, layout, reporter)
    assert asked == []
