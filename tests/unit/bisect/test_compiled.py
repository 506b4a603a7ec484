"""Which changed sources count as compiled, and why the others are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.bisect import compiled as module
from harness.bisect.compiled import (
    Changed,
    Reasons,
    changed_sources,
    compiled_in,
    is_source,
    nothing_compiled,
)
from harness.bisect.scope import Scope
from harness.build.features import Needs, features_of
from harness.build.plan import Extra
from harness.check import CompiledFiles
from harness.layout import Layout
from tests.unit.bisect.support import Walk, judged
from tests.unit.check.support import judged as series
from tests.unit.series.mails import patch

NINJA = """\
build a.c.o: c_COMPILER ../src/hw/a.c || decode.inc
build lost.c.o: c_COMPILER ../src/hw/lost.c
build decode.inc: CUSTOM_COMMAND ../src/target/a.decode
build qemu-system-x86_64: c_LINKER a.c.o lost.c.o
build other.c.o: c_COMPILER ../src/hw/other.c
build other-test: c_LINKER other.c.o
"""
CHANGE = """\
diff --git a/{path} b/{path}
--- a/{path}
+++ b/{path}
@@ -1 +1,2 @@
 one
+two
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "build.ninja").write_text(NINJA)
    for name in ("a.c.o", "other.c.o"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("hw/arm/virt.c", True),
        ("include/hw/arm/virt.h", True),
        ("target/arm/t32.decode", True),
        ("ui/cocoa.m", True),
        ("tcg/i386/tcg-target.c.inc", True),
        ("qapi/block.json", True),
        ("hw/arm/trace-events", True),
        ("rust/hw/char/pl011/src/lib.rs", True),
        ("docs/config.json", False),
        ("meson.build", False),
        ("docs/about.rst", False),
        ("tests/functional/test_arm.py", False),
    ],
)
def test_sources_are_what_a_compiler_or_generator_reads(path: str, counts: bool) -> None:
    assert is_source(path) is counts


def test_object_that_a_goal_needs_and_that_exists_is_compiled(folder: Path) -> None:
    wanted = {"hw/a.c", "hw/lost.c", "hw/other.c", "target/a.decode", "hw/absent.c"}
    goal = ["qemu-system-x86_64"]
    assert compiled_in(folder, goal, wanted) == {"hw/a.c", "target/a.decode"}
    assert compiled_in(folder, [*goal, "other-test"], wanted) == {"hw/a.c", "target/a.decode", "hw/other.c"}
    refused = ["FAILED: [code=1] lost.c.o", "gcc …", "error"]
    assert "hw/lost.c" in compiled_in(folder, goal, wanted, refused), "the compiler has judged it"
    assert "hw/lost.c" in compiled_in(folder, goal, wanted, ["FAILED: lost.c.o "])
    assert compiled_in(folder / "nowhere", goal, wanted) == set()


def test_object_of_an_earlier_commit_does_not_count_after_a_failure(folder: Path) -> None:
    source = folder.parent / "src" / "hw" / "a.c"
    source.parent.mkdir(parents=True)
    for path in (source, source.with_name("a.h")):
        path.touch()
    goal = ["qemu-system-x86_64"]
    os.utime(folder / "a.c.o", (1, 1))
    assert compiled_in(folder, goal, {"hw/a.c"}) == {"hw/a.c"}, "ninja has compared the times"
    assert compiled_in(folder, goal, {"hw/a.c"}, []) == set()
    os.utime(folder / "a.c.o")
    assert compiled_in(folder, goal, {"hw/a.c"}, []) == {"hw/a.c"}


def test_header_counts_through_the_compilers_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(where: Path, objects: Any, wanted: set[str]) -> set[str]:
        assert (where, set(objects), wanted) == (folder, {"a.c.o"}, {"hw/a.h", "hw/lost.c"})
        return {"hw/a.h"}

    monkeypatch.setattr(module, "read_headers", read)
    assert compiled_in(folder, ["qemu-system-x86_64"], {"hw/a.h", "hw/a.c", "hw/lost.c"}) == {
        "hw/a.h",
        "hw/a.c",
    }


def test_run_that_builds_nothing_has_compiled_nothing() -> None:
    deleted = CHANGE.format(path="hw/b.c").replace("+++ b/hw/b.c", "+++ /dev/null")
    diff = CHANGE.format(path="hw/a.c") + deleted + CHANGE.format(path="docs/a.rst")
    assert nothing_compiled(judged(2, diff).patches) == CompiledFiles(compiled=0, changed=1)


def test_deleted_files_do_not_count(folder: Path, tmp_path: Path) -> None:
    series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/gone.c"))
    assert changed_sources(series.patches) == {"hw/a.c": 2, "hw/gone.c": 2}
    changed = Changed(source=tmp_path / "src")
    changed.add(series.patches, folder, ["qemu-system-x86_64"])
    assert changed.existing == {}
    (tmp_path / "src" / "hw").mkdir(parents=True)
    (tmp_path / "src" / "hw" / "a.c").touch()
    assert changed.existing == {"hw/a.c": 2}
    assert changed.findings(lambda: pytest.fail("nothing is to be explained")) == []


def reasons(tmp_path: Path, **changes: Any) -> Reasons:
    (tmp_path / "configure").write_text("--enable-curl --enable-odd")
    (tmp_path / "meson.build").write_text(
        "curl = dependency('libcurl', required: get_option('curl'))\n"
        "odd = dependency('odd', required: get_option('odd'))\n"
        "s.add(when: 'CONFIG_WIN32', if_true: files('win.c'))\n"
        "s.add(when: curl, if_true: files('curl.c'))\n"
        "s.add(when: odd, if_true: files('odd.c'))\n"
        "s.add(when: 'CONFIG_X', if_true: files('x.c'))\n"
        "if cpu == 's390x'\n  s.add(files('cpu.c'))\nendif\n"
    )
    given: dict[str, Any] = {
        "features": features_of(tmp_path),
        "elsewhere": {"hw/arm/virt.c": ("qemu-system-aarch64", "qemu-system-arm", "b", "c")},
        "needs": {
            "include/curl.h": Needs(switches=("--enable-curl",), libraries=("libcurl",)),
            "target/arm/kvm.c": Needs(kvm=True),
        },
        "targets": ("x86_64-softmmu",),
        "restricted": True,
        "rust": False,
        "refused": {},
    }
    return Reasons(**(given | changes))


def test_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_packages", lambda names: tuple(f"{name}-dev" for name in names))
    given = reasons(tmp_path)
    assert given.why("win.c") == "other operating system (windows)"
    assert given.why("hw/arm/virt.c") == (
        "no target selected that compiles it: aarch64-softmmu, arm-softmmu, b and others would, "
        "not -Dtargets=x86_64-softmmu"
    )
    assert given.why("curl.c") == "missing library: libcurl-dev"
    assert given.why("include/curl.h") == "missing library: libcurl-dev"
    assert given.why("target/arm/kvm.c") == "other host processor (KVM of this target)"
    assert given.why("include/sysemu/os-win32.h") == "other operating system (win32)"
    assert given.why("include/freebsd/x.h") == "other operating system (freebsd)"
    assert given.why("tcg/tci/tcg-target.c.inc").startswith("not part of the build at all")
    assert given.why("cpu.c") == "other host processor (s390x)"
    assert given.why("tcg/arm/tcg-target.c.inc") == "other host processor (arm)"
    assert given.why("linux-headers/asm-arm64/kvm.h") == "other host processor (arm64)"
    assert given.why("linux-headers/asm-generic/x.h").startswith("not part of the build at all")
    assert given.why("tests/tcg/x.c").startswith("not part of the build at all")
    assert given.why("a/lib.rs") == "Rust is off: -Drust=true compiles it"
    assert reasons(tmp_path, rust=True).why("a/lib.rs").startswith("not part of the build at all")
    assert given.why("x.c").startswith("not part of this build")
    refused = reasons(tmp_path, refused={"--enable-odd": "no such thing"})
    assert refused.why("odd.c") == "configure refuses --enable-odd: no such thing"
    assert reasons(tmp_path, restricted=False).why("hw/arm/virt.c").endswith("would, not x86_64-softmmu")


def make_build(layout: Layout, *names: str) -> Path:
    """Create a checkout and a build folder with the empty files ``names``; return their folder."""
    root = layout.build_root("7.2", "validate-x")
    for name in ("src/configure", "native/build.ninja", *names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "native" / "build.ninja").write_text(NINJA)
    return root


def test_file_that_no_commit_compiles_is_a_finding(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/lost.c"))
    root = make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    built = walk(targets=("x86_64-softmmu",))
    assert [(one.rule, one.severity, one.patch, one.file) for one in built.findings] == [
        ("build-not-compiled", "warning", 2, "hw/lost.c")
    ]
    assert built.compiled is not None
    assert (built.compiled.compiled, built.compiled.changed) == (1, 2)
    assert built.compiled.targets == ("x86_64-softmmu",)
    extra = Extra(goals=("other-test",), switches=("--enable-x",))
    walk.scope = Scope(targets=("x86_64-softmmu",), extra=extra)
    walk.series = judged(1, CHANGE.format(path="hw/other.c"))
    (root / "src" / "hw" / "other.c").touch()
    (root / "native" / "other.c.o").touch()
    chosen = walk().compiled
    assert chosen is not None
    assert (chosen.compiled, chosen.programs, chosen.switches) == (1, ("other-test",), ("--enable-x",))


def test_only_files_of_the_given_patches_count(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series = series(
        patch("[PATCH 1/2] util: n1", ident="1@e.org", diff=CHANGE.format(path="hw/lost.c")),
        patch("[PATCH 2/2] util: n2", ident="2@e.org", diff=CHANGE.format(path="hw/a.c")),
    )
    make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    options: dict[str, Any] = {"targets": ("x86_64-softmmu",)}
    assert walk(**options, patches=("2",)).findings == ()
    assert [(one.patch, one.file) for one in walk(**options).findings] == [(1, "hw/lost.c")]


def test_error_of_the_compiler_counts_as_compiled(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/lost.c"))
    make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    error = ["FAILED: lost.c.o", "../src/hw/lost.c:1:1: error: no"]
    assert [one.rule for one in walk({"c2": error}).findings] == ["build-fails"]
    only = walk(targets=("x86_64-softmmu",), patches=("1",))
    assert [(one.rule, one.patch) for one in only.findings] == [("build-not-compiled", 1)]


def test_programs_of_tests_count(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bisect.suites import QemuTest

    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series = judged(1, CHANGE.format(path="hw/other.c"))
    walk.tests = (QemuTest(name="a", suite="unit", programs=("other-test",), sources=()),)
    make_build(layout, "src/hw/other.c", "native/other.c.o")
    assert walk(qemu_tests=("all",)).findings == ()
    assert [one.rule for one in walk(qemu_tests=("none",)).findings] == ["build-not-compiled"]
