"""Packages with their dependencies, resolved by a fake apt. No network."""

import hashlib
import os
import shutil
import subprocess

import pytest

from harness.errors import FetchError
from harness.progress import Silent
from harness.source import closure
from harness.source.closure import chosen, fetch_closure
from harness.source.machine_apt import AptEntry
from harness.source.packages import unpack_packages
from tests.unit.programs import write_program

SIMULATED = """\
Reading package lists...
Inst gcc-12-base (12.2.0-14 Debian:12.10/stable [s390x])
Inst libc6 [2.35] (2.36-9+deb12u10 Debian:12.10/stable [s390x]) []
Inst zlib1g:s390x (1:1.2.13.dfsg-1 Debian:12.10/stable [s390x])
Conf gcc-12-base (12.2.0-14 Debian:12.10/stable [s390x])
"""

# Replaces apt-get. The packages are files below $FAKE_APT, named NAME_VERSION_ARCH.deb.
FAKE = """\
#!/bin/sh
echo "$*" >> "$FAKE_APT/calls"
command= words=
while [ $# -gt 0 ]; do
    case $1 in
    -o|-c) shift ;;
    -q|--*) ;;
    *) words="$words $1" ;;
    esac
    case $1 in --print-uris) uris=1 ;; esac
    shift
done
set -- $words
command=$1; shift
case $command in
update) ;;
install)
    for word; do
        test -e "$FAKE_APT/$word"_* || { echo "E: Unable to locate package $word" >&2; exit 100; }
    done
    for file in "$FAKE_APT"/*.deb; do
        file=${file##*/}; rest=${file#*_}
        echo "Inst ${file%%_*} (${rest%%_*} Debian:12 [s390x])"
    done ;;
download)
    if [ -e "$FAKE_APT/gone" ] && [ -z "$uris" ]; then
        echo "E: Failed to fetch http://mirror/x.deb  404  Not Found" >&2; exit 100
    fi
    for word; do
        for file in "$FAKE_APT/${word%%=*}"_*.deb; do
            if [ -n "$uris" ]; then
                set -- $(sha256sum "$file")
                echo "'http://mirror/${file##*/}' ${file##*/} 7 SHA256:$1"
            else
                cp "$file" .
            fi
        done
    done ;;
esac
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    folder = tmp_path / "apt"
    write_program(folder / "bin" / "apt-get", FAKE)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_APT", str(folder))
    monkeypatch.setattr(closure, "default_suite", lambda **_: "bookworm")
    monkeypatch.setattr(
        closure,
        "archive_of",
        lambda *_, **__: AptEntry(uri="http://mirror", suites=("bookworm",), components=("main",)),
    )
    for name in ("libc6-dev", "libc6"):
        (folder / f"{name}_2.36_s390x.deb").write_text(name)
    return folder


def get(layout, *packages):
    found = fetch_closure(layout, Silent(), packages, architecture="s390x")
    return {name: path.read_text() for name, (_, path) in found.items()}


def test_selected_packages_are_parsed_with_versions():
    assert chosen(SIMULATED) == ("gcc-12-base=12.2.0-14", "libc6=2.36-9+deb12u10", "zlib1g=1:1.2.13.dfsg-1")


def test_dependencies_are_fetched_and_a_second_run_does_not_call_apt(apt, layout):
    assert get(layout, "libc6-dev") == {"libc6": "libc6", "libc6-dev": "libc6-dev"}
    calls = (apt / "calls").read_text()
    assert get(layout, "libc6-dev") == {"libc6": "libc6", "libc6-dev": "libc6-dev"}
    assert (apt / "calls").read_text() == calls


def test_damaged_package_in_the_cache_is_fetched_again(apt, layout):
    get(layout, "libc6-dev")
    (layout.downloads / "debs/bookworm-s390x/libc6_2.36_s390x.deb").write_text("flipped")
    assert get(layout, "libc6-dev")["libc6"] == "libc6"
    assert (apt / "calls").read_text().splitlines()[-1].split()[-1] == "libc6=2.36"


def test_unknown_package_is_named_in_the_error(apt, layout):
    with pytest.raises(FetchError, match="Unable to locate package no-such-dev") as caught:
        get(layout, "no-such-dev")
    assert "bookworm" in caught.value.remedy
    with pytest.raises(FetchError, match="is not a valid name of a Debian package"):
        get(layout, "--reinstall")


def test_version_missing_from_the_pool_is_reported_after_an_index_update(apt, layout):
    (apt / "gone").touch()
    with pytest.raises(FetchError, match="404") as caught:
        get(layout, "libc6-dev")
    assert "its pool lacks" in caught.value.remedy
    updates = [line for line in (apt / "calls").read_text().splitlines() if line.endswith(" update")]
    assert len(updates) == 2  # first because there is no index, then because the download failed


def test_corrupt_package_is_refused_without_leftovers(tmp_path):
    deb = tmp_path / "libc6_2.36_s390x.deb"
    deb.write_bytes(b"!<arch>\ndebian-binary   garbage")
    with pytest.raises(FetchError, match=r"libc6_2\.36_s390x\.deb cannot be unpacked") as caught:
        unpack_packages([deb], tmp_path / "roots" / "root")
    assert str(deb) in caught.value.remedy
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_finish_runs_before_the_folder_is_created(tmp_path):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    )
    (tree / "lib").mkdir()
    (tree / "lib" / "x").write_text("x")
    deb = tmp_path / "x_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
    root = tmp_path / "root"
    seen = []
    unpack_packages(
        [deb], root, finish=lambda folder: seen.append((folder / "lib/x").exists() and not root.exists())
    )
    assert seen == [True]
    assert (root / "lib" / "x").read_text() == "x"
    assert hashlib.sha256(deb.read_bytes()).hexdigest()
