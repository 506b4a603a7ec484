"""Where firmware of guests comes from, with and without a package."""

import pytest

from harness.errors import FetchError
from harness.guest import firmware
from harness.platforms import Distribution
from harness.progress import Silent

BOTH = ("x86_64-softmmu", "s390x-softmmu")
FILES = ("bios-256k.bin", "linuxboot_dma.bin", "s390-ccw.img")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(firmware, "INSTALLED", (tmp_path / "share",))


def on(monkeypatch, family):
    monkeypatch.setattr("harness.guest.firmware.distribution", lambda: Distribution(family=family))


def sources(root, names=FILES, content=b"firmware"):
    folder = root / "src" / "pc-bios"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(content)
    return folder


def test_firmware_is_that_of_the_sources_of_the_binary(layout, tmp_path, monkeypatch):
    on(monkeypatch, "fedora")
    sources(layout.build / "10.0" / "base")
    own = sources(tmp_path / "own")
    binary = tmp_path / "own" / "native" / "qemu-system-x86_64"
    assert firmware.fetch_firmware(layout, Silent(), BOTH, [binary]).folders == (own,)


def test_installed_firmware_is_the_last_choice(layout, tmp_path, monkeypatch):
    on(monkeypatch, "fedora")
    built = sources(layout.build / "10.0" / "base", FILES[:1])
    (tmp_path / "share").mkdir()
    for name in FILES:
        (tmp_path / "share" / name).write_bytes(b"firmware")
    assert firmware.fetch_firmware(layout, Silent(), BOTH).folders == (built, tmp_path / "share")


def test_empty_files_are_no_firmware(layout, monkeypatch):
    on(monkeypatch, "fedora")
    sources(layout.build / "10.0" / "base", content=b"")
    with pytest.raises(FetchError, match=r"no firmware: .*bios-256k\.bin, linuxboot_dma\.bin") as caught:
        firmware.fetch_firmware(layout, Silent(), BOTH[:1])
    assert caught.value.remedy.startswith("install the QEMU of the distribution")


def test_sources_replace_packages_that_cannot_be_fetched(layout, monkeypatch):
    on(monkeypatch, "ubuntu")
    asked = []

    def fetch(_layout, _reporter, names):
        asked.append(names)
        raise FetchError("no network", "connect")

    monkeypatch.setattr("harness.guest.firmware.fetch_packages", fetch)
    with pytest.raises(FetchError, match="no network"):
        firmware.fetch_firmware(layout, Silent(), BOTH)
    built = sources(layout.build / "10.0" / "base")
    reporter = Silent()
    assert firmware.fetch_firmware(layout, reporter, BOTH).folders == (built,)
    assert asked == [["qemu-system-data", "seabios"]] * 2
    assert any(str(built) in line and "no network" in line for line in reporter.lines)
