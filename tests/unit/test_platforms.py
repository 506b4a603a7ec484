"""harness/platforms.toml has no holes; distributions are known by recorded os-release files."""

from pathlib import Path

import pytest

from harness.build.libraries import PROGRAMS
from harness.build.needs import REQUIREMENTS
from harness.errors import FetchError
from harness.guest.model import ARCHITECTURES
from harness.platforms import Distribution, distribution, packages_of, parse, table, why_absent
from harness.source.machine_apt import DEBIAN_VARIABLE, archive_of, debian_entry, default_suite
from tests.docs import platforms_document

DOCS = Path(__file__).resolve().parents[2] / "docs"
DEBIAN_12 = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
"""
DEBIAN_SID = """\
PRETTY_NAME="Debian GNU/Linux forky/sid"
NAME="Debian GNU/Linux"
VERSION_CODENAME=forky
ID=debian
"""
UBUNTU = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
LOGO=ubuntu-logo
"""
MINT = """\
NAME="Linux Mint"
VERSION="22.1 (Xia)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 22.1"
VERSION_ID="22.1"
VERSION_CODENAME=xia
UBUNTU_CODENAME=noble
"""
FEDORA = """\
NAME="Fedora Linux"
VERSION="42 (Workstation Edition)"
RELEASE_TYPE=stable
ID=fedora
VERSION_ID=42
VERSION_CODENAME=""
PRETTY_NAME="Fedora Linux 42 (Workstation Edition)"
"""
NOBARA = """\
NAME='Nobara Linux'
ID=nobara
ID_LIKE="rhel centos fedora"
VERSION_ID=42
"""
NOBLE_SOURCES = """\
Types: deb
URIs: http://mirror.example/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.example/ubuntu/
Suites: noble-security
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""
DEBIAN_SOURCES = """
Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def test_document_is_up_to_date():
    remedy = "run: python -m tests.docs platforms > docs/platforms.md"
    assert (DOCS / "platforms.md").read_text(encoding="utf-8") == platforms_document(), remedy


@pytest.mark.parametrize("family", table().families)
def test_distribution_has_no_hole(family):
    facts = table().families[family]
    system = {need.name for need in REQUIREMENTS if need.kind != "python"}
    assert system | set(table().headers.values()) | set(PROGRAMS) <= set(table().packages)
    for release in ("", *facts.releases):
        here = Distribution(family=family, version=release)
        for need in table().packages:
            assert packages_of(need, here, module=True) or why_absent(need, here), (
                f"{family} {release}: {need}"
            )
        for need in REQUIREMENTS:
            if need.kind != "python":
                module = need.kind == "pkg-config"
                assert packages_of(need.name, here, module=module) or why_absent(need.name, here), need.name
    assert facts.manager in table().managers
    assert set(facts.run) <= set(facts.releases)
    assert set(facts.lacks) <= {
        f"{need}{end}" for need in table().packages for end in ("", *_ends(facts.releases))
    }
    if facts.archives:
        assert facts.keyring
        assert set(facts.kernels) == set(ARCHITECTURES)


def _ends(releases):
    return [f"-{release}" for release in releases]


def test_rows_name_known_families_and_releases():
    known = {"", *table().families}
    known |= {f"{name}-{release}" for name, family in table().families.items() for release in family.releases}
    used = {key for row in table().packages.values() for key in row}
    assert used <= known
    assert all(family.like in known for family in table().families.values())


@pytest.mark.parametrize(
    ("text", "family", "version", "codename"),
    [
        (DEBIAN_12, "debian", "12", "bookworm"),
        (DEBIAN_SID, "debian", "", "forky"),
        (UBUNTU, "ubuntu", "24.04", "noble"),
        (MINT, "ubuntu", "", "noble"),
        (FEDORA, "fedora", "42", ""),
        (NOBARA, "fedora", "", ""),
        ("ID=arch\n", "", "", ""),
        ("", "", "", ""),
        ("# ID=debian\nID='fedora\nID=ubuntu", "ubuntu", "", ""),
    ],
)
def test_distribution_is_known_by_os_release(text, family, version, codename):
    found = parse(text)
    assert (found.family, found.version, found.codename) == (family, version, codename)


def test_first_readable_file_is_used(tmp_path):
    assert distribution([tmp_path / "none"]) == Distribution()
    (tmp_path / "os-release").write_text(FEDORA)
    found = distribution([tmp_path / "none", tmp_path / "os-release"])
    assert found.title == "Fedora Linux 42 (Workstation Edition)"


def test_packages_follow_family_release_and_rule():
    here = {
        name: parse(text) for name, text in (("12", DEBIAN_12), ("u", UBUNTU), ("m", MINT), ("f", FEDORA))
    }
    assert packages_of("rustc", here["12"]) == ("rustc-web",)
    assert packages_of("rustc", here["u"]) == ()
    assert why_absent("rustc", here["u"]).startswith("rustc is 1.75")
    assert packages_of("rustc", here["m"]) == ("rustc",)
    assert packages_of("sdl2", here["u"], module=True) == ("libsdl2-dev",)
    assert packages_of("sdl2", here["f"], module=True) == ("pkgconfig(sdl2)",)
    assert packages_of("glib-2.0", here["f"], module=True) == ("glib2-devel",)
    assert packages_of("no-such-library", here["f"], module=True) == ()
    assert packages_of("git", parse("ID=arch")) == ()


def apt(tmp_path, text):
    folder = tmp_path / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    (folder / "distribution.sources").write_text(text)
    return folder.parent


def test_packages_of_this_machine_come_from_its_own_archive(tmp_path):
    etc = apt(tmp_path, NOBLE_SOURCES)
    for text in (UBUNTU, MINT):
        where = parse(text)
        assert default_suite(native=True, where=where) == "noble"
        entry = archive_of("noble", native=True, etc=etc, where=where)
        assert (entry.uri, entry.suites[0]) == ("http://mirror.example/ubuntu/", "noble")
    assert default_suite(native=True, where=parse(FEDORA)) == "stable"


def test_packages_of_other_machines_come_from_debians_archive(tmp_path, monkeypatch):
    monkeypatch.delenv(DEBIAN_VARIABLE, raising=False)
    ubuntu = parse(UBUNTU)
    assert default_suite(native=False, where=ubuntu) == "stable"
    assert default_suite(native=False, where=parse(DEBIAN_12)) == "bookworm"
    etc = apt(tmp_path, NOBLE_SOURCES)
    with pytest.raises(FetchError, match="has no Debian archive") as caught:
        archive_of("stable", native=False, etc=etc, where=ubuntu)
    assert caught.value.remedy == f"add one, or set {DEBIAN_VARIABLE} to the address of a Debian mirror"
    both = apt(tmp_path / "both", NOBLE_SOURCES + DEBIAN_SOURCES)
    for suite in ("stable", "trixie", "sid"):
        assert archive_of(suite, native=True, etc=both, where=ubuntu).uri == "http://mirror.example/debian"


def test_variable_names_a_mirror_of_debian(tmp_path, monkeypatch):
    monkeypatch.setenv(DEBIAN_VARIABLE, "http://mirror.example/pub/debian")
    keyring = tmp_path / "keyring.gpg"
    monkeypatch.setattr("harness.source.machine_apt.KEYRING", str(keyring))
    with pytest.raises(FetchError, match="does not exist") as caught:
        debian_entry(tmp_path, where=parse(FEDORA))
    assert "debian-keyring" in caught.value.remedy
    keyring.touch()
    entry = debian_entry(tmp_path, where=parse(FEDORA))
    assert (entry.uri, entry.trust) == ("http://mirror.example/pub/debian", (("Signed-By", str(keyring)),))
