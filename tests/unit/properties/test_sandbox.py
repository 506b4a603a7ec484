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


def argument(name, jump, value, offset=FIRST_ARGUMENT):
    """Return a filter that allows a call if ``jump`` holds for the lower half of an argument."""
    more = (
        Insn(JEQ, 0, 4, NUMBERS[name]),
        Insn(LD_ABS, 0, 0, offset),
        Insn(jump, 0, 1, value),
        Insn(RET_K, 0, 0, ALLOW),
        Insn(RET_K, 0, 0, KILL_PROCESS),
    )
    return only("exit", more=more)


def test_filter_that_allows_only_harmless_calls_passes():
    sandbox.check_filters(only("exit", "read"))
    sandbox.check_filters(only("exit_group"))
    sandbox.check_filters(argument("clone", JEQ, sandbox.THREAD))
    sandbox.check_filters(argument("prctl", JEQ, 15))
    sandbox.check_filters(argument("mprotect", JEQ, 3, PROTECTION))


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        *((only("exit", name), rf"(allows|, ) ?{name}\b") for name in ("dup2", "fcntl", "execve", "clone3")),
        *((only("exit", call), rf"(allows|, ) ?call {call:#x}\b") for call in (999, 0x7FFFFFFF)),
        *((only("exit", call | sandbox.X32), rf"allows x32's call {call:#x}$") for call in (0, 59, 520, 15)),
        (only("exit", "read", arch=False), "allows call 0x0 of architecture 0x40000003, call 0x3c of"),
        (argument("clone", JSET, sandbox.CLONE_VM), r"clone\(0x100\)"),
        (argument("clone", JSET, 17), r"clone\(0x1"),
        (argument("clone", JSET, sandbox.CLONE_THREAD), r"clone\("),
        (argument("clone", JEQ, sandbox.THREAD | 0x20000000), r"clone\("),
        (argument("clone", JEQ, 0x4111), r"clone\(0x4111\)"),
        *((argument("prctl", JEQ, value), rf"prctl\({value}\)") for value in (35, 0x59616D61, 4)),
        (only("exit", "mprotect"), r"mprotect\(PROT_EXEC\)"),
        (only("read"), "does not allow its exit"),
    ],
)
def test_filter_that_allows_more_or_not_the_exit_fails(filters, reason):
    """Calls of x86_64 by name and number, of x32 and i386; other clones; harmful arguments."""
    with pytest.raises(Failed, match=reason):
        sandbox.check_filters(filters)


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
