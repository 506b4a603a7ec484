"""Commands that create, list or remove sources, trees and binaries, and the command guest."""

import contextlib
import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import (
    AuthoringError,
    GuestError,
    MissingError,
    NothingBuiltError,
    OptionError,
    StorageError,
)
from harness.layout import Layout
from harness.progress import Silent
from tests.faults.standin import VERSIONS, release

from .conftest import SMALL

ONE = "-Dtargets=x86_64-softmmu"


def test_fetch_prints_the_archive(run):
    ended = run("fetch")
    assert ended.code == 0
    assert hashlib.sha256(Path(ended.out.strip()).read_bytes()).digest() == hashlib.sha256(release()).digest()


def test_tree_prints_a_folder_for_each_variant(run):
    ended = run("tree", ONE, "-Dvariants=base,patched")
    base, patched = map(Path, ended.out.split())
    assert "return 0;" in (base / "osdep.c").read_text()
    assert "7.2.0-series" in (patched / "osdep.c").read_text()


def test_build_prints_the_binaries_and_which_finds_them(run, layout):
    ended = run("build", *SMALL)
    assert (layout.results / "build.json").is_file()
    for path, (variant, version) in zip(ended.out.split(), VERSIONS.items(), strict=True):
        printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        assert printed.strip() == version
        found = run("which", variant, "x86_64-softmmu")
        assert (found.code, found.out.strip()) == (0, path)


def test_which_needs_a_build_and_a_known_host(run):
    run("which", "pristine", "riscv64-softmmu").fails(NothingBuiltError)
    error = run("which", "base", "x86_64-softmmu", "toaster").error
    assert isinstance(error, OptionError)
    assert error.cause.startswith("-Dhosts: the harness has no 'toaster'")


@pytest.mark.parametrize("stage", ["tree", "build"])
def test_target_that_the_tree_lacks_is_refused_before_any_checkout(run, calls, stage):
    calls.spy("harness.pipeline.checkout", lambda *_, **__: pytest.fail("it was checked out"))
    run(stage, "-Dtargets=vax-softmmu").fails(OptionError, "QEMU 7.2.0 has no 'vax-softmmu'")


@pytest.mark.parametrize("stage", ["tree", "build"])
def test_invalid_request_is_refused_before_anything_is_fetched(run, calls, stage):
    calls.spy("harness.pipeline.fetch", lambda *_, **__: pytest.fail("it was fetched"))
    run(stage, "-Dseries=no-such").fails(OptionError)


def test_doctor_lists_requirements_also_after_a_failure(run, calls):
    ended = run("doctor")
    assert ended.code == 0
    assert "ninja" in ended.out

    def missing(*_, **__):
        raise MissingError("glib is missing", "install it")

    calls.spy("harness.build.doctor.ensure", missing)
    ended = run("doctor")
    assert isinstance(ended.error, MissingError)
    assert "ninja" in ended.out


# clean


@pytest.fixture
def own(layout, tmp_path, monkeypatch):
    """Return a separate checkout with a folder in each place."""
    root = tmp_path / "root"
    made = Layout(root=root, build=root / "build", trees=root / "trees", cache=tmp_path / "cache")
    cached = (made.cache / name for name in ("downloads", "graphs", "rates", "other"))
    for folder in (made.build / "logs", made.trees / "7.2", *cached):
        folder.mkdir(parents=True)
    for name in ("root", "build", "trees", "cache"):
        object.__setattr__(layout, name, getattr(made, name))
    return layout


def test_clean_removes_builds_and_trees_and_keeps_the_cache(run, own):
    assert run("clean").code == 0
    assert (own.build.exists(), own.trees.exists()) == (False, False)
    assert (own.cache / "downloads").exists()


def test_clean_of_the_cache_removes_only_folders_of_the_harness(run, own):
    assert run("clean", "--cache").code == 0
    assert [folder.name for folder in own.cache.iterdir() if folder.name != "locks"] == ["other"]


def test_clean_refuses_outside_folders_and_unsaved_commits(run, own, calls, tmp_path):
    calls.spy("harness.authoring.unsaved.unsaved", lambda *_: ("mine",))
    run("clean").fails(AuthoringError, "mine")
    assert own.build.exists()
    calls.spy("harness.authoring.unsaved.unsaved", lambda *_: ())
    object.__setattr__(own, "build", tmp_path / "outside")
    own.build.mkdir()
    run("clean").fails(OptionError)
    assert own.build.exists()


def test_folder_that_cannot_be_removed_is_named(run, own, calls):
    calls.spy("shutil.rmtree", lambda _: Path("no-such-file").stat())
    run("clean").fails(StorageError, f"cannot remove {own.build}: ")


# guest


@pytest.fixture
def guest(monkeypatch):
    """Replace the guest of the command. Return its arguments; ``end`` decides when it ends."""

    def replace(end):
        child = SimpleNamespace(has_ended=end, last_lines=lambda: ("bad luck",), log=Path("/guest.log"))

        @contextlib.contextmanager
        def single_guest(layout, options, variant, target, *_, **names):
            arguments.append((variant, target, names["tree"]))
            yield SimpleNamespace(machine=SimpleNamespace(child=child), describe=lambda: ("QEMU 42",))

        arguments = []
        monkeypatch.setattr("harness.teardown.single.single_guest", single_guest)
        return arguments

    return replace


def test_guest_runs_until_ctrl_c(run, guest):
    def interrupt(timeout_s):
        raise KeyboardInterrupt

    arguments = guest(interrupt)
    ended = run("guest", "patched", "x86_64-softmmu")
    assert (ended.code, ended.out.strip()) == (0, "QEMU 42")
    assert arguments == [("patched", "x86_64-softmmu", "7.2")]


def test_tree_and_label_of_a_binary_are_those_of_the_options(run, layout, calls, guest):
    guest(lambda timeout_s: True)
    calls.spy("harness.pipeline.tree_name", lambda *_: "local")
    calls.spy("harness.pipeline.label_of_variant", lambda *_: "patched-x")
    calls.spy("harness.build.find_binary", lambda *_, **__: "/q")
    for command in ("which", "guest"):
        run(command, "patched", "x86_64-softmmu")
        (named, _), (labelled, _) = (calls.given[name].pop() for name in ("tree_name", "label_of_variant"))
        assert (named[0], labelled) == (layout, (layout, named[1], "patched"))
        assert isinstance(named[2], Silent)


def test_guest_that_exits_is_an_error_with_its_last_lines(run, guest):
    guest(lambda timeout_s: bool(waits.append(timeout_s)) or len(waits) > 1)
    waits = []
    ended = run("guest", "patched", "x86_64-softmmu")
    assert isinstance(ended.error, GuestError)
    assert (ended.error.details, ended.error.log) == (("bad luck",), Path("/guest.log"))
    assert waits == [3600, 3600]
