"""harness.properties.sandbox: filters as allow-lists, for all numbers and architectures."""

import platform

import pytest

from harness.properties import bpf, sandbox
from harness.properties.bpf import ALLOW, JEQ, KILL_PROCESS, LD_ABS, RET_K, Insn
from harness.properties.outcome import Cancelled, Failed

ARCH = bpf.AUDIT_ARCH["x86_64"]
NUMBERS = {
    "read": 0,
    "mprotect": 10,
    "dup2": 33,
    "clone": 56,
    "execve": 59,
    "exit": 60,
    "fcntl": 72,
    "prctl": 157,
    "reboot": 169,
    "exit_group": 231,
    "clone3": 435,
}
JSET = 0x45
FIRST_ARGUMENT, PROTECTION = 16, 32


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    names = {number: name for name, number in NUMBERS.items()}
    monkeypatch.setattr(bpf, "syscall_names", lambda end: names)


def only(*names, arch=True, more=()):
    """Return a filter that allows only these calls, and the instructions ``more`` before them."""
    program = [Insn(LD_ABS, 0, 0, 4), Insn(JEQ, 1, 0, ARCH), Insn(RET_K, 0, 0, KILL_PROCESS)] if arch else []
    program += [Insn(LD_ABS, 0, 0, 0), *more]
    for name in names:
        program += [Insn(JEQ, 0, 1, NUMBERS.get(name, name)), Insn(RET_K, 0, 0, ALLOW)]
    return [(*program, Insn(RET_K, 0, 0, KILL_PROCESS))]


def with_argument(name, jump, value, offset=FIRST_ARGUMENT):
    """Return instructions that allow a call if ``jump`` holds for the lower half of an argument."""
    return (
        Insn(JEQ, 0, 4, NUMBERS[name]),
        Insn(LD_ABS, 0, 0, offset),
        Insn(jump, 0, 1, value),
        Insn(RET_K, 0, 0, ALLOW),
        Insn(RET_K, 0, 0, KILL_PROCESS),
    )


def test_filter_that_allows_only_harmless_calls_passes():
    sandbox.check_filters(only("exit", "read"))
    sandbox.check_filters(only("exit_group"))
    sandbox.check_filters(only("exit", more=with_argument("clone", JEQ, sandbox.THREAD)))
    sandbox.check_filters(only("exit", more=with_argument("prctl", JEQ, 15)))
    sandbox.check_filters(only("exit", more=with_argument("mprotect", JEQ, 3, PROTECTION)))


@pytest.mark.parametrize("name", ["dup2", "fcntl", "execve", "clone3", 999, 0x7FFFFFFF])
def test_each_call_that_is_not_in_the_list_fails(name):
    text = name if isinstance(name, str) else f"call {name:#x}"
    with pytest.raises(Failed, match=rf"(allows|, ) ?{text}\b"):
        sandbox.check_filters(only("exit", name))


@pytest.mark.parametrize("number", [0, 59, 520, 0x0F])
def test_calls_of_x32_fail(number):
    with pytest.raises(Failed, match=f"allows x32's call {number:#x}$"):
        sandbox.check_filters(only("exit", number | sandbox.X32))


def test_calls_of_i386_fail_even_with_harmless_numbers():
    with pytest.raises(Failed, match="allows call 0x0 of architecture 0x40000003, call 0x3c of"):
        sandbox.check_filters(only("exit", "read", arch=False))


@pytest.mark.parametrize(
    ("jump", "value", "text"),
    [
        (JSET, sandbox.CLONE_VM, r"clone\(0x100\)"),
        (JSET, 17, r"clone\(0x1"),
        (JSET, sandbox.CLONE_THREAD, r"clone\("),
        (JEQ, sandbox.THREAD | 0x20000000, r"clone\("),
        (JEQ, 0x4111, r"clone\(0x4111\)"),
    ],
)
def test_clone_of_processes_fails(jump, value, text):
    with pytest.raises(Failed, match=text):
        sandbox.check_filters(only("exit", more=with_argument("clone", jump, value)))


@pytest.mark.parametrize(("option", "value"), [("prctl", 35), ("prctl", 0x59616D61), ("prctl", 4)])
def test_dangerous_options_of_prctl_fail(option, value):
    with pytest.raises(Failed, match=rf"{option}\({value}\)"):
        sandbox.check_filters(only("exit", more=with_argument(option, JEQ, value)))


def test_executable_memory_fails():
    with pytest.raises(Failed, match=r"mprotect\(PROT_EXEC\)"):
        sandbox.check_filters(only("exit", "mprotect"))


def test_filter_that_forbids_the_exit_fails():
    with pytest.raises(Failed, match="does not allow its exit"):
        sandbox.check_filters(only("read"))


def test_call_that_qemu_may_not_make_fails():
    sandbox.check_filters(only("exit", "read"), only("exit", "read", "execve"))
    with pytest.raises(Failed, match="allows read, which QEMU's refuses"):
        sandbox.check_filters(only("exit", "read"), only("exit", "execve"))


def test_qemu_without_filters_of_its_own_fails():
    sandbox.check_own_filters(only("read", "exit"), ("execve", "reboot", "no_such_call"))
    with pytest.raises(Failed, match="QEMU's own filter allows execve, reboot"):
        sandbox.check_own_filters((), ("execve", "reboot"))


def test_unknown_machines_and_missing_libraries_cancel(monkeypatch):
    def missing(_):
        raise OSError

    monkeypatch.setattr(bpf, "syscall_names", missing)
    with pytest.raises(Cancelled, match="libseccomp"):
        sandbox.numbers()
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(Cancelled, match="vax"):
        sandbox.numbers()
