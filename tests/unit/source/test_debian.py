import hashlib
from pathlib import Path

import pytest

from harness.errors import FetchError, VerifyError
from harness.layout import Layout
from harness.platforms import Distribution
from harness.process import Finished
from harness.source import apt as apt_module
from harness.source import debian, machine_apt
from harness.source.apt import one_line, open_state
from harness.source.debian import Wanted, choose, fetch_source, parse_showsrc
from harness.source.machine_apt import AptEntry, debian_entry, entries
from harness.source.packages import fetch_packages, unpack_packages

MIRROR = "http://mirror.example/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BOOKWORM = Distribution(id="debian", version="12", codename="bookworm", family="debian")
DEB822 = f"""\
Types: deb
# a comment
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Signed-By: {KEYRING}
"""
DOCKER = "deb [arch=amd64 signed-by=/k.asc] https://docker.example/linux/debian bookworm stable\n"
VENDOR = "deb https://vendor.example/apt bookworm main\n"


def etc(tmp_path, **files):
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / "sources.list.d" / f"{stem}.{suffix}").write_text(text)
    return folder


def test_deb822_entry_is_found(tmp_path):
    folder = etc(tmp_path, debian_sources=DEB822, docker_list=DOCKER, vendor_list=VENDOR)
    entry = debian_entry(folder, where=BOOKWORM)
    assert entry.uri == MIRROR
    assert entry.trust == (("Signed-By", KEYRING),)


@pytest.mark.parametrize(
    ("line", "trust"),
    [
        (f"deb {MIRROR} bookworm main contrib # comment", ()),
        (f"deb [ signed-by={KEYRING} arch=amd64 ] {MIRROR}/ bookworm main", (("Signed-By", KEYRING),)),
        (f"deb [trusted=yes] {MIRROR} bookworm main", (("Trusted", "yes"),)),
    ],
)
def test_one_line_entry_is_found(tmp_path, line, trust):
    folder = etc(tmp_path, docker_list=DOCKER, vendor_list=VENDOR)
    (folder / "sources.list").write_text(f"# {line}\n{line}\n")
    entry = debian_entry(folder, where=BOOKWORM)
    assert entry.uri.rstrip("/") == MIRROR
    assert entry.trust == trust


def test_embedded_key_is_copied_completely(tmp_path):
    key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\nSigned-By:{key}\n"
    entry = debian_entry(etc(tmp_path, debian_sources=text), where=BOOKWORM)
    layout = Layout(root=tmp_path, build=tmp_path, trees=tmp_path, cache=tmp_path / "cache")
    written = (open_state(layout, entry, "bullseye", "source").folder / "debian.sources").read_text()
    assert next(iter(entries(etc(tmp_path / "again", copy_sources=written)))).trust == entry.trust


def test_third_party_archives_are_not_debian_archives(tmp_path):
    with pytest.raises(FetchError, match="no Debian archive"):
        debian_entry(etc(tmp_path, docker_list=DOCKER, vendor_list=VENDOR), where=BOOKWORM)


def test_state_is_isolated_and_recreated_for_another_mirror(layout):
    def entry(uri):
        return AptEntry(uri=uri, suites=("bookworm",), components=("main",), trust=(("Signed-By", KEYRING),))

    state = open_state(layout, entry(MIRROR), "bullseye", "source")
    assert "Types: deb-src" in (state.folder / "debian.sources").read_text()
    assert "Suites: bullseye" in (state.folder / "debian.sources").read_text()
    assert (state.folder / "status").read_bytes() == b""
    index = state.folder / "state" / "lists" / "m_dists_bullseye_main_source_Sources.lz4"
    index.write_bytes(b"")
    assert open_state(layout, entry(MIRROR), "bullseye", "source").has_index
    assert not open_state(layout, entry("http://other.example/debian"), "bullseye", "source").has_index


def test_apt_errors_are_summarised_in_one_line():
    output = (
        "Reading package lists...\nErr:1 http://m sid\n  404\nW: something\nE: Unable to fetch\nE: Second\n"
    )
    assert one_line(output) == "Unable to fetch; Second"
    assert one_line("W: only a warning\n") == "only a warning"
    assert one_line("") == "no reason given"


SHOWSRC = """\
Package: qemu
Version: 1:7.2+dfsg-7
Checksums-Sha256:
 {a} 23523172 qemu_7.2+dfsg.orig.tar.xz
 {b} 100 qemu_7.2+dfsg-7.dsc

Package: qemu
Version: 1:7.2+dfsg-10
Checksums-Sha256:
 {a} 23523172 qemu_7.2+dfsg.orig.tar.xz

Package: qemu
Version: 1:10.0.2+ds-2
Checksums-Sha256:
 {b} 5 qemu_10.0.2+ds.orig.tar.xz
""".format(a="a" * 64, b="b" * 64)


def wanted(**fields):
    values = {
        "suite": "bookworm",
        "package": "qemu",
        "version": "",
        "archive": "qemu_7.2+dfsg.orig.tar.xz",
        "sha256": "a" * 64,
    }
    return Wanted(**{**values, **fields})


def test_newest_version_with_the_archive_is_selected():
    found = parse_showsrc(SHOWSRC, "qemu")
    assert len(found) == 3
    chosen = choose(found, wanted())
    assert chosen.version == "1:7.2+dfsg-10"  # by Debian's order, not by text
    older = choose(found, wanted(version="1:7.2*-7"))
    assert older.version == "1:7.2+dfsg-7"
    assert choose(found, wanted(version="2:*")) is None
    assert choose(found, wanted(archive="absent.tar.xz")) is None


def test_other_digest_in_the_index_is_an_error():
    with pytest.raises(VerifyError) as error:
        choose(parse_showsrc(SHOWSRC, "qemu"), wanted(sha256="c" * 64))
    assert "a" * 64 in error.value.cause
    assert "c" * 64 in error.value.cause


class FakeApt:
    """Fake of ``run`` for apt, which records the requests."""

    def __init__(self, shown, *, gone=False, debs=None):
        self.shown, self.gone, self.debs = shown, gone, debs or {}
        self.asked: list[str] = []

    def __call__(self, argv, **options):
        words = [str(word) for word in argv]
        lists = Path(next(w for w in words if w.startswith("Dir::State=")).partition("=")[2]) / "lists"
        text, status = "", 0
        if "update" in words:
            self.asked.append("update")
            (lists / "m_main_source_Sources").touch()
            (lists / "m_main_binary_Packages").touch()
        elif "showsrc" in words:
            text = self.shown
        elif "source" in words:
            self.asked.append(words[-1])
            if self.gone:
                text, status = "E: Failed to fetch http://m/x  404  Not Found\nE: Failed\n", 100
            else:
                (Path(str(options["cwd"])) / "qemu_7.2+dfsg.orig.tar.xz").write_bytes(b"x")
        elif "--print-uris" in words:
            for name in words[words.index("--print-uris") + 1 :]:
                digest = hashlib.sha256(self.debs[name]).hexdigest()
                text += f"'http://m/pool/{name}_1%3a1_all.deb' {name}_1%3a1_all.deb 3 SHA256:{digest}\n"
        elif "download" in words:
            self.asked.append("download")
            for name in words[words.index("download") + 1 :]:
                (Path(str(options["cwd"])) / f"{name}_1%3a1_all.deb").write_bytes(self.debs[name])
        ended = Finished(argv=tuple(words), returncode=status, output=text, duration_s=0)
        if status and options["check"]:
            raise options["error"](ended)
        return ended


def install(monkeypatch, fake):
    monkeypatch.setattr(apt_module, "run", fake)
    entry = AptEntry(uri=MIRROR, suites=("bookworm",), components=("main",))
    for module in (debian, machine_apt):
        monkeypatch.setattr(module, "debian_entry", lambda *_, **__: entry)
    return fake


def test_index_is_fetched_only_when_needed(layout, reporter, monkeypatch, tmp_path):
    fake = install(monkeypatch, FakeApt(SHOWSRC))
    fetch_source(layout, reporter, wanted(), tmp_path)
    fetch_source(layout, reporter, wanted(), tmp_path)
    assert fake.asked == ["update", "qemu=1:7.2+dfsg-10", "qemu=1:7.2+dfsg-10"]


def test_version_missing_from_the_pool_is_reported(layout, reporter, monkeypatch, tmp_path):
    fake = install(monkeypatch, FakeApt(SHOWSRC, gone=True))
    with pytest.raises(FetchError, match=r"index of bookworm lists qemu 1:7\.2\+dfsg-10.*does not contain"):
        fetch_source(layout, reporter, wanted(), tmp_path)
    assert fake.asked == ["update", "qemu=1:7.2+dfsg-10"]
    with pytest.raises(FetchError, match="404"):
        fetch_source(layout, reporter, wanted(), tmp_path)
    assert fake.asked[2:] == ["qemu=1:7.2+dfsg-10", "update", "qemu=1:7.2+dfsg-10"]


def test_missing_archive_error_lists_available_versions(layout, reporter, monkeypatch, tmp_path):
    install(monkeypatch, FakeApt(SHOWSRC))
    with pytest.raises(FetchError) as error:
        fetch_source(layout, reporter, wanted(archive="qemu_6.0.orig.tar.xz"), tmp_path)
    assert "1:7.2+dfsg-7" in error.value.remedy


def test_packages_are_fetched_once_unless_damaged_or_fresh(layout, reporter, monkeypatch, tmp_path):
    fake = install(monkeypatch, FakeApt("", debs={"seabios": b"one", "extra": b"two"}))
    first = fetch_packages(layout, reporter, ["seabios"], architecture="s390x")
    assert first["seabios"].read_bytes() == b"one"
    assert fetch_packages(layout, reporter, ["seabios"], architecture="s390x") == first
    assert fake.asked == ["update", "download"]
    first["seabios"].write_bytes(b"damaged")
    again = fetch_packages(layout, reporter, ["seabios", "extra"], architecture="s390x")
    assert [path.read_bytes() for path in again.values()] == [b"two", b"one"]
    assert fake.asked == ["update", "download", "download"]
    fetch_packages(layout, reporter, ["seabios"], architecture="s390x", fresh=True)
    assert fake.asked[3:] == ["update", "download"]


def test_invalid_package_name_is_refused(layout, reporter):
    with pytest.raises(FetchError, match="not a valid name"):
        fetch_packages(layout, reporter, ["--evil"])


def test_damaged_package_leaves_no_folder(tmp_path):
    (tmp_path / "bad.deb").write_bytes(b"no archive")
    with pytest.raises(FetchError, match=r"bad\.deb cannot be unpacked"):
        unpack_packages([tmp_path / "bad.deb"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.deb"]
