"""QEMU's own tests: their list, the selection for a series, and their results."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bisect import qtests as module
from harness.bisect.qtests import QemuTest, build_tests, choose_tests, list_tests, run_tests
from harness.check import TestRow
from harness.errors import InfrastructureError, TimeoutExpiredError
from harness.sandbox import NO_SANDBOX
from tests.unit.bisect.support import RecordingSandbox

SCRIPT = """\
#!/bin/sh
echo "$PWD $CC $*" >> calls
case $1 in
introspect) [ -e "./$2.json" ] || exit 2; cat "./$2.json"; echo noise >&2 ;;
test)
    for file in results-*.json; do
        if [ -e "$file" ]; then mv "$file" meson-logs/validate.json; break; fi
    done
    if [ -e hang ]; then sleep 60; fi
    exit 1 ;;
esac
"""


@dataclass
class Meson:
    """A configured build with a fake of meson and ninja, which record their calls in the file ``calls``."""

    top: Path
    sandbox: RecordingSandbox = field(default_factory=RecordingSandbox)

    def __post_init__(self) -> None:
        (self.folder / "pyvenv" / "bin").mkdir(parents=True)
        (self.folder / "meson-logs").mkdir()
        for path in (self.folder / "pyvenv" / "bin" / "meson", self.ninja):
            path.write_text(SCRIPT)
            path.chmod(0o755)

    @property
    def folder(self) -> Path:
        return self.top / "native"

    @property
    def ninja(self) -> Path:
        return self.folder / "ninja"

    @property
    def log(self) -> Path:
        return self.top / "log"

    @property
    def build(self) -> Any:
        commands = (
            SimpleNamespace(purpose="configure", env={"CC": "cc-12"}, argv=("../src/configure",)),
            SimpleNamespace(purpose="compile", env={}, argv=(str(self.ninja), "-j3", "all")),
        )
        return SimpleNamespace(folder=str(self.folder), source=str(self.top / "src"), commands=commands)

    @property
    def calls(self) -> list[str]:
        """Arguments of the calls; each ran in the build folder, with the variables of configure."""
        lines = (self.folder / "calls").read_text().splitlines()
        prefix = f"{self.folder} cc-12 "
        assert all(line.startswith(prefix) for line in lines)
        assert [folder for _, folder in self.sandbox.commands] == [self.folder] * len(lines)
        return [line.removeprefix(prefix) for line in lines]

    def describe(self, tests: Sequence[object], targets: Sequence[object]) -> None:
        """Let ``meson introspect`` print ``tests`` and ``targets``."""
        for name, entries in (("tests", tests), ("targets", targets)):
            (self.folder / f"--{name}.json").write_text(json.dumps(entries))

    def give(self, *runs: dict[str, str | dict[str, object]]) -> None:
        """Let each ``meson test`` end with one of ``runs``: results, or whole entries, by meson's name."""
        for number, run in enumerate(runs):
            entries = [
                {"name": name} | (entry if isinstance(entry, dict) else {"result": entry, "duration": 0.126})
                for name, entry in run.items()
            ]
            text = "\n".join(json.dumps(entry) for entry in entries)
            (self.folder / f"results-{number}.json").write_text(f"{text}\n\n")

    def run(self, *names: str) -> tuple[TestRow, ...]:
        tests = [QemuTest(name=name, suite="unit", programs=(), sources=()) for name in names]
        return run_tests(self.build, tests, self.sandbox, patch=3, log=self.log, processes=2)


@pytest.fixture
def meson(tmp_path: Path) -> Meson:
    return Meson(tmp_path)


def entry(name: str, *suites: str, command: Sequence[str] = (), depends: Sequence[str] = ()) -> object:
    """One test, as ``meson introspect --tests`` describes it."""
    return {"name": name, "suite": list(suites), "cmd": list(command), "depends": list(depends)}


def target(ident: str, path: str, *sources: str) -> object:
    """One target, as ``meson introspect --targets`` describes it."""
    groups: list[object] = [{"linker": ["cc"]}, {"sources": list(sources)}]
    return {"id": ident, "filename": [path], "target_sources": groups}


def test_unit_tests_and_qtests_are_listed_with_programs_and_sources(meson: Meson) -> None:
    folder, source = meson.folder, meson.top / "src"
    scripted = {"name": "scripted", "suite": ["qemu:unit"], "cmd": ["/usr/bin/sh"]}
    meson.describe(
        [
            entry("block", "qemu:block", command=[f"{folder}/tests/test-a"]),
            entry("test-a", "qemu:unit", command=[f"{folder}/tests/test-a"], depends=["a@exe", "data@cus"]),
            entry("qtest-x/b-test", "qtest", "qtest-x", command=["/usr/bin/sh", f"{folder}/tests/b-test"]),
            entry("gone", "qemu:unit", command=["/usr/bin/sh"], depends=["gone@exe"]),
            scripted,
        ],
        [
            target("a@exe", f"{folder}/tests/test-a", f"{source}/tests/a.c", "../src/tests/common.c"),
            target("b@exe", f"{folder}/tests/b-test", "/usr/share/other.c"),
            target("data@cus", f"{folder}/data"),
        ],
    )
    assert list_tests(meson.build, meson.sandbox) == (
        QemuTest(
            name="test-a",
            suite="unit",
            programs=("tests/test-a", "data"),
            sources=("tests/a.c", "tests/common.c"),
        ),
        QemuTest(
            name="qtest-x/b-test", suite="qtest", programs=("tests/b-test",), sources=("/usr/share/other.c",)
        ),
        QemuTest(name="gone", suite="unit", programs=(), sources=()),
        QemuTest(name="scripted", suite="unit", programs=(), sources=()),
    )
    assert meson.calls == [f"introspect --tests {folder}", f"introspect --targets {folder}"]


def test_failing_introspection_is_an_infrastructure_error(meson: Meson) -> None:
    with pytest.raises(InfrastructureError, match="status 2") as raised:
        list_tests(meson.build, meson.sandbox)
    assert str(meson.folder) in raised.value.cause
    assert "remove" in raised.value.remedy


def test_meson_of_the_harness_is_used_if_the_build_has_none(meson: Meson) -> None:
    (meson.folder / "pyvenv" / "bin" / "meson").unlink()
    with pytest.raises(InfrastructureError):  # because the folder is not configured
        list_tests(meson.build, meson.sandbox)
    assert (
        meson.sandbox.commands[0][0]
        == f"{sys.executable} -m mesonbuild.mesonmain introspect --tests {meson.folder}"
    )


def named(name: str, *sources: str) -> QemuTest:
    return QemuTest(name=name, suite="unit", programs=(), sources=sources)


def test_tests_are_selected_by_source_and_name() -> None:
    tests = (
        named("check-qdict", "tests/unit/check-qdict.c"),
        named("test-util-sockets", "tests/unit/test-util-sockets.c"),
        named("qtest-x86_64/async-teardown-test"),
        named("qtest-x86_64/boot-serial-test"),
    )

    def chosen(*changed: str) -> list[str]:
        return [one.name for one in choose_tests(tests, changed, "touched")]

    assert chosen("tests/unit/check-qdict.c") == ["check-qdict"]
    assert chosen("util/async-teardown.c") == ["qtest-x86_64/async-teardown-test"]
    assert chosen("meson.build", "util/main.c", "docs/x.rst") == []
    assert choose_tests(tests, (), "all") == choose_tests(tests, (), "unit") == tests
    assert choose_tests(tests, (), "qtest") == ()
    assert choose_tests(tests, ("tests/unit/check-qdict.c",), "none") == ()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("hw/char/uart.c", "uart-test"),
        ("hw/char/uart.h", "qtest-arm/qemu-uart-test"),
        ("hw/core/clock.rs", "big-clock-test"),
        ("qapi/migration.json", "qtest-x86_64/migrations"),
        ("HMP_Commands.hx", "hmp-commands"),
        ("util/test_uart.c", "check-uart-tests"),
        ("hw/sensor.c", "sensors-test"),
    ],
)
def test_file_touches_the_tests_whose_name_contains_its_name(changed: str, name: str) -> None:
    assert choose_tests([named(name)], [changed], "touched") == (named(name),)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("hw/rtc.c", "test-rtc"),
        ("hw/core/clock.c", "clocks-test"),
        ("hw/char/uart.txt", "uart-test"),
        ("util/base.c", "base-test"),
        ("include/common.h", "common-test"),
        ("util/util.c", "test-util-sockets"),
        ("target/i386/x86_64.c", "qtest-x86_64/boot-serial-test"),
    ],
)
def test_file_with_a_short_common_or_other_name_touches_no_test(changed: str, name: str) -> None:
    assert choose_tests([named(name)], [changed], "touched") == ()


def test_every_word_that_is_too_common_is_ignored() -> None:
    for word in module._COMMON:
        assert choose_tests([named(f"{word}-test")], [f"util/{word}.c"], "touched") == ()


def test_programs_of_the_tests_are_compiled(meson: Meson) -> None:
    tests = [
        QemuTest(name=name, suite="unit", programs=programs, sources=())
        for name, programs in (("a", ("tests/a", "data")), ("b", ("tests/b", "data")))
    ]
    ended = build_tests(meson.build, tests, meson.sandbox, meson.log)
    assert ended.returncode == 0
    assert meson.calls == ["-j3 -k0 data tests/a tests/b"]
    assert meson.log.exists()


def test_failed_compilation_of_tests_is_a_result(meson: Meson) -> None:
    meson.ninja.write_text("#!/bin/sh\necho failed; exit 1\n")
    assert build_tests(meson.build, [], meson.sandbox, meson.log).returncode == 1
    assert "failed" in meson.log.read_text()


def test_programs_that_hang_are_ended(meson: Meson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    monkeypatch.setattr(module, "INTROSPECT_LIMIT_S", 0.2)
    for path in (meson.ninja, meson.folder / "pyvenv" / "bin" / "meson"):
        path.write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(TimeoutExpiredError):
        build_tests(meson.build, [], meson.sandbox, meson.log)
    with pytest.raises(TimeoutExpiredError):
        list_tests(meson.build, meson.sandbox)


def test_results_of_tests_are_rows(meson: Meson) -> None:
    meson.give({"qemu:unit / test-a": "OK", "unit+qtest - qemu:qtest-x/b": "OK"})
    assert meson.run("test-a", "qtest-x/b") == (
        TestRow(patch=3, suite="unit", name="test-a", outcome="ok", seconds=0.13),
        TestRow(patch=3, suite="unit", name="qtest-x/b", outcome="ok", seconds=0.13),
    )
    assert meson.calls == [
        "test --no-rebuild --no-stdsplit --logbase validate --timeout-multiplier 4 --num-processes 2 "
        "test-a qtest-x/b"
    ]
    assert meson.log.read_text().count("--num-processes") == 1


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("OK", "ok"),
        ("EXPECTEDFAIL", "ok"),
        ("FAIL", "failed"),
        ("ERROR", "failed"),
        ("UNEXPECTEDPASS", "failed"),
        ("TIMEOUT", "timeout"),
        ("SKIP", "skipped"),
        ("IGNORED", "skipped"),
        ("INTERRUPT", "infrastructure"),
        ("a later meson's", "failed"),
    ],
)
def test_results_of_meson_have_an_outcome(meson: Meson, result: str, outcome: str) -> None:
    given: dict[str, object] = {"result": result, "stdout": "why\n"}
    meson.give({"a": given}, {"a": given})
    (row,) = meson.run("a")
    assert (row.outcome, row.seconds) == (outcome, 0)
    assert row.reason == ("" if outcome in ("ok", "skipped") else "why")


def test_failed_test_is_repeated_alone_and_has_to_fail_twice(meson: Meson) -> None:
    meson.give(
        {"a": "OK", "b": "FAIL", "c": "TIMEOUT", "d": "SKIP"},
        {"b": {"result": "OK", "duration": 2}, "c": {"result": "FAIL", "duration": 9}},
    )
    rows = meson.run("a", "b", "c", "d")
    assert [(row.name, row.outcome, row.seconds) for row in rows] == [
        ("a", "ok", 0.13),
        ("b", "ok", 2),
        ("c", "timeout", 0.13),
        ("d", "skipped", 0.13),
    ]
    assert {row.patch for row in rows} == {3}
    assert [call.partition("--num-processes ")[2] for call in meson.calls] == ["2 a b c d", "1 b c"]
    assert meson.log.read_text().count("--num-processes") == 2


def test_result_of_an_earlier_run_is_not_read(meson: Meson) -> None:
    (meson.folder / "meson-logs" / "validate.json").write_text('{"name": "a", "result": "OK"}\n')
    (row,) = meson.run("a")
    assert (row.outcome, row.seconds) == ("infrastructure", 0)
    assert row.reason == "meson test ended with status 1 and no result"


def test_test_run_that_exceeds_its_time_keeps_the_results_so_far(
    meson: Meson, monkeypatch: pytest.MonkeyPatch
) -> None:
    (meson.folder / "hang").touch()
    monkeypatch.setattr(module, "LIMIT_S", 0.5)
    meson.give({"a": "OK"})
    one, two = meson.run("a", "b")
    assert (one.outcome, two.outcome) == ("ok", "infrastructure")
    assert "limit" in two.reason


def test_without_tests_meson_is_not_run(meson: Meson) -> None:
    assert meson.run() == ()
    assert not (meson.folder / "calls").exists()


def test_reason_of_a_failure_is_the_end_of_its_errors(meson: Meson) -> None:
    kinds = ["ERROR: b", "Assertion `c'", "assert(d)", "not ok 1 e", "Failed f", "failed g", "error: h"]
    given: dict[str, object] = {
        "result": "FAIL",
        "stdout": "a\n\n" + "\n".join(f"  {kind}\nnoise" for kind in kinds[:4]) + "\n",
        "stderr": "\n".join(kinds[4:]),
    }
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "not ok 1 e | Failed f | failed g | error: h"
    for kind in kinds:
        given = {"result": "FAIL", "stdout": f"x\n{kind}\ny\n"}
        meson.give({"a": given}, {"a": given})
        assert meson.run("a")[0].reason == kind


def test_reason_without_errors_is_the_end_of_the_output(meson: Meson) -> None:
    given: dict[str, object] = {"result": "FAIL", "stderr": "1\n2\n3\n4\n5\n"}
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "2 | 3 | 4 | 5"
    given = {"result": "FAIL", "stdout": None, "stderr": "x" * 601}
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "x" * 600


MESON_BUILD = """\
project('tiny')
sh = find_program('sh')
foreach name: ['good', 'bad']
  copy = ['cp', '@INPUT@', '@OUTPUT@']
  program = custom_target(name, input: name + '.sh', output: 'test-' + name, command: copy)
  test('test-' + name, program, suite: ['unit'])
endforeach
test('qtest-x86_64/skipped-test', sh, args: ['-c', 'exit 77'], suite: ['qtest', 'qtest-x86_64'])
test('other', sh, args: ['-c', 'exit 0'], suite: ['block'])
"""


@pytest.mark.slow
def test_tests_of_a_real_project_are_listed_built_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder, log = tmp_path / "src", tmp_path / "native", tmp_path / "log"
    source.mkdir()
    (source / "meson.build").write_text(MESON_BUILD)
    for name, script in (("good", "exit 0"), ("bad", "echo ERROR: odd; exit 1")):
        (source / f"{name}.sh").write_text(f"#!/bin/sh\n{script}\n")
        (source / f"{name}.sh").chmod(0o755)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    subprocess.run([*meson, "setup", folder, source], check=True, stdout=subprocess.DEVNULL)
    commands = (SimpleNamespace(purpose="compile", env={}, argv=("ninja",)),)
    build: Any = SimpleNamespace(folder=str(folder), source=str(source), commands=commands)
    tests = list_tests(build, NO_SANDBOX)
    assert tests[:2] == (
        QemuTest(name="test-good", suite="unit", programs=("test-good",), sources=("good.sh",)),
        QemuTest(name="test-bad", suite="unit", programs=("test-bad",), sources=("bad.sh",)),
    )
    assert [test.name for test in tests[2:]] == ["qtest-x86_64/skipped-test"]
    assert build_tests(build, tests, NO_SANDBOX, log).returncode == 0
    rows = run_tests(build, tests, NO_SANDBOX, patch=0, log=log, processes=2)
    assert [(row.name, row.outcome, row.reason) for row in rows] == [
        ("test-good", "ok", ""),
        ("test-bad", "failed", "ERROR: odd"),
        ("qtest-x86_64/skipped-test", "skipped", ""),
    ]
