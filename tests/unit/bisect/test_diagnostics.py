"""Messages of compilers in a log."""

import pytest

from harness.bisect.diagnostics import read_diagnostics, read_failures, read_lines

WARNING = "../src/util/a.c:{line}:5: error: unused variable 'x' [-Werror=unused-variable]"
ERROR = "../src/util/b.c:7:1: error: unknown type name 'y'"


def test_diagnostics_have_a_place_and_a_switch():
    one, two = read_diagnostics(
        ["noise", WARNING.format(line=3), WARNING.format(line=3), ERROR, "x.c: In function"]
    )
    assert (one.file, one.line, one.switch, one.is_warning) == ("util/a.c", 3, "unused-variable", True)
    assert one.text == "unused variable 'x'"
    assert (two.text, two.switch, two.is_warning) == ("unknown type name 'y'", "", False)


@pytest.mark.parametrize(
    ("line", "file", "text", "is_warning"),
    [
        ("../../src/a.c:1:2: fatal error: x.h: No such file", "a.c", "x.h: No such file", False),
        ("./trace/t.h:1: warning: odd [-Wformat=2] \r", "trace/t.h", "odd", True),
        ("/usr/include/x.h:9:1: error: odd [-Werror]", "/usr/include/x.h", "odd", True),
    ],
)
def test_formats_of_messages(line, file, text, is_warning):
    (found,) = read_diagnostics([line])
    assert (found.file, found.text, found.is_warning) == (file, text, is_warning)


@pytest.mark.parametrize("program", ["ninja", "collect2", "cc1"])
def test_messages_of_other_programs_are_ignored(program):
    assert read_diagnostics([f"{program}:1: error: odd"]) == ()


def test_key_is_the_same_when_lines_move():
    one, two, other = read_diagnostics(
        [f"a.c:{line}:1: error: see line {line}" for line in (3, 40)] + ["b.c:3:1: error: see line 3"]
    )
    assert one.key == two.key
    assert one.key != other.key


def test_log_is_read_even_if_it_is_missing_or_no_text(tmp_path):
    assert read_lines(tmp_path / "none") == []
    log = tmp_path / "log"
    log.write_bytes(b"one\n\xff\n")
    assert read_lines(log) == ["one", "\ufffd"]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("/usr/bin/ld: /b/native/../src/hw/a.c:18: undefined reference to `f'", ("hw/a.c", 18)),
        ("../src/hw/meson.build:1:14: ERROR: File a.c does not exist.", ("hw/meson.build", 1)),
        ("a.c:(.text+0x1f): undefined reference to `f'", ("", 0)),
    ],
)
def test_error_of_a_failed_step_has_its_place(line, place):
    lines = ["[1/2] Linking", "FAILED: [code=1] qemu", "cc -o qemu", line, "[2/2] Linking", "later error: x"]
    (found,) = read_failures(lines)
    assert (found.file, found.line) == place
    assert found.text in line
    compiled = ["FAILED: a.o", "cc -c a.c", "../src/a.c:1:1: error: y", "cc1: some error: x"]
    assert read_failures(compiled) == (), "the compiler has reported it"
