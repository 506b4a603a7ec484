"""Builds of the fake QEMU with further goals and switches, exact targets, and another compiler."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.build import build
from harness.build.doctor import ensure_libraries
from harness.build.libraries import installed_features, library, missing_packages
from harness.build.needs import Requirement, requirements
from harness.build.plan import Extra
from harness.errors import CompileError, MissingError, OptionError
from harness.progress import Silent
from tests.unit.build.support import BOTH, configure_runs, make_options
from tests.unit.programs import write_program


def build_with(checkout, layout, targets=BOTH[:1], **extra):
    return build(checkout, make_options(targets=targets), layout, Silent(), extra=Extra(**extra))


def test_further_goals_are_built_even_if_the_binaries_are_up_to_date(layout, checkout):
    build_with(checkout, layout)
    assert build_with(checkout, layout).reused
    with pytest.raises(CompileError):
        build_with(checkout, layout, goals=("tests-that-nobody-asked-for",))
    (checkout.path.parent / "native" / "no-such-file.o").touch()
    built = build_with(checkout, layout, goals=("vl.c.o",))
    assert not built.reused
    assert built.commands[-1].argv[-1] == "vl.c.o"
    assert build_with(checkout, layout, goals=("vl.c.o",)).reused


def test_goal_that_a_series_adds_is_built_from_its_commit_on(layout, checkout):
    extra = {"goals": ("vl.c.o", "added")}
    built = build_with(checkout, layout, **extra)
    assert built.commands[-1].argv[-2:] == ("vl.c.o", "added")
    ninja = Path(built.folder) / "build.ninja"
    with ninja.open("a") as stream:
        stream.write("build added | implicit: c_COMPILER ../src/osdep.c\n")
    later = dataclasses.replace(checkout, commit="c2")
    assert not (ninja.parent / "added").exists()
    build(later, make_options(targets=BOTH[:1]), layout, Silent(), extra=Extra(**extra))
    assert (ninja.parent / "added").exists()


def test_switch_that_a_series_adds_is_left_out_before(layout, checkout):
    build_with(checkout, layout, switches=("--enable-added", "--disable-werror"))
    (line,) = (checkout.path.parent / "configure-runs").read_text().splitlines()
    assert "--disable-werror" in line
    assert "--enable-added" not in line


def test_exact_targets_give_up_the_earlier_ones(layout, checkout):
    build_with(checkout, layout, BOTH)
    assert build_with(checkout, layout, BOTH[:1]).targets == tuple(sorted(BOTH))
    assert build_with(checkout, layout, BOTH[:1], exact=True).targets == BOTH[:1]
    assert configure_runs(checkout) == 2


def test_user_emulation_is_built_if_the_tree_has_it(layout, checkout):
    with pytest.raises(OptionError, match="has no 'arm-linux-user'"):
        build_with(checkout, layout, ("arm-linux-user",))
    folder = checkout.path / "configs" / "targets"
    folder.mkdir(parents=True)
    for name in ("arm-linux-user", "arm-bsd-user"):
        (folder / f"{name}.mak").touch()
    with pytest.raises(CompileError, match="failed"):  # the fake has no user emulation
        build_with(checkout, layout, ("arm-linux-user",))


def test_another_compiler_builds_beside_the_first(layout, checkout, tmp_path, monkeypatch):
    first = build_with(checkout, layout)
    clang = write_program(tmp_path / "bin" / "clang", f'exec {shutil.which("gcc")} "$@"')
    monkeypatch.setenv("PATH", str(clang.parent), prepend=":")
    second = build_with(checkout, layout, compiler="clang")
    assert second.compiler.path == str(clang)
    assert Path(second.folder) == Path(first.folder).with_name("native-clang")
    assert second.logs != first.logs
    assert build_with(checkout, layout).reused


def test_doctor_requires_the_compilers_of_the_options():
    def names(**options):
        return {need.name for need in requirements(make_options(**options))}

    assert "clang" in names(compilers=("gcc", "clang"))
    assert "clang" not in names()
    assert "clang" not in {need.name for need in requirements(None)}


def test_libraries_are_requirements_with_debians_packages():
    curl, rbd = library("libcurl", "block/curl.c"), library("rbd")
    assert (curl.kind, curl.name, curl.package, curl.needed_by) == (
        *("pkg-config", "libcurl", "libcurl4-gnutls-dev"),
        "block/curl.c",
    )
    assert (rbd.kind, rbd.name, rbd.package) == ("header", "rbd/librbd.h", "librbd-dev")
    flex = library("flex")
    assert (flex.kind, flex.package) == ("program", "flex")
    assert library("no-such-library") is None
    assert library("canokey-qemu") is None, "Debian has no package of it"


@pytest.mark.parametrize(("found", "switches"), [(True, ("--enable-linux-aio",)), (False, ())])
def test_optional_features_are_those_whose_library_is_installed(monkeypatch, found, switches):
    def check(needs):
        return [SimpleNamespace(name=need.name, found=found) for need in needs]

    monkeypatch.setattr("harness.build.libraries.check", check)
    assert installed_features() == switches
    monkeypatch.setattr("harness.build.libraries.library", lambda *_: None)
    assert installed_features() == ()


def test_missing_packages_are_named(monkeypatch):
    assert missing_packages(["no-such-library"]) == ("no-such-library",)
    nothing = tuple(
        Requirement(name="no/such.h", kind="header", package=package, needed_by="", stages=())
        for package in ("a-dev", "a-dev", "b-dev")
    )
    found = dict(zip(("x", "y", "z"), nothing, strict=True))
    monkeypatch.setattr("harness.build.libraries.library", found.get)
    assert missing_packages(["x", "y", "z", "unknown"]) == ("a-dev", "b-dev")


def test_packages_that_cannot_be_installed_do_not_stop_the_others(layout, monkeypatch):
    asked = []

    def install(rows, _layout, _reporter):
        asked.append([row.package for row in rows])
        if "bad-dev" in asked[-1]:
            raise MissingError("missing: bad", "run: apt-get install bad-dev")

    monkeypatch.setattr("harness.build.doctor._install", install)
    needs = [
        Requirement(name=f"no/{name}.h", kind="header", package=f"{name}-dev", needed_by="", stages=())
        for name in ("good", "bad")
    ]
    reporter = Silent()
    ensure_libraries(needs, layout, reporter)
    assert sorted(map(tuple, asked)) == [("bad-dev",), ("good-dev",), ("good-dev", "bad-dev")]
    assert reporter.lines == ["missing: bad; run: apt-get install bad-dev"]
    asked.clear()
    ensure_libraries([], layout, reporter)
    assert asked == []
