"""Functional tests get the files that they name, by digest, or the reason why they do not."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.bisect import assets as module
from harness.bisect.assets import Asset, Assets, provide_assets, read_assets
from harness.bisect.suites import QemuTest
from harness.errors import FetchError
from harness.layout import Layout
from harness.progress import Silent

CONTENT = b"a kernel"
SHA256, SHA512 = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha512(CONTENT).hexdigest()
TEXT = f"""\
class A(QemuSystemTest):
    ASSET_KERNEL = Asset("https://example.org/" "kernel", '{SHA256}')
    ASSET_DISK = Asset('https://example.org/' + 'disk',
                       "{SHA512}")
    ASSET_ODD = Asset(BASE + "x", "{SHA256}")
    ASSET_SHORT = Asset("https://example.org/x", "abc")
    ASSET_ALONE = Asset("https://example.org/x")
"""
KERNEL = f"ASSET_A = Asset('https://example.org/kernel', '{SHA256}')"


def test_assets_are_read_without_running_the_test():
    assert read_assets(TEXT) == (
        Asset(url="https://example.org/kernel", digest=SHA256),
        Asset(url="https://example.org/disk", digest=SHA512),
    )
    assert read_assets("def broken(:") == ()


@dataclass
class Place:
    """A build folder, caches, and a network that serves ``served``, or fails if it is empty."""

    top: Path
    layout: Layout
    served: bytes = b""
    fetched: list[str] = field(default_factory=list)
    text: str = KERNEL
    base: str = KERNEL

    def download(self, url, target, reporter):
        assert isinstance(reporter, Silent)
        self.fetched.append(url)
        if not self.served:
            raise FetchError(f"{url}: no network", "check the network")
        target.write_bytes(self.served)

    def provide(self, suite="func-quick"):
        tests = [
            QemuTest(name=name, suite=suite, programs=(), sources=("tests/a.py", "tests/a.c"))
            for name, suite in (("a", "unit"), ("func-a", suite))
        ]
        return provide_assets(
            tests,
            self.top,
            self.layout,
            Silent(),
            read={"tests/a.py": self.text}.__getitem__,
            read_base={"tests/a.py": self.base}.__getitem__,
        )

    @property
    def copy(self):
        return self.top / "functional-assets" / "download" / SHA256


@pytest.fixture
def place(tmp_path, layout, monkeypatch):
    place = Place(tmp_path / "native", layout)
    monkeypatch.setenv("QEMU_TEST_CACHE_DIR", str(tmp_path / "user"))
    monkeypatch.setattr(module, "download", place.download)
    return place


@pytest.mark.parametrize("folder", ["user", "home/.cache/qemu"])
def test_asset_of_a_cache_is_copied(place, tmp_path, monkeypatch, folder):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if folder != "user":
        monkeypatch.delenv("QEMU_TEST_CACHE_DIR")
    cached = tmp_path / folder / "download" / SHA256
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assets = place.provide()
    folder = str(place.top / "functional-assets")
    assert assets.env == {"QEMU_TEST_CACHE_DIR": folder, "QEMU_TEST_NO_DOWNLOAD": "1"}
    assert assets.missing == {}
    assert place.copy.read_bytes() == CONTENT
    assert not place.copy.is_symlink()
    assert not place.copy.samefile(cached), "a test could write to it"
    assert place.fetched == []
    assert place.provide() == assets, "the copy is there"


def test_damaged_copy_and_cache_are_replaced(place, tmp_path):
    for path in (place.copy, tmp_path / "user" / "download" / SHA256):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"damaged")
    place.served = CONTENT
    assert place.provide().missing == {}
    assert place.copy.read_bytes() == CONTENT
    assert place.fetched == ["https://example.org/kernel"]
    place.copy.unlink()
    assert place.provide().missing == {}
    assert len(place.fetched) == 1, "it is cached"
    assert (place.layout.downloads / "functional" / SHA256).read_bytes() == CONTENT


def test_asset_that_cannot_be_fetched_is_a_reason(place):
    reason = "https://example.org/kernel is not cached and cannot be fetched: no network"
    assert place.provide().missing == {"func-a": reason}
    place.served = b"another file"
    assert place.provide().missing == {
        "func-a": "https://example.org/kernel is not cached, and has another digest now"
    }
    assert not list(place.layout.downloads.rglob("*.part"))


def test_address_that_only_the_series_names_is_not_fetched(place):
    place.base, place.served = KERNEL.replace("example", "another"), CONTENT
    assert "the series names it" in place.provide().missing["func-a"]
    assert place.fetched == []


def test_other_tests_need_no_assets(place):
    assert place.provide("unit") == Assets(env={}, missing={})
