"""clippy and rustfmt, by programs that stand for them, and what of it is reported."""

from types import SimpleNamespace

import pytest

from harness.bisect import rust as module
from harness.bisect.choosing import choose_tests
from harness.bisect.diagnostics import Diagnostic, read_diagnostics
from harness.bisect.rust import NOT_BUILT, OFF, RustCheck, check_rust, compare_rust
from harness.bisect.suites import QemuTest
from harness.errors import TimeoutExpiredError
from tests.unit.bisect.support import RecordingSandbox, Walk
from tests.unit.bisect.support import judged as series
from tests.unit.bisect.test_compiled import CHANGE
from tests.unit.check.support import Recorder
from tests.unit.repositories import touch_files

CLIPPY = """\
\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: returning the result of a `let` binding\x1b[0m
 \x1b[1m\x1b[94m--> \x1b[0m{source}/rust/a/src/lib.rs:7:5
  |
error[E0425]: cannot find value `y` in this scope
 --> rust/a/liba.rlib.p/structured/b.rs:9:5
error: manual checked division
   --> {folder}/rust/a/liba.rlib.p/structured/b.rs:10:12

warning: 2 warnings emitted
error: aborting due to 1 previous error
 --> odd
"""
LIB, OTHER = "rust/a/src/lib.rs", "rust/a/src/b.rs"


class Machine:
    """A build whose ninja, and a PATH whose clippy-driver and rustfmt, are scripts."""

    def __init__(self, top, monkeypatch):
        self.top, self.sandbox, self.step, self.log = top, RecordingSandbox(), Recorder(), top / "log"
        touch_files(top / "src", LIB, OTHER)
        self.folder = top / "native"
        self.folder.mkdir()
        (self.folder / "build.ninja").write_text("build clippy: phony\n")
        self.bin = top / "bin"
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        output = CLIPPY.format(source=top / "src", folder=top / "native")
        self.script("ninja", f"echo '[3/9] clippy'; cat <<'E'\n{output}E\nexit 1")
        self.script("clippy-driver", "exit 1")
        self.script("rustfmt", f"echo Warning: only nightly; echo {top}/src/{OTHER}; exit 1")

    def script(self, name, text):
        (self.bin / name).write_text(f'#!/bin/sh\n[ "$PWD" = {self.folder} ] || exit 9\n{text}\n')
        (self.bin / name).chmod(0o755)

    def __call__(self, *files):
        command = SimpleNamespace(purpose="compile", argv=(str(self.bin / "ninja"), "-j2", "qemu"), env={})
        build = SimpleNamespace(folder=str(self.folder), source=str(self.top / "src"), commands=(command,))
        found = check_rust(build, files or (LIB, OTHER), self.sandbox, self.log, self.step)
        assert {folder for _, folder in self.sandbox.commands} <= {self.folder}
        return found


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_clippy_and_rustfmt_are_run_in_the_sandbox(machine):
    found = machine(LIB, OTHER, "rust/Cargo.toml", "rust/gone.rs")
    assert found.missing == ()
    assert [(one.file, one.line, one.text, one.is_warning) for one in found.warnings] == [
        (LIB, 7, "returning the result of a `let` binding", True),
        (OTHER, 9, "cannot find value `y` in this scope", False),
        (OTHER, 10, "manual checked division", False),
    ]
    assert found.unformatted == {OTHER}
    source = machine.top / "src"
    assert [command for command, _ in machine.sandbox.commands] == [
        f"{machine.bin}/ninja -j2 -k0 clippy",
        f"{machine.bin}/rustfmt --check -l {source / OTHER} {source / LIB}",
    ]
    assert machine.step.updates == [(3, 9, "clippy")]
    assert "only nightly" in machine.log.read_text()
    assert machine("rust/Cargo.toml").missing == (), "nothing to format"


def test_what_is_missing_is_said(machine):
    for name in ("clippy-driver", "rustfmt"):
        (machine.bin / name).unlink()
    assert machine() == RustCheck(
        missing=("clippy: clippy-driver is not installed", "rustfmt: it is not installed")
    )
    machine.script("clippy-driver", "")
    (machine.folder / "build.ninja").write_text("build all: phony\n")
    assert machine().missing[0] == "clippy: this tree's meson has no goal for it"


def test_failure_without_a_message_is_no_clean_check(machine):
    machine.script("ninja", "echo ninja: error: odd; exit 1")
    machine.script("rustfmt", "echo no toolchain; exit 1")
    assert machine().missing == (
        "clippy: it ends with status 1: ninja: error: odd",
        "rustfmt: it ends with status 1: no toolchain",
    )
    machine.script("ninja", "echo WARNING: clippy-driver not found for host machine")
    machine.script("rustfmt", "exit 3")
    assert machine().missing[1] == "rustfmt: it ends with status 3: "
    machine.script("rustfmt", f"echo {machine.top}/src/rust/another.rs; exit 1")
    found = machine()
    assert found.missing == ("clippy: meson does not find clippy-driver",)
    assert found.unformatted == frozenset(), "a module that the series does not change"


def test_rustfmt_that_hangs_is_ended(machine, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    machine.script("rustfmt", "sleep 60")
    with pytest.raises(TimeoutExpiredError):
        machine()


def test_new_problems_are_findings_of_the_patch_that_changes_the_file():
    old, new, elsewhere = (
        Diagnostic(file=file, line=line, text=text, switch="", is_warning=True)
        for file, line, text in ((LIB, 3, "old"), (LIB, 9, "new"), ("rust/c.rs", 2, "elsewhere"))
    )
    before = RustCheck(warnings=(old,), unformatted=frozenset({LIB}))
    after = RustCheck(warnings=(old, new, elsewhere), unformatted=frozenset({LIB, OTHER}))
    found = compare_rust(series(2, CHANGE.format(path=LIB) + CHANGE.format(path=OTHER)), before, after)
    assert [(one.rule, one.severity, one.patch, one.file, one.line) for one in found] == [
        ("rust-clippy", "warning", 2, LIB, 9),
        ("rust-clippy", "warning", 0, "rust/c.rs", 2),
        ("rust-format", "warning", 2, OTHER, 0),
    ]
    assert [one.message for one in found[:2]] == ["new", "elsewhere"]


def test_message_of_rustc_needs_its_place():
    assert read_diagnostics(["warning: a", "noise", " --> a.rs:1:2"]) == ()
    assert read_diagnostics(["warning: a", "a.c:1:1: error: b", " --> a.rs:1:2"])[0].file == "a.c"
    (one,) = read_diagnostics(["warning: unused import", "  --> ../src/rust/a.rs:12:5", " --> b.rs:1:1"])
    assert (one.file, one.line) == ("rust/a.rs", 12)


def test_tests_in_rust_are_run_if_rust_is_touched():
    tests = [
        QemuTest(name="rust-bql", suite="unit", suites=("rust",), programs=(), sources=()),
        QemuTest(name="check-a", suite="unit", programs=(), sources=()),
    ]
    for path, count in ((LIB, 1), ("rust/Cargo.toml", 1), ("hw/odd.c", 0)):
        assert len(choose_tests(tests, [path], ("touched",), lambda _: "")) == count


@pytest.fixture
def walk(layout, monkeypatch):
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series = series(2, CHANGE.format(path="rust/Cargo.toml"))
    return walk


def test_unchecked_rust_is_never_clean(walk, monkeypatch):
    def messages(**options):
        return [
            (one.patch, one.message)
            for one in walk(**options).findings
            if one.rule == "rust-not-checked" and one.severity == "warning"
        ]

    assert messages() == [(2, f"not checked: {OFF}")]
    assert messages(rust=True, hosts=("s390x",)) == [(2, f"not checked: {NOT_BUILT}")]
    checked = []

    def check(build, files, *rest):
        assert rest == (walk.sandbox, walk.log(int(build.commit[1:]), "rust"), walk.reporter)
        checked.append((build.commit, set(files)))
        return RustCheck(missing=("clippy: none",))

    monkeypatch.setattr("harness.bisect.commits.check_rust", check)
    assert messages(rust=True) == [(2, "not checked: clippy: none")]
    assert checked == [("c0", {"rust/Cargo.toml"}), ("c2", {"rust/Cargo.toml"})]
    checked.clear()
    walk(rust=True, patches=("1",))
    assert [commit for commit, _ in checked] == ["c0", "c1"]
    walk.series = series(2, CHANGE.format(path="util/a.c"))
    checked.clear()
    assert (messages(), messages(rust=True), checked) == ([], [], [])


def test_new_problems_of_the_last_commit_are_findings(walk, monkeypatch):
    walk.series = series(2, CHANGE.format(path=LIB))
    checks = {"c0": RustCheck(), "c2": RustCheck(unformatted=frozenset({LIB}))}
    monkeypatch.setattr("harness.bisect.commits.check_rust", lambda build, *_: checks[build.commit])
    assert [one.rule for one in walk(rust=True).findings] == ["rust-format"]
    assert [one.rule for one in walk(failing={"c1": ["a"]}, rust=True).findings] == [
        "test-fails",
        "rust-format",
    ]
