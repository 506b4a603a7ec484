"""The tests that a series affects are chosen by the files that it changes."""

import pytest

from harness.bisect import choosing as module
from harness.bisect.choosing import choose_tests, touches_block
from harness.bisect.suites import QemuTest
from harness.errors import OptionError

TOUCHED = ("touched",)


def no_file(_):
    return ""


def named(name, *sources):
    return QemuTest(name=name, suite="unit", programs=(), sources=sources)


def test_tests_are_selected_by_source_and_name():
    tests = (
        named("check-qdict", "tests/unit/check-qdict.c"),
        named("test-util-sockets", "tests/unit/test-util-sockets.c"),
        named("qtest-x86_64/async-teardown-test"),
        named("qtest-x86_64/boot-serial-test"),
    )

    def chosen(*changed):
        return [one.name for one in choose_tests(tests, changed, ("touched",), no_file)]

    assert chosen("tests/unit/check-qdict.c") == ["check-qdict"]
    assert chosen("util/async-teardown.c") == ["qtest-x86_64/async-teardown-test"]
    assert chosen("meson.build", "util/main.c", "docs/x.rst") == []
    assert choose_tests(tests, (), ("all",), no_file) == choose_tests(tests, (), ("unit",), no_file) == tests
    assert choose_tests(tests, (), ("qtest",), no_file) == ()
    assert choose_tests(tests, ("tests/unit/check-qdict.c",), ("none",), no_file) == ()


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
def test_file_touches_the_tests_whose_name_contains_its_name(changed, name):
    assert choose_tests([named(name)], [changed], TOUCHED, no_file) == (named(name),)


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
def test_file_with_a_short_common_or_other_name_touches_no_test(changed, name):
    assert choose_tests([named(name)], [changed], TOUCHED, no_file) == ()


def test_every_word_that_is_too_common_is_ignored():
    for word in module._COMMON:
        assert choose_tests([named(f"{word}-test")], [f"util/{word}.c"], TOUCHED, no_file) == ()


def test_all_is_every_test_but_the_slow_ones():
    quick, slow = (
        named("a"),
        QemuTest(name="b", suite="func-x", suites=("thorough",), programs=(), sources=()),
    )
    assert choose_tests((quick, slow), (), ("all",), no_file) == (quick,)
    assert choose_tests((quick, slow), (), ("func-x", "touched"), no_file) == (slow,)


def test_unknown_suite_is_refused_with_those_of_the_tree():
    with pytest.raises(OptionError, match="no 'unti'") as raised:
        choose_tests([named("a")], (), ("unti",), no_file)
    assert "unit" in raised.value.remedy
    assert "qemu-tests" in str(raised.value)


def test_changed_test_runs_whatever_its_suite_and_speed():
    slow = QemuTest(name="b", suite="slow", programs=(), sources=("tests/b.py", "ui/tests/b.c", "util/b.c"))
    assert choose_tests([slow], ["tests/b.py"], ("unit",), no_file) == (slow,)
    assert choose_tests([slow], ["ui/tests/b.c"], ("unit",), no_file) == (slow,)
    assert choose_tests([slow], ["tests/b.py"], TOUCHED, no_file) == (slow,)
    assert choose_tests([slow], ["util/b.c"], ("unit",), no_file) == (), "it is no file of a test"
    assert choose_tests([slow], ["util/b.c"], TOUCHED, no_file) == (slow,)


def test_slow_test_is_not_run_because_of_its_name():
    slow = QemuTest(name="func-clock", suite="slow", programs=(), sources=())
    assert choose_tests([slow], ["hw/clock.c"], TOUCHED, no_file) == ()


MAINTAINERS = """\
Block layer core
L: qemu-block@nongnu.org
F: block*
F: block/
F: hw/block/
F: include/hw/block/
F: docs/block/
F: tests/qemu-iotests/

Clock
L: qemu-devel@nongnu.org
F: clock/

THE REST
F: *
F: */
"""


@pytest.mark.parametrize(
    ("path", "touches"),
    [
        ("block.c", True),
        ("blockdev.c", True),
        ("block/qcow2.c", True),
        ("hw/block/fdc.c", False),
        ("include/hw/block/fdc.h", False),
        ("docs/block/a.rst", False),
        ("clock/clock.c", False),
        ("tests/qemu-iotests/001", False),
        ("other.c", False),
    ],
)
def test_block_code_is_what_its_maintainers_list(path, touches):
    assert touches_block([path], MAINTAINERS) == touches


def test_block_code_touches_the_quick_iotests():
    tests = [
        QemuTest(name=f"io-{suite}-001", suite=suite, programs=(), sources=())
        for suite in ("block", "block-slow")
    ]
    assert choose_tests(tests, ["block/nbd.c"], TOUCHED, {"MAINTAINERS": MAINTAINERS}.__getitem__) == (
        tests[0],
    )


def test_shared_file_touches_the_tests_that_name_it():
    files = {
        "MAINTAINERS": "",
        "tests/unit/a.c": '#include "helpers.h"',
        "tests/unit/b.c": 'dir = "tests/data/acpi/%s";',
        "tests/unit/c.c": "helpers.hx tests/data/acpi-other",
        "tests/unit/d.c": "meson.build abc.h abcd.h common.sh",
    }
    tests = [named(name, f"tests/unit/{name}.c") for name in "abcd"]

    def chosen(*changed):
        return "".join(one.name for one in choose_tests(tests, changed, TOUCHED, files.__getitem__))

    assert chosen("tests/unit/helpers.c") == "a"
    assert chosen("tests/data/acpi/x86/DSDT") == "b"
    assert chosen("tests/unit/abcd.c") == chosen("tests/unit/common.sh") == "d"
    assert chosen("tests/unit/abc.c") == chosen("tests/unit/meson.build") == "", "too short or too common"
    assert chosen("util/helpers.c") == "", "it is no file of the tests"


def test_shared_file_in_a_folder_of_the_command_touches_the_test():
    test = QemuTest(name="io", suite="block", programs=(), sources=(), folders=("tests/qemu-iotests",))
    assert choose_tests([test], ["tests/qemu-iotests/common.rc"], TOUCHED, no_file) == (test,)
    assert choose_tests([test], ["tests/qemu-iotests-x/common.rc"], TOUCHED, no_file) == ()


MODULES = {
    "tests/functional/generic/test_a.py": "import os\nfrom qemu_test import QemuSystemTest",
    "tests/functional/qemu_test/__init__.py": "from .testcase import QemuSystemTest",
    "tests/functional/qemu_test/testcase.py": "from qemu.machine import QEMUMachine\nfrom . import cmd",
    "tests/functional/qemu_test/cmd.py": "",
    "tests/functional/other.py": "",
    "python/qemu/machine/__init__.py": "from .machine import QEMUMachine",
    "python/qemu/machine/machine.py": "def broken(:",
    "python/qemu/qmp/__init__.py": "",
}


@pytest.mark.parametrize(
    ("changed", "touches"), [(path, "other" not in path and "qmp" not in path) for path in MODULES]
)
def test_python_module_touches_the_scripts_that_import_it(changed, touches):
    test = QemuTest(
        name="func-a",
        suite="func-quick",
        programs=(),
        sources=("tests/functional/generic/test_a.py",),
        search=("python", "tests/functional"),
    )
    found = choose_tests([test], [changed], TOUCHED, lambda path: MODULES.get(path, ""))
    assert found == ((test,) if touches else ())


def test_modules_that_a_package_loads_by_name_count():
    files = {"scripts/tool.py": "import pack", "scripts/pack/__init__.py": "__import__(name)"}
    test = named("dtrace", "scripts/tool.py")
    read = lambda path: files.get(path, "")  # noqa: E731
    assert choose_tests([test], ["scripts/pack/format/c.py"], TOUCHED, read) == (test,)
    assert choose_tests([test], ["scripts/packs/c.py"], TOUCHED, read) == ()
