"""The harness installed from its wheel, outside of the checkout, in a folder that is a QEMU clone."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.standin import TARGET, release
from tests.faults.world import World
from tests.unit.conftest import bytes_of
from tests.unit.defaults import ROOT
from tests.unit.repositories import git, make_repository, unpack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel; its dependencies are those of the tests' own environment."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    words = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel]
    subprocess.run([sys.executable, "-m", "pip", "--python", folder, *words], check=True)
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    # Names in a .pth file of a folder that a .pth file adds are not followed: the checkout stays out.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return folder / "bin" / "qemu-harness"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cache with the firmware that guests need, and a home."""
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the stand-in for QEMU, with upstream's feature, and a branch of one commit."""
    folder = tmp_path_factory.mktemp("clones") / "qemu"
    unpack(release(), folder.parent)
    (folder.parent / "qemu-7.2.0").rename(folder)
    make_repository(folder, {"meson.build": "project('stand-in')\n"}, "QEMU 7.2.0")
    for words in (
        ("checkout", "-qb", "topic"),
        ("rm", "-q", "docs/1.txt"),
        ("commit", "-qm", "docs: remove a file"),
        ("checkout", "-q", "master"),
    ):
        git(folder, *words)
    return folder


@pytest.fixture(scope="module")
def run(installed, world, clone):
    """Run the installed harness in a folder of the clone, as a user would."""
    environment = {
        name: value
        for name, value in world.environment().items()
        if name != "PYTHONPATH" and not name.startswith("XDG_")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def command(*words, cwd=clone / "docs"):
        return subprocess.run(
            [installed, *words], cwd=cwd, env=environment, check=False, capture_output=True, text=True
        )

    return command


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git lists the files")
def test_wheel_has_every_file_that_an_installed_harness_needs(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    tracked = ["harness", "patches", "qemu-src", "tests/avocado", "meson.build", "meson_options.txt"]
    listed = subprocess.run(
        ["git", "ls-files", *tracked], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    wanted = {name if name.startswith("harness/") else f"harness/shipped/{name}" for name in listed}
    more = {"harness/shipped/constraints.txt", "harness/shipped/pyproject.toml"}
    assert {name for name in names if ".dist-info/" not in name} == wanted | more


def test_installed_harness_finds_the_clone_that_it_is_started_in(run, clone, world):
    before = bytes_of(clone)
    built = run("build", f"-Dtargets={TARGET}")
    assert built.returncode == 0, built.stderr
    (binary,) = map(Path, built.stdout.split())
    home = world.home / ".local" / "state" / "qemu-harness"
    (folder,) = home.iterdir()
    assert folder.name.startswith("qemu-")
    assert folder / "build" in binary.parents
    assert subprocess.run([binary, "--version"], check=True, capture_output=True).stdout.startswith(b"QEMU")
    found = run("which", "pristine", TARGET)
    assert found.stdout.strip() == str(binary)
    patched = run("build", f"-Dtargets={TARGET}", "-Dseries=topic")
    assert patched.returncode == 0, patched.stderr
    assert "patched-qemu" in patched.stdout
    assert bytes_of(clone) == before, "the clone is never written to"


def test_installed_harness_times_guests(run, clone, world):
    words = (f"-Dtargets={TARGET}", "-Dmemory=64M", "-Drounds=1", "-Drestart=none", "-Daccel=tcg")
    ended = run("teardown", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (folder,) = (world.home / ".local" / "state" / "qemu-harness").glob("qemu-*")
    results = json.loads((folder / "build" / "results" / "teardown.json").read_text())
    rows = {(row["variant"], row["outcome"]) for row in results["rows"] if row["kind"] == "teardown"}
    assert rows == {("pristine", "ok"), ("pristine+option", "ok")}
    assert results["options"]["source"] == str(clone)


def test_installed_harness_works_outside_of_a_clone(run, clone, world, tmp_path):
    listed = run("check", "--list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "input-base" in listed.stdout
    missing = run("which", "pristine", TARGET, cwd=tmp_path)
    assert missing.stderr.splitlines()[0].startswith("error: 7.2 pristine has not been built")
    assert missing.stderr.splitlines()[1] == (
        f"remedy: run: qemu-harness build -Dvariants=pristine -Dtargets={TARGET}"
    )
    tree = run("tree", f"-Dsource={clone}", f"-Dtargets={TARGET}", cwd=tmp_path)
    assert tree.returncode == 0, tree.stderr
    place = world.home / ".local" / "state" / "qemu-harness" / "default"
    assert place / "build" in Path(tree.stdout.strip()).parents
    assert run("clean", cwd=tmp_path).returncode == 0
    assert list(place.iterdir()) == []


def test_given_pin_or_source_is_used_in_a_clone_too(run, tmp_path):
    asked = run("which", "pristine", TARGET, "-Dpin=7.2")
    assert asked.stderr.startswith("error: 7.2 pristine has not been built")
    other = run("fetch", f"-Dsource={tmp_path}")
    assert other.stdout.strip() == str(tmp_path)
