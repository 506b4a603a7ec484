"""A location with an archive of its own: the official one, proven by its digest, its signature, or both."""

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from harness.errors import FetchError, VerifyError
from harness.layout import find_layout
from harness.progress import Silent
from harness.source import debian
from harness.source.apt import AptState
from harness.source.fetch import fetch
from harness.source.machine_apt import AptEntry
from harness.source.pin import Location, Pin, load_pins
from harness.tree import import_source
from tests.unit.conftest import RELEASE, make_archive
from tests.unit.web import serving

RELEASE_KEY = "CEACC9E15534EBABB82D3FA03353C9CEF108B584"


@dataclass(frozen=True)
class Keys:
    """Two keys of the test's own: ``good`` signs, and only its public part is in the keyring."""

    home: Path
    keyring: bytes

    def sign(self, data, who="good"):
        return run_gpg(self.home, "--local-user", who, "--detach-sign", "--output", "-", stdin=data)


def run_gpg(home, *words, stdin=b""):
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    return subprocess.run(
        [*command, "--passphrase", "", *words], input=stdin, check=True, capture_output=True
    ).stdout


@pytest.fixture(scope="module")
def keys():
    if shutil.which("gpg") is None:
        pytest.skip("gpg, which makes keys and signatures, is not installed")
    with tempfile.TemporaryDirectory(prefix="gpg", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        for name in ("good", "other"):
            run_gpg(home, "--quick-generate-key", name, "ed25519", "sign", "never")
        try:
            yield Keys(home=home, keyring=run_gpg(home, "--export", "good"))
        finally:
            subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


@pytest.fixture
def served():
    """An HTTP server on loopback: its address, its files, and the requested paths."""
    files = {}
    asked = []

    def answer(request, _):
        asked.append(request.path)
        body = files.get(request.path.removeprefix("/"))
        return (404, b"") if body is None else (200, body)

    with serving(answer) as address:
        yield address, files, asked


@dataclass
class Official:
    """A pin whose only location is the official archive, and what the server has of it."""

    pin: Pin
    data: bytes
    files: dict[str, bytes]
    asked: list[str]

    @property
    def digest(self):
        return hashlib.sha256(self.data).hexdigest()

    def with_digest(self):
        location = msgspec.structs.replace(self.pin.locations[0], sha256=self.digest, release="")
        return msgspec.structs.replace(self.pin, locations=(location,))


@pytest.fixture
def official(keys, layout, make_pin, served, tmp_path):
    address, files, asked = served
    data = make_archive(tmp_path / "made.tar.xz", RELEASE).read_bytes()
    files |= {"qemu-1.2.3.tar.xz": data, "qemu-1.2.3.tar.xz.sig": keys.sign(data)}
    (layout.root / "qemu-src" / "release.gpg").write_bytes(keys.keyring)
    url = f"{address}/qemu-1.2.3.tar.xz"
    location = Location(
        kind="url",
        url=url,
        signature=f"{url}.sig",
        keyring="qemu-src/release.gpg",
        archive="qemu-1.2.3.tar.xz",
        release="1.2.3",
    )
    return Official(pin=make_pin(locations=(location,), prepare=()), data=data, files=files, asked=asked)


def test_good_signature_proves_the_archive_also_in_the_cache(official, layout, reporter):
    source = fetch(official.pin, layout, reporter)
    assert (source.kind, source.path.name, source.digest) == ("url", "qemu-1.2.3.tar.xz", official.digest)
    assert import_source(source, layout, reporter).facts.version == "1.2.3"
    asked = list(official.asked)
    assert asked == ["/qemu-1.2.3.tar.xz", "/qemu-1.2.3.tar.xz.sig"]
    assert fetch(official.pin, layout, reporter) == source
    assert official.asked == asked, "a file in the cache needs no network"


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
def test_changed_archive_in_the_cache_is_fetched_again(official, layout, reporter, damage):
    path = fetch(official.pin, layout, reporter).path
    path.write_bytes(damage)
    assert fetch(official.pin, layout, reporter).path.read_bytes() == official.data
    assert any("signature is not valid" in line and "fetching it again" in line for line in reporter.lines)
    assert [bad.read_bytes() for bad in layout.downloads.glob("*.bad-*")] == [damage]


def test_lost_signature_in_the_cache_is_fetched_again(official, layout, reporter):
    path = fetch(official.pin, layout, reporter).path
    path.with_name(f"{path.name}.sig").unlink()
    assert fetch(official.pin, layout, reporter).digest == official.digest
    assert official.asked == ["/qemu-1.2.3.tar.xz", "/qemu-1.2.3.tar.xz.sig"] * 2


@pytest.mark.parametrize("has_digest", [False, True])
@pytest.mark.parametrize("fault", ["wrong key", "of other bytes", "no signature", "empty", "corrupt archive"])
def test_archive_without_a_valid_signature_is_refused(official, keys, layout, *, fault, has_digest):
    signature = "qemu-1.2.3.tar.xz.sig"
    if fault == "corrupt archive":
        official.files["qemu-1.2.3.tar.xz"] = official.data[:-1] + b"?"
    else:
        official.files[signature] = {
            "wrong key": keys.sign(official.data, "other"),
            "of other bytes": keys.sign(b"other bytes"),
            "no signature": b"<html>not found</html>",
            "empty": b"",
        }[fault]
    pin = official.with_digest() if has_digest else official.pin
    with pytest.raises(VerifyError) as error:
        fetch(pin, layout, Silent())
    wanted = "expected" if has_digest and fault == "corrupt archive" else "signature is not valid"
    assert wanted in error.value.cause
    assert not (layout.downloads / "qemu-1.2.3.tar.xz").exists()
    bad = hashlib.sha256(official.files["qemu-1.2.3.tar.xz"]).hexdigest()[:12]
    assert (layout.downloads / f"qemu-1.2.3.tar.xz.bad-{bad}").exists()


def test_missing_signature_fails_the_location(official, layout, reporter):
    del official.files["qemu-1.2.3.tar.xz.sig"]
    for pin in (official.pin, official.with_digest()):
        with pytest.raises(FetchError, match=r"provided qemu-1\.2\.3\.tar\.xz") as error:
            fetch(pin, layout, reporter)
        assert any("tar.xz.sig: 404" in line for line in error.value.details)


def test_digest_and_signature_together_prove_the_archive(official, layout, reporter):
    source = fetch(official.with_digest(), layout, reporter)
    assert (source.digest, source.release) == (official.digest, "")


def test_another_release_with_a_valid_signature_is_refused(official, keys, layout, reporter, tmp_path):
    """The signature covers the bytes, not the name: a server could offer an older release under this name."""
    old = make_archive(tmp_path / "old.tar.xz", {**RELEASE, "VERSION": "1.2.2\n"}).read_bytes()
    official.files |= {"qemu-1.2.3.tar.xz": old, "qemu-1.2.3.tar.xz.sig": keys.sign(old)}
    source = fetch(official.pin, layout, reporter)
    with pytest.raises(VerifyError, match=r"contains QEMU 1\.2\.2, not 1\.2\.3"):
        import_source(source, layout, reporter)
    assert not layout.tree("tiny").exists()


def test_official_archive_is_fetched_where_the_pool_lacks_the_listed_file(
    official, layout, reporter, monkeypatch
):
    """Debian's index lists the archive, its pool answers 404: the next location has another archive."""

    def run(_, words, **__):
        if "showsrc" in words:
            listed = f"Package: qemu\nVersion: 1.2.3-1\nChecksums-Sha256:\n {'0' * 64} 9 tiny.tar.xz\n"
            return SimpleNamespace(output=listed)
        raise FetchError("apt: 404  Not Found", "try another location")

    monkeypatch.setattr(AptState, "run", run)
    monkeypatch.setattr(AptState, "has_index", True)
    monkeypatch.setattr(AptState, "update", lambda *_: None)
    entry = AptEntry(uri="http://mirror.example", suites=("sid",), components=("main",))
    monkeypatch.setattr(debian, "debian_entry", lambda: entry)
    first = Location(kind="debian", suite="sid", package="qemu")
    pin = msgspec.structs.replace(official.pin, locations=(first, *official.pin.locations))
    assert fetch(pin, layout, reporter).path.name == "qemu-1.2.3.tar.xz"
    assert any("pin tiny" in line and "does not contain tiny.tar.xz (404)" in line for line in reporter.lines)
    assert fetch(pin, layout, reporter).digest == official.digest, "the cache has only the second archive"


def test_local_file_with_the_bytes_of_the_official_archive_is_that_of_the_pin(
    official, layout, reporter, tmp_path
):
    layout.pins_file.write_text(
        '["1.2"]\n[["1.2".locations]]\nkind = "url"\nurl = "http://x/"\n'
        f'archive = "qemu-1.2.3.tar.xz"\nsha256 = "{official.digest}"\n'
    )
    nameless = msgspec.structs.replace(official.pin, name="", locations=())
    found = fetch(nameless, layout, reporter, local=str(tmp_path / "made.tar.xz"))
    assert found.pin.name == "1.2"


def test_shipped_keyring_has_the_release_key_only():
    """The fingerprint of a version 4 key is the SHA-1 of its first packet (RFC 4880, 12.2)."""
    layout = find_layout(Path(__file__).parents[3])
    data = (layout.root / "qemu-src" / "qemu-release.gpg").read_bytes()
    assert data[0] == 0x99, "a public-key packet with a length of two bytes"
    packet = data[: 3 + int.from_bytes(data[1:3], "big")]
    assert hashlib.sha1(packet).hexdigest().upper() == RELEASE_KEY
    for pin in load_pins(layout).values():
        official = [place for place in pin.locations if "download.qemu.org" in place.url]
        assert len(official) == 1, pin.name
        assert pin.locations[-1] is official[0], "after Debian's"
        assert official[0].url.endswith(f"/{official[0].archive}")
        assert official[0].signature == f"{official[0].url}.sig"
        assert official[0].keyring == "qemu-src/qemu-release.gpg"
