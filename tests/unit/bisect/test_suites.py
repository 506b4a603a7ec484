"""QEMU's own tests, as the configured tree lists them."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bisect import suites as module
from harness.bisect.qtests import build_tests, run_tests
from harness.bisect.suites import QemuTest, list_tests, suites_of
from harness.errors import InfrastructureError, TimeoutExpiredError
from harness.sandbox import NO_SANDBOX
from tests.unit.bisect.meson import entry, target
from tests.unit.check.support import Recorder
from tests.unit.repositories import touch_files

SOURCES = ("tests/a.c", "tests/common.c")


def test_tests_of_every_suite_are_listed_with_programs_and_sources(meson):
    folder, source = meson.folder, meson.top / "src"
    scripted = {"name": "scripted", "suite": [], "cmd": ["/usr/bin/sh", "word", "-c"]}
    python = f"{folder}/pyvenv/bin/python3"
    meson.describe(
        [
            entry("block", "qemu:block", command=[f"{folder}/tests/test-a"]),
            entry("test-a", "qemu:unit", command=[f"{folder}/tests/test-a"], depends=["a@exe", "data@cus"]),
            entry("qtest-x/b-test", "qtest", "qtest-x", command=["/usr/bin/sh", f"{folder}/tests/b-test"]),
            entry("gone", "qemu:unit", command=["/usr/bin/sh"], depends=["gone@exe"]),
            scripted,
            entry("run", "qemu:unit", command=[python, f"{folder}/tests/b-test"]),
        ],
        [
            target("a@exe", f"{folder}/tests/test-a", f"{source}/tests/a.c", "../src/tests/common.c"),
            target("b@exe", f"{folder}/tests/b-test", "/usr/share/other.c"),
            target("data@cus", f"{folder}/data"),
        ],
    )
    assert list_tests(meson.build, meson.sandbox) == (
        QemuTest(name="block", suite="block", programs=("tests/test-a",), sources=SOURCES),
        QemuTest(name="test-a", suite="unit", programs=("tests/test-a", "data"), sources=SOURCES),
        QemuTest(
            name="qtest-x/b-test",
            suite="qtest",
            suites=("qtest-x",),
            programs=("tests/b-test",),
            sources=("/usr/share/other.c",),
        ),
        QemuTest(name="gone", suite="unit", programs=(), sources=()),
        QemuTest(name="scripted", suite="", programs=(), sources=(), words=("word",)),
        QemuTest(name="run", suite="unit", programs=("tests/b-test",), sources=("/usr/share/other.c",)),
    )
    assert meson.calls == [f"introspect --tests {folder}", f"introspect --targets {folder}"]


def listed(meson, *command, suites=("unit",), **more):
    """The test with ``command``, whose words may name the sources (SRC) and the build folder (OUT)."""
    places = {"SRC": str(meson.top / "src"), "OUT": str(meson.folder)}
    words = [word.format(**places) for word in command]
    meson.describe([entry("a", *suites, command=words, **more)], [])
    (test,) = list_tests(meson.build, meson.sandbox)
    return test


def test_functional_test_consists_of_its_script(meson):
    touch_files(meson.top / "src", "tests/functional/generic/test_vnc.py")
    path = f"{meson.top}/src/python:{meson.top}/src/tests/functional"
    test = listed(
        meson,
        "{OUT}/pyvenv/bin/python3.11",
        "{SRC}/tests/functional/generic/test_vnc.py",
        suites=("qemu:func-quick", "qemu:func-x86_64"),
        env={"PYTHONPATH": path},
    )
    assert (test.suite, test.suites, test.is_slow) == ("func-quick", ("func-x86_64",), False)
    assert test.sources == ("tests/functional/generic/test_vnc.py",)
    assert test.search == ("python", "tests/functional")
    assert test.programs == ()
    slow = listed(meson, "python", suites=("func-thorough", "thorough"))
    assert slow.is_slow
    assert slow.is_in("func-thorough")
    assert not slow.is_in("func")


def test_data_and_expected_output_belong_to_a_test(meson):
    touch_files(meson.top / "src", "tests/decode/err_a.decode", "scripts/decodetree.py")
    # meson writes the path of files() relative to the build folder
    test = listed(meson, "{SRC}/scripts/decodetree.py", "-x", "{OUT}/../src/tests/decode/err_a.decode")
    assert test.sources == ("scripts/decodetree.py", "tests/decode/err_a.decode")
    owned = ("scripts/decodetree.py", "tests/decode/err_a.decode", "tests/decode/err_a.out")
    assert all(map(test.owns, owned))
    others = ("tests/decode/err_b.decode", "scripts/decodetree.txt", "docs/err_a.decode")
    assert not any(map(test.owns, others))


def test_word_of_the_command_names_files_in_a_folder_of_the_command(meson):
    touch_files(meson.top / "src", "tests/tracetool/dtrace.c", "tests/tracetool/tool.py")
    test = listed(meson, "python3", "{SRC}/tests/tracetool/tool.py", "dtrace", "{SRC}/tests/tracetool")
    assert (test.folders, test.words) == (("tests/tracetool",), ("dtrace",))
    assert test.owns("tests/tracetool/dtrace.h")
    assert not test.owns("tests/tracetool/log.h")
    assert not test.owns("tests/dtrace.h")


@pytest.mark.parametrize(("number", "place"), [("001", ""), ("nbd-fd", "tests/")])
def test_iotest_consists_of_its_file_and_outputs(meson, number, place):
    folder = "tests/qemu-iotests"
    touch_files(meson.top / "src", f"{folder}/check", f"{folder}/001", f"{folder}/tests/nbd-fd")
    test = listed(
        meson,
        *("python", f"{{SRC}}/{folder}/check", "-tap", "-qcow2", number),
        *("--source-dir", f"{{SRC}}/{folder}", "--build-dir", f"{{OUT}}/{folder}"),
        suites=("block",),
    )
    assert test.sources == (f"{folder}/check", f"{folder}/{place}{number}")
    assert test.owns(f"{folder}/{place}{number}.out")
    assert test.owns(f"{folder}/{place}{number}.out.qcow2")
    assert not test.owns(f"{folder}/{place}0{number}.out")
    assert not test.owns(f"{folder}/common.rc")


def test_single_test_of_all_iotests_consists_of_each(meson):
    touch_files(meson.top / "src", "tests/check-block.sh")
    command = ("/bin/sh", "{SRC}/tests/check-block.sh", "qcow2")
    assert listed(meson, *command, suites=("block",)).owns("tests/qemu-iotests/001.out")
    assert not listed(meson, *command, suites=("block-slow", "slow")).owns("tests/qemu-iotests/001.out")


def test_failing_introspection_is_an_infrastructure_error(meson):
    with pytest.raises(InfrastructureError, match="status 2") as raised:
        list_tests(meson.build, meson.sandbox)
    assert str(meson.folder) in raised.value.cause
    assert "remove" in raised.value.remedy


def test_introspection_that_hangs_is_ended(meson, monkeypatch):
    monkeypatch.setattr(module, "INTROSPECT_LIMIT_S", 0.2)
    (meson.folder / "pyvenv" / "bin" / "meson").write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(TimeoutExpiredError):
        list_tests(meson.build, meson.sandbox)


def test_meson_of_the_harness_is_used_if_the_build_has_none(meson):
    (meson.folder / "pyvenv" / "bin" / "meson").unlink()
    with pytest.raises(InfrastructureError):  # because the folder is not configured
        list_tests(meson.build, meson.sandbox)
    assert (
        meson.sandbox.commands[0][0]
        == f"{sys.executable} -m mesonbuild.mesonmain introspect --tests {meson.folder}"
    )


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
def test_tests_of_a_real_project_are_listed_built_and_run(tmp_path, monkeypatch):
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
    build = SimpleNamespace(folder=str(folder), source=str(source), commands=commands)
    tests = list_tests(build, NO_SANDBOX)
    assert tests[:2] == (
        QemuTest(name="test-good", suite="unit", programs=("test-good",), sources=("good.sh",)),
        QemuTest(name="test-bad", suite="unit", programs=("test-bad",), sources=("bad.sh",)),
    )
    assert [test.name for test in tests[2:]] == ["qtest-x86_64/skipped-test", "other"]
    assert suites_of(tests) == ("block", "qtest", "qtest-x86_64", "unit")
    step = Recorder()
    assert build_tests(build, tests, NO_SANDBOX, log, step).returncode == 0
    rows = run_tests(build, tests, NO_SANDBOX, patch=0, log=log, processes=2, step=step)
    assert [(row.name, row.outcome, row.reason) for row in rows] == [
        ("test-good", "ok", ""),
        ("test-bad", "failed", "ERROR: odd"),
        ("qtest-x86_64/skipped-test", "skipped", ""),
        ("other", "ok", ""),
    ]
    counts = [(done, total) for done, total, _ in step.updates]
    assert counts[:3] == [(1, 2), (2, 2), (1, 4)]
    assert "test-good" in str(step.updates[2:5]), "meson prints each test when it ends"
    assert (4, 4) in counts
