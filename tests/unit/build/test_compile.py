"""build() on the fake QEMU: real configure scripts, ninja and gcc, in milliseconds."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.build import compile as compiling
from harness.build import configure, configuring, find_binary, write_build_results
from harness.build.configure import SWITCHES
from harness.errors import (
    CompileError,
    ConfigureError,
    NothingBuiltError,
    OptionError,
    StorageError,
    TimeoutExpiredError,
)
from harness.progress import Silent
from tests.unit.build.support import ROOT, build_it, configure_runs, edit, make_checkout, make_options
from tests.unit.programs import wait_until

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
X86 = ("x86_64-softmmu",)


def test_both_targets_are_built_and_described(layout, checkout):
    built = build_it(checkout, layout)
    assert [binary.target for binary in built.binaries] == ["s390x-softmmu", "x86_64-softmmu"]
    x86 = built.binary("x86_64-softmmu")
    assert x86.version == "QEMU emulator version 7.2.0 (fake x86_64)"
    assert x86.size == x86.file.stat().st_size
    assert built.summary["Directories"]["Source path"] == str(checkout.path)
    assert built.summary["Targets and accelerators"]["target list"] == "s390x-softmmu x86_64-softmmu"
    assert (built.steps, built.cache, built.reused) == (6, None, False)
    assert find_binary(layout, "7.2", "base", "x86_64-softmmu") == x86.file


def test_sanitized_build_has_a_separate_folder(layout, checkout):
    plain = build_it(checkout, layout, targets=X86)
    special = build_it(checkout, layout, targets=X86, profile="sanitize")
    assert (plain.profile, special.profile) == ("release", "sanitize")
    assert Path(special.folder) == Path(plain.folder).with_name("native-sanitize")
    assert build_it(checkout, layout, targets=X86).reused
    assert build_it(checkout, layout, targets=X86, profile="sanitize").reused
    found = find_binary(layout, "7.2", "base", X86[0], profile="sanitize")
    assert found == special.binaries[0].file
    found.unlink()
    given = ("-Dsource=a b", "-Dprofile=sanitize", "-Dvariants=pristine", "-Dtargets=arm-softmmu")
    with pytest.raises(NothingBuiltError, match="does not exist") as caught:
        find_binary(layout, "7.2", "base", X86[0], profile="sanitize", given=given)
    assert caught.value.remedy == (
        "run: nox -s build -- '-Dsource=a b' -Dprofile=sanitize -Dvariants=base -Dtargets=x86_64-softmmu"
    )
    assert find_binary(layout, "7.2", "base", X86[0]) == plain.binaries[0].file


def test_missing_sanitizer_flag_is_an_error(layout, monkeypatch):
    monkeypatch.setenv("FAKEQEMU_SANITIZERS", "-fsanitize=address")
    checkout = make_checkout(layout)
    with pytest.raises(ConfigureError, match="did not enable -fsanitize=undefined"):
        build_it(checkout, layout, targets=X86, profile="sanitize")
    monkeypatch.delenv("FAKEQEMU_SANITIZERS")
    assert build_it(checkout, layout, targets=X86, profile="sanitize").profile == "sanitize"


def test_recorded_commands_reproduce_the_build(layout):
    built = build_it(make_checkout(layout), layout)
    before = built.binary("x86_64-softmmu").sha256
    shutil.rmtree(built.folder)
    Path(built.folder).mkdir()
    for command in built.commands:
        subprocess.run(["sh", "-c", command.shell], check=True, capture_output=True)
    assert compiling.sha256(built.binary("x86_64-softmmu").file) == before


def test_results_contain_every_build_and_the_command(layout):
    built = build_it(make_checkout(layout), layout, targets=X86)
    path = write_build_results(layout, [built], "nox -s build")
    stored = json.loads(path.read_text())
    assert stored["command"] == "nox -s build"
    assert stored["builds"][0]["binaries"][0]["sha256"] == built.binaries[0].sha256


def test_up_to_date_build_runs_neither_configure_nor_ninja(layout, checkout):
    first = build_it(checkout, layout)
    log = Path(first.logs[1]).stat().st_mtime_ns
    second = build_it(checkout, layout)
    assert second.reused
    assert second.binaries == first.binaries
    assert configure_runs(checkout) == 1
    assert Path(first.logs[1]).stat().st_mtime_ns == log


def test_missing_binary_is_linked_again(layout, checkout):
    built = build_it(checkout, layout, targets=X86)
    built.binaries[0].file.unlink()
    with pytest.raises(NothingBuiltError, match="does not exist"):
        find_binary(layout, "7.2", "base", X86[0])
    again = build_it(checkout, layout, targets=X86)
    assert again.binaries == built.binaries
    assert again.steps == 1
    assert configure_runs(checkout) == 1


def test_binary_with_other_bytes_is_linked_again(layout, checkout):
    """ninja compares timestamps only: the file is newer than its objects, so it is up to date."""
    built = build_it(checkout, layout)
    first, second = (binary.file for binary in built.binaries)
    first.write_bytes(second.read_bytes())
    second.write_bytes(b"")
    reporter = Silent()
    again = build_it(checkout, layout, reporter=reporter)
    assert [binary.version for binary in again.binaries] == [binary.version for binary in built.binaries]
    assert (again.steps, configure_runs(checkout)) == (2, 1)
    assert sum("differs from the last build" in line for line in reporter.lines) == 2


@pytest.mark.parametrize("text", ["", "rule cc\n  comma\n"], ids=["empty", "cut off"])
def test_damaged_build_file_is_configured_again(layout, checkout, text):
    build_it(checkout, layout, targets=X86)
    (checkout.path.parent / "native" / "build.ninja").write_text(text)
    again = build_it(dataclasses.replace(checkout, commit="c2"), layout, targets=X86)
    assert (again.binaries[0].target, configure_runs(checkout)) == (X86[0], 2)


def test_error_of_ninja_is_reported(layout, checkout):
    (checkout.path / "vl.c").unlink()
    with pytest.raises(CompileError) as caught:
        build_it(checkout, layout, targets=X86)
    assert caught.value.details[0].startswith("ninja: error: '../src/vl.c'")
    assert configure_runs(checkout) == 1


def test_build_with_future_timestamps_is_repeated_from_scratch(layout, checkout):
    """After the clock was set back, changed sources appear to be older than their objects."""
    build_it(checkout, layout, targets=X86)
    soon = time.time() + 3600
    os.utime(checkout.path.parent / "native" / ".ninja_log", (soon, soon))
    reporter = Silent()
    again = build_it(dataclasses.replace(checkout, commit="c2"), layout, targets=X86, reporter=reporter)
    assert (again.steps, configure_runs(checkout)) == (4, 2)
    assert any("the clock was set back" in line for line in reporter.lines)


def test_new_commit_compiles_only_changed_files(layout, checkout):
    build_it(checkout, layout)
    edit(checkout.path / "osdep.c", "7.2.0", "7.2.1")
    changed = build_it(dataclasses.replace(checkout, commit="c2"), layout)
    assert changed.steps == 3  # one object, two links
    assert changed.binaries[0].version.startswith("QEMU emulator version 7.2.1")
    assert (changed.commit, configure_runs(checkout)) == ("c2", 1)


def test_changed_configure_script_or_variable_configures_again(layout, checkout, monkeypatch):
    build_it(checkout, layout, targets=X86)
    edit(checkout.path / "configure", "Stands for", "Stands in for")
    build_it(checkout, layout, targets=X86)
    assert configure_runs(checkout) == 2
    monkeypatch.setenv("CFLAGS", "-O1")
    build_it(checkout, layout, targets=X86)
    assert configure_runs(checkout) == 3


def test_build_of_one_target_keeps_the_other(layout, checkout):
    build_it(checkout, layout, targets=X86)
    build_it(checkout, layout, targets=("s390x-softmmu",))
    assert configure_runs(checkout) == 2
    third = build_it(checkout, layout, targets=X86)
    assert third.reused
    assert find_binary(layout, "7.2", "base", "s390x-softmmu").exists()


def test_failed_configure_reports_its_error_and_is_repeated(layout, checkout, monkeypatch):
    monkeypatch.setenv("FAKEQEMU_FAULT", "configure")
    with pytest.raises(ConfigureError) as caught:
        build_it(checkout, layout)
    assert caught.value.details[0].endswith('ERROR: Dependency "glib-2.0" not found, tried pkgconfig')
    assert caught.value.log == layout.logs / "7.2-base-native-configure.log"
    assert caught.value.log.is_file()
    monkeypatch.delenv("FAKEQEMU_FAULT")
    assert build_it(checkout, layout).binaries
    assert "ERROR" in (layout.logs / "7.2-base-native-configure.log.1").read_text()


def test_missing_crates_have_a_remedy(layout, checkout):
    line = "../src/rust/meson.build:2:1: ERROR: Subproject anyhow-1-rs is buildable: NO"
    known = " ".join((*SWITCHES, "--meson=*)"))  # without it, the harness would install meson
    (checkout.path / "configure").write_text(f"#!/bin/sh\n# {known}\necho '{line}'\nexit 1\n")
    with pytest.raises(ConfigureError) as caught:
        build_it(checkout, layout)
    assert "official archive" in caught.value.remedy
    assert caught.value.details == (line,)


def test_incomplete_build_file_is_not_used(layout, checkout, monkeypatch):
    monkeypatch.setenv("FAKEQEMU_FAULT", "half")
    with pytest.raises(ConfigureError):
        build_it(checkout, layout)
    assert (checkout.path.parent / "native" / "build.ninja").is_file()
    monkeypatch.delenv("FAKEQEMU_FAULT")
    assert build_it(checkout, layout).steps == 6


def test_build_uses_what_was_configured_ahead(layout, checkout):
    for _ in range(2):
        configure(checkout, make_options(targets=X86), layout, Silent())
    assert configure_runs(checkout) == 1
    assert not (checkout.path.parent / "native" / "build.json").exists()
    assert build_it(checkout, layout, targets=X86).steps == 4
    assert configure_runs(checkout) == 1


def test_hanging_configure_times_out(layout, monkeypatch):
    monkeypatch.setattr(configuring, "CONFIGURE_LIMIT_S", 0.3)
    monkeypatch.setenv("FAKEQEMU_FAULT", "hang-configure")
    with pytest.raises(TimeoutExpiredError):
        build_it(make_checkout(layout), layout)


def test_failed_compile_reports_the_first_error_and_the_log(layout, checkout):
    edit(checkout.path / "osdep.c", "return", "retrun")
    with pytest.raises(CompileError) as caught:
        build_it(checkout, layout, jobs=1)
    details = caught.value.details
    assert "osdep.c: In function" in details[0]
    assert "osdep.c:5:5: error:" in details[1]
    assert "retrun" in details[2]
    assert caught.value.log == layout.logs / "7.2-base-native-compile.log"
    with pytest.raises(NothingBuiltError):
        find_binary(layout, "7.2", "base", X86[0])
    edit(checkout.path / "osdep.c", "retrun", "return")
    assert build_it(checkout, layout).binaries
    assert configure_runs(checkout) == 1


def test_link_error_is_reported(layout, checkout):
    edit(checkout.path / "osdep.c", "fake_version", "other_version")
    with pytest.raises(CompileError) as caught:
        build_it(checkout, layout, targets=X86)
    assert any("undefined reference to `fake_version'" in line for line in caught.value.details)


def test_killed_build_is_resumed(layout, checkout, monkeypatch):
    """After SIGKILL during ninja, no process remains, and the next run builds only the missing files."""
    program = (
        "from pathlib import Path; from tests.unit.build.support import build_it, checkout_at, make_layout\n"
        f"c = checkout_at(Path({str(checkout.path)!r}))\n"
        f"build_it(c, make_layout(Path({str(layout.build.parent)!r})), jobs=1)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "FAKEQEMU_FAULT": "hang-compile"}
    )
    try:
        wait_until((checkout.path.parent / "compile-hangs").exists)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    wait_until(lambda: not _processes_in(checkout.path.parent / "native"))
    resumed = build_it(checkout, layout)
    assert 0 < resumed.steps < 6
    assert len(resumed.binaries) == 2
    assert configure_runs(checkout) == 1


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_variants_share_compiled_files(layout):
    base, patched = make_checkout(layout), make_checkout(layout, "patched-x", "c2")
    edit(patched.path / "osdep.c", "7.2.0", "7.2.1")
    cold = build_it(base, layout, ccache=True)
    warm = build_it(patched, layout, ccache=True)
    assert (cold.cache.hits, cold.cache.misses) == (0, 4)
    assert (warm.cache.hits, warm.cache.misses) == (3, 1)
    assert "7.2.1" in warm.binaries[0].version
    assert warm.compiler.launcher.endswith("ccache")


def test_unbuildable_pin_target_or_source_is_refused(layout, checkout):
    with pytest.raises(OptionError, match="arm-softmmu"):
        build_it(checkout, layout, targets=("arm-softmmu",))
    (checkout.path / "configure").unlink()
    with pytest.raises(ConfigureError, match="no configure"):
        build_it(checkout, layout)
    assert not (checkout.path.parent / "native").exists()


def test_missing_binary_error_contains_the_build_command(layout):
    with pytest.raises(NothingBuiltError, match="has not been built"):
        find_binary(layout, "7.2", "base", X86[0])
    build_it(make_checkout(layout), layout, targets=X86)
    with pytest.raises(NothingBuiltError) as caught:
        find_binary(layout, "7.2", "base", "s390x-softmmu")
    assert caught.value.remedy == (
        "run: nox -s build -- -Dvariants=base -Dtargets=x86_64-softmmu,s390x-softmmu"
    )


def test_unwritable_folder_is_a_storage_error(layout, checkout):
    (checkout.path.parent / "native").write_text("in the way")
    with pytest.raises(StorageError):
        build_it(checkout, layout, reporter=Silent())


def _processes_in(folder):
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if (process / "cwd").readlink() == folder:
                    found.append(process.name)
            except OSError:
                continue
    return found
