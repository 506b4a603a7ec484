"""Which changed sources count as compiled, and why the others are not."""

import os
from types import SimpleNamespace

import pytest

from harness.bisect import commits
from harness.bisect import compiled as module
from harness.bisect.compiled import (
    Changed,
    Compiled,
    Reasons,
    changed_sources,
    compiled_in,
    is_source,
    nothing_compiled,
)
from harness.bisect.conditions import Added, read_conditions
from harness.bisect.scope import Scope
from harness.build.features import Needs, features_of
from harness.build.plan import Extra
from harness.check import CompiledFiles
from tests.unit.bisect.support import judged
from tests.unit.check.support import judged as series
from tests.unit.repositories import touch_files, write_files
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
def folder(tmp_path):
    return write_files(tmp_path / "native", {"build.ninja": NINJA, "a.c.o": "", "other.c.o": ""})


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("hw/arm/virt.c", True),
        ("include/hw/arm/virt.h", True),
        ("target/arm/t32.decode", True),
        ("ui/cocoa.m", True),
        ("tcg/i386/tcg-target.c.inc", True),
        ("qapi/block.json", True),
        ("qga/qapi-schema.json", True),
        ("hw/arm/trace-events", True),
        ("rust/hw/char/pl011/src/lib.rs", True),
        ("docs/config.json", False),
        ("meson.build", False),
        ("docs/about.rst", False),
        ("tests/functional/test_arm.py", False),
    ],
)
def test_sources_are_what_a_compiler_or_generator_reads(path, counts):
    assert is_source(path) is counts


def test_object_that_a_goal_needs_and_that_exists_is_compiled(folder):
    goal = ["qemu-system-x86_64"]
    assert compiled_in(folder, goal, ()).sources == {"hw/a.c", "target/a.decode"}
    both = compiled_in(folder, [*goal, "other-test"], ())
    assert both.sources == {"hw/a.c", "target/a.decode", "hw/other.c"}
    refused = ["FAILED: [code=1] lost.c.o", "gcc …", "error"]
    assert "hw/lost.c" in compiled_in(folder, goal, (), refused).sources, "the compiler has judged it"
    assert "hw/lost.c" in compiled_in(folder, goal, (), ["FAILED: lost.c.o "]).sources
    assert compiled_in(folder / "nowhere", goal, ()) == Compiled()


def test_copies_of_rust_code_and_headers_for_bindgen_are_compiled(folder):
    """meson names what it copies by the absolute path."""
    crate = f"""\
build rust/libx.rlib.p/structured/x.rs: COPY_FILE {folder.parent}/src/rust/src/x.rs
build rust/x.inc.rs: CUSTOM_COMMAND_DEP ../src/rust/wrapper.h | ../src/rust/unread.h
build names.c: CUSTOM_COMMAND ../src/rust/listed.h
build rust/libx.rlib: rust_COMPILER rust/libx.rlib.p/structured/lib.rs | rust/x.inc.rs names.c $
 || rust/libx.rlib.p/structured/x.rs
"""
    (folder / "build.ninja").write_text(crate)
    assert compiled_in(folder, ["rust/libx.rlib"], ()).sources == {"rust/src/x.rs", "rust/wrapper.h"}


def test_sources_of_which_configure_writes_the_compiled_file_are_compiled(folder):
    """As meson writes it for rust/trace of QEMU 10.2."""
    (folder / "build.ninja").write_text("""\
build build.ninja: REGENERATE_BUILD ../src/meson.build ../src/rust/trace/src/lib.rs ../src/rust/bql/src/lib.rs
build rust/trace/libtrace.rlib: rust_COMPILER rust/trace/lib.rs
""")
    found = compiled_in(folder, ["rust/trace/libtrace.rlib"], ()).sources
    assert found == {"rust/trace/src/lib.rs"}


def test_object_of_an_earlier_commit_does_not_count_after_a_failure(folder):
    touch_files(folder.parent / "src" / "hw", "a.c", "a.h")
    goal = ["qemu-system-x86_64"]
    os.utime(folder / "a.c.o", (1, 1))
    assert "hw/a.c" in compiled_in(folder, goal, ()).sources, "ninja has compared the times"
    assert "hw/a.c" not in compiled_in(folder, goal, (), []).sources
    os.utime(folder / "a.c.o")
    assert "hw/a.c" in compiled_in(folder, goal, (), []).sources


def test_header_counts_through_the_compilers_reports(folder, monkeypatch):
    asked = []

    def read(where, objects, wanted):
        assert where == folder
        asked.append((objects, wanted))
        return {name: set(objects.values()) for name in wanted}

    monkeypatch.setattr(module, "read_headers", read)
    goal, wanted = ["qemu-system-x86_64"], {"hw/a.h", "hw/a.c", "hw/lost.c"}
    assert compiled_in(folder, goal, wanted).readers["hw/a.h"] == {"hw/a.c"}
    assert asked == [({"a.c.o": "hw/a.c"}, {"hw/a.h", "hw/lost.c"})]
    header = touch_files(folder.parent / "src" / "hw", "a.c", "a.h") / "a.h"
    for path in (header, header.with_name("a.c")):
        os.utime(path, (1, 1))
    failed = compiled_in(folder, goal, {"hw/a.h"}, ["FAILED: lost.c.o "])
    assert failed.readers == {"hw/a.h": {"hw/a.c", "hw/lost.c"}}, "the compiler has read it and refused"
    os.utime(folder / "a.c.o", (2, 2))
    os.utime(header, (3, 3))
    old = compiled_in(folder, goal, {"hw/a.h"}, ["FAILED: lost.c.o "])
    assert old.readers == {"hw/a.h": {"hw/lost.c"}}, "the object is that of an earlier commit"
    touch_files(folder.parent / "src" / "hw", "b.h")
    both = compiled_in(folder, goal, {"hw/a.h", "hw/b.h"}, ["FAILED: lost.c.o "])
    assert both.readers == {name: {"hw/lost.c"} for name in ("hw/a.h", "hw/b.h")}


def counted(tmp_path, users, readers, compiled):
    """A header that ``users`` include, and that was read for ``readers`` of the ``compiled`` sources."""
    (tmp_path / "a.h").touch()
    return Changed(
        source=tmp_path,
        files={"a.h": 3},
        includers={"a.h": frozenset(users)} if users else {},
        readers={"a.h": set(readers)} if readers else {},
        sources=set(compiled),
    )


@pytest.mark.parametrize(
    ("users", "readers", "compiled", "expected"),
    [
        ("abcd", "ab", "ab", ((2, 4), "")),
        ("abcd", "abcd", "abcd", (None, "")),
        (
            "abc",
            "a",
            "a",
            ((1, 3), "compiled with 1 of the 3 sources that include it, fewer than half: why+"),
        ),
        ("abc", "a", "abc", (None, "")),
        ("abc", "", "abc", (None, "not compiled: why")),
        ("abc", "x", "x", ((0, 3), "not compiled: why")),
        ("", "x", "x", (None, "")),
        ("", "", "x", (None, "not compiled: why")),
    ],
)
def test_header_counts_with_half_of_the_sources_that_include_it(tmp_path, users, readers, compiled, expected):
    count, message = expected
    changed = counted(tmp_path, users, readers, compiled)
    why = SimpleNamespace(why=lambda path, *, partly=False: {"a.h": "why+" if partly else "why"}[path])
    found = changed.findings(lambda: why)
    assert [(one.patch, one.file, one.message) for one in found] == ([(3, "a.h", message)] if message else [])
    summary = changed.summary((), Extra())
    assert (summary.compiled, summary.changed) == (int(not message), 1)
    assert [(one.file, one.compiled, one.sources) for one in summary.headers] == (
        [("a.h", *count)] if count else []
    )


def test_source_of_the_same_name_has_to_be_compiled(tmp_path):
    header = "include/hw/arm/virt.h"
    touch_files(tmp_path, header)
    users = frozenset({"hw/a.c", "hw/b.c", "hw/arm/virt.c"})
    changed = Changed(source=tmp_path, files={header: 1}, includers={header: users})
    changed.readers[header] = {"hw/a.c", "hw/b.c"}
    changed.sources |= changed.readers[header]
    why = SimpleNamespace(why=lambda _path, *, partly=False: "why+" if partly else "why")
    assert [one.message for one in changed.findings(lambda: why)] == [
        "compiled with 2 of the 3 sources that include it, not with hw/arm/virt.c: why+"
    ]
    changed.sources.add("hw/arm/virt.c")
    assert changed.findings(lambda: why) == []


def test_readers_of_all_builds_count(folder, tmp_path, monkeypatch):
    touch_files(tmp_path, "hw/a.h")
    asked = []

    def read(_folder, objects, wanted):
        asked.append(wanted)
        return {"hw/a.h": set(objects.values())}

    monkeypatch.setattr(module, "read_headers", read)
    changed = Changed(source=tmp_path, includers={"hw/a.h": frozenset({"hw/a.c", "hw/other.c"})})
    patches = judged(2, CHANGE.format(path="hw/a.h")).patches
    for goal in ("qemu-system-x86_64", "other-test", "other-test"):
        changed.add(patches, folder, [goal])
    assert changed.readers == {"hw/a.h": {"hw/a.c", "hw/other.c"}}
    assert asked == [{"hw/a.h"}] * 2, "nothing is read for a header that is complete"
    unread = Changed(source=tmp_path, includers={"hw/a.h": frozenset({"hw/a.c"})}, sources={"hw/a.c"})
    for _ in range(2):
        unread.add(patches, folder, ["qemu-system-x86_64"])
    assert asked == [{"hw/a.h"}] * 3


def test_files_and_sources_of_all_builds_count(folder, tmp_path):
    changed = Changed(source=tmp_path)
    for path, goal in (("hw/a.c", "qemu-system-x86_64"), ("hw/other.c", "other-test")):
        changed.add(judged(1, CHANGE.format(path=path)).patches, folder, [goal])
    assert changed.files == {"hw/a.c": 1, "hw/other.c": 1}
    assert changed.sources >= {"hw/a.c", "hw/other.c"}


def test_run_that_builds_nothing_has_compiled_nothing():
    deleted = CHANGE.format(path="hw/b.c").replace("+++ b/hw/b.c", "+++ /dev/null")
    diff = CHANGE.format(path="hw/a.c") + deleted + CHANGE.format(path="docs/a.rst")
    assert nothing_compiled(judged(2, diff).patches) == CompiledFiles(compiled=0, changed=1)


def test_deleted_files_do_not_count(folder, tmp_path):
    series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/gone.c"))
    assert changed_sources(series.patches) == {"hw/a.c": 2, "hw/gone.c": 2}
    changed = Changed(source=tmp_path / "src")
    changed.add(series.patches, folder, ["qemu-system-x86_64"])
    assert changed.existing == {}
    touch_files(tmp_path, "src/hw/a.c")
    assert changed.existing == {"hw/a.c": 2}
    assert changed.findings(lambda: pytest.fail("nothing is to be explained")) == []


def reasons(tmp_path, **changes):
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
    given = {
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


def test_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "missing_packages", lambda names: tuple(f"{name}-dev" for name in names))
    given = reasons(tmp_path)
    assert given.why("win.c") == "other operating system (windows)"
    assert given.why("hw/arm/virt.c") == (
        "no target selected that compiles it: aarch64-softmmu, arm-softmmu, b and others would, "
        "not -Dtargets=x86_64-softmmu"
    )
    assert given.why("hw/arm/virt.c", partly=True).startswith(
        "no target selected that compiles the others: a"
    )
    for path in ("include/sysemu/os-win32.h", "tcg/arm/tcg-target.c.inc", "win.c", "x.c"):
        assert given.why(path, partly=True) == "the others are not part of this build"
    three = reasons(tmp_path, elsewhere={"a.c": ("b", "c", "d")}, targets=("x", "y"))
    assert three.why("a.c") == "no target selected that compiles it: b, c, d would, not -Dtargets=x,y"
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


def test_reasons_are_those_of_what_was_chosen(walk, layout, monkeypatch):
    given = {}

    def reasons(**more):
        given.update(more)
        return SimpleNamespace(why=lambda path: path)

    monkeypatch.setattr(commits, "Reasons", reasons)
    chosen = {"elsewhere": {"a": ("b",)}, "needs": {"a": Needs()}, "refused": {"--enable-x": "no"}}
    walk.scope = Scope(targets=("arm-softmmu",), **chosen)
    walk.series = judged(1, CHANGE.format(path="hw/lost.c"))
    make_build(layout, "src/hw/lost.c")
    walk(rust=True, given=("-Dtargets=arm-softmmu",))
    assert given.pop("features")
    assert given == chosen | {"targets": ("arm-softmmu",), "restricted": True, "rust": True}


def make_build(layout, *names):
    """Create a checkout and a build folder with the empty files ``names``; return their folder."""
    root = layout.build_root("7.2", "validate-x")
    touch_files(root, "src/configure", *names)
    return write_files(root, {"native/build.ninja": NINJA})


def test_file_that_no_commit_compiles_is_a_finding(walk, layout, monkeypatch):
    walk.series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/lost.c"))
    root = make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    built = walk(targets=("x86_64-softmmu",))
    assert [(one.rule, one.severity, one.patch, one.file) for one in built.findings] == [
        ("build-not-compiled", "warning", 2, "hw/lost.c")
    ]
    assert (built.compiled.compiled, built.compiled.changed) == (1, 2)
    assert built.compiled.targets == ("x86_64-softmmu",)
    extra = Extra(goals=("other-test",), switches=("--enable-x",))
    walk.scope = Scope(targets=("x86_64-softmmu",), extra=extra)
    walk.series = judged(1, CHANGE.format(path="hw/other.c"))
    (root / "src" / "hw" / "other.c").touch()
    (root / "native" / "other.c.o").touch()
    chosen = walk().compiled
    assert (chosen.compiled, chosen.programs, chosen.switches) == (1, ("other-test",), ("--enable-x",))


def test_lines_that_the_last_build_left_out_are_reported(walk, layout, monkeypatch):
    walk.series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/other.c"))
    make_build(layout, "src/hw/a.c", "src/hw/other.c", "native/a.c.o", "native/other.c.o")
    conditions = read_conditions("#if 0\na\n#endif\nb")
    added = {
        "hw/a.c": Added(conditions=conditions, patches={2: 2}),
        "hw/other.c": Added(conditions=conditions, patches={2: 2, 4: 2}),
    }
    calls = []

    def preprocess(lines, built, goals, sandbox):
        calls.append((built.commit, goals, sandbox))
        for one in lines.values():
            one.objects, one.kept = 1, {4}

    monkeypatch.setattr(commits, "added_lines", lambda series: added)
    monkeypatch.setattr(commits, "preprocess", preprocess)
    walk.scope = Scope(targets=("x86_64-softmmu",), extra=Extra(goals=("other-test",)))
    built = walk()
    assert calls == [(walk.series.tip, ("qemu-system-x86_64", "other-test"), walk.sandbox)]
    assert {(one.rule, one.severity, one.patch, one.file) for one in built.findings} == {
        ("lines-not-compiled", "note", 2, "hw/other.c"),
        ("build-not-compiled", "warning", 2, "hw/a.c"),
    }
    assert (built.compiled.compiled, built.compiled.changed) == (1, 2)
    monkeypatch.setattr(
        commits, "added_lines", lambda series: calls.append((series.tip, series.patches)) or {}
    )
    walk(patches=("1",))
    first = walk.series.patches[0]
    assert calls[1:] == [
        (first.commit, (first,)),
        (first.commit, ("qemu-system-x86_64", "other-test"), walk.sandbox),
    ]


def test_only_files_of_the_given_patches_count(walk, layout, monkeypatch):
    walk.series = series(
        patch("[PATCH 1/2] util: n1", ident="1@e.org", diff=CHANGE.format(path="hw/lost.c")),
        patch("[PATCH 2/2] util: n2", ident="2@e.org", diff=CHANGE.format(path="hw/a.c")),
    )
    make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    options = {"targets": ("x86_64-softmmu",)}
    assert walk(**options, patches=("2",)).findings == ()
    assert [(one.patch, one.file) for one in walk(**options).findings] == [(1, "hw/lost.c")]


def test_error_of_the_compiler_counts_as_compiled(walk, layout, monkeypatch):
    walk.series = judged(2, CHANGE.format(path="hw/a.c") + CHANGE.format(path="hw/lost.c"))
    make_build(layout, "src/hw/a.c", "src/hw/lost.c", "native/a.c.o")
    error = ["FAILED: lost.c.o", "../src/hw/lost.c:1:1: error: no"]
    walk.again = {"c2": error}
    assert [one.rule for one in walk({"c2": error[1:]}).findings] == ["build-fails"]
    only = walk(targets=("x86_64-softmmu",), patches=("1",))
    assert [(one.rule, one.patch) for one in only.findings] == [("build-not-compiled", 1)]


def test_programs_of_tests_count(walk, layout, monkeypatch):
    from harness.bisect.suites import QemuTest

    walk.series = judged(1, CHANGE.format(path="hw/other.c"))
    walk.tests = (QemuTest(name="a", suite="unit", programs=("other-test",), sources=()),)
    make_build(layout, "src/hw/other.c", "native/other.c.o")
    assert walk(qemu_tests=("all",)).findings == ()
    assert [one.rule for one in walk(qemu_tests=("none",)).findings] == ["build-not-compiled"]
