from pathlib import Path

import pytest

from harness.properties import code, status
from harness.properties.code import Function, closure_faults, fault_of, leads_to, read_listing, read_symbols
from harness.properties.outcome import Cancelled

LISTING = """
/q:     file format elf64-x86-64

Disassembly of section .text:

00000000005a0000 <helper_main>:
  5a0000:	push   %rbx
  5a0001:	call   5a0100 <helper_setup>
  5a0006:	syscall
  5a0008:	ret
"""


def test_listings_and_symbols_are_parsed():
    assert read_listing(LISTING) == [
        ("push", "%rbx"),
        ("call", "5a0100 <helper_setup>"),
        ("syscall", ""),
        ("ret", ""),
    ]
    table = "0000000000001000 0000000000000020 t helper_main\n0000000000002000 0000000000000004 D data\n"
    assert read_symbols(table) == {0x1000: Function(name="helper_main", address=0x1000, size=0x20)}


@pytest.mark.parametrize(
    ("machine", "mnemonic", "operands", "fault"),
    [
        ("EM_X86_64", "mov", "%fs:0x28,%rax", "thread-local"),
        ("EM_X86_64", "call", "2f0 <__errno_location@plt>", "__errno_location() of the C library"),
        ("EM_X86_64", "call", "*0x2fe2(%rip)        # 3fd8 <read@GLIBC_2.2.5>", "through a pointer"),
        ("EM_X86_64", "jmp", "*%rax", "through a pointer"),
        ("EM_X86_64", "jmp", "1130 <f+0x30>", None),
        ("EM_X86_64", "lea", "0x10(%rip),%rax        # 20 <read@plt>", None),
        ("EM_X86_64", "syscall", "", None),
        ("EM_S390", "ear", "%r1,%a0", "thread-local"),
        ("EM_S390", "brasl", "%r14,1000 <write@plt>", "write() of the C library"),
        ("EM_S390", "br", "%r14", None),
        ("EM_AARCH64", "mrs", "x0, tpidr_el0", "thread-local"),
        ("EM_AARCH64", "bl", "4a0 <read@plt>", "read() of the C library"),
        ("EM_AARCH64", "blr", "x1", "through a pointer"),
    ],
)
def test_forbidden_instructions_are_recognized(machine, mnemonic, operands, fault):
    found = fault_of(machine, mnemonic, operands)
    assert (found is None) if fault is None else fault in found


def test_targets_of_calls_and_jumps_are_parsed():
    assert leads_to("EM_X86_64", "call", "5a0100 <helper_setup>") == 0x5A0100
    assert leads_to("EM_X86_64", "jne", "5a0108 <helper_main+0x8>") == 0x5A0108
    assert leads_to("EM_X86_64", "mov", "0x10(%rip),%rax        # 20 <x>") is None
    assert leads_to("EM_X86_64", "lea", "0x10(%rip),%rdi        # 5a0100 <thread>") == 0x5A0100
    assert leads_to("EM_X86_64", "lea", "0x10(%rip),%rdi        # 5a0108 <thread+0x8>") is None
    assert leads_to("EM_S390", "larl", "%r2,5a0100 <thread>") == 0x5A0100


class FakeCode:
    machine = "EM_X86_64"

    def __init__(self, bodies):
        self.functions = {
            address: Function(name=name, address=address, size=0x10) for address, (name, _) in bodies.items()
        }
        self.bodies = {address: body for address, (_, body) in bodies.items()}

    def disassemble(self, function):
        return self.bodies[function.address]


def faults(bodies):
    fake = FakeCode(bodies)
    return closure_faults(fake, fake.functions[0x100])


def test_each_called_function_is_analysed_once():
    clean = {0x100: ("helper_main", [("call", "200 <f>"), ("jmp", "108 <helper_main+0x8>")])}
    assert faults(clean | {0x200: ("f", [("call", "100 <helper_main>"), ("syscall", "")])}) == ()
    dirty = clean | {0x200: ("f", [("call", "2f0 <read@plt>"), ("call", "2f0 <read@plt>")])}
    assert faults(dirty) == ("f() calls read() of the C library",)


def test_functions_that_are_passed_by_their_address_are_analysed():
    thread = {
        0x100: ("first", [("lea", "0x8(%rip),%rdi  # 200 <thread>"), ("lea", "0(%rip),%rsi  # 900 <data>")])
    }
    assert faults(thread | {0x200: ("thread", [("call", "2f0 <read@plt>")])}) == (
        "thread() calls read() of the C library",
    )


def test_invalid_jumps_and_too_many_functions_are_problems():
    assert "not a function" in faults({0x100: ("helper_main", [("jmp", "999 <x>")])})[0]
    chain = {0x100 * n: (f"f{n}", [("call", f"{0x100 * (n + 1):x} <f>")]) for n in range(1, 60)}
    assert "more than 40" in faults(chain)[0]


def test_unreadable_binaries_cancel(tmp_path):
    (tmp_path / "q").write_bytes(b"#!/bin/sh\n")
    for path in (tmp_path / "q", tmp_path / "none"):
        with pytest.raises(Cancelled, match="cannot read the binary"):
            code.Code(path)


def test_entry_is_the_outermost_function_on_the_stack():
    fake = code.Code.__new__(code.Code)
    names = {0x100: "first", 0x200: "inner", 0x300: "first.cold", 0x400: "alone.cold"}
    fake.functions = {at: Function(name=name, address=at, size=0x20) for at, name in names.items()}
    assert fake.entry([0x50, 0x100, 0x180, 0x120, 0x104, 0x208]).name == "first"  # 0x100 is a pointer to it
    assert fake.entry([0x500, 0x208]).name == "inner"
    assert fake.entry([0x308]).name == "first"
    assert fake.entry([0x408]).name == "alone.cold"
    with pytest.raises(Cancelled, match="no function"):
        fake.entry([0x100, 0x400])


@pytest.mark.parametrize(
    ("operands", "fault"),
    [
        ("2f0 <poll@plt>", None),
        ("2f0 <malloc@plt>", "malloc"),
        ("2f0 <opendir@plt>", "opendir"),
        ("2f0 <pthread_create@plt>", "pthread_create"),
        ("2f0 <setuid@plt>", "setuid"),  # the C library changes all threads of QEMU
        ("*%rax", "pointer"),
    ],
)
def test_helper_with_storage_of_its_own_calls_what_takes_no_lock(operands, fault):
    found = fault_of("EM_X86_64", "call", operands, owner=True)
    assert (found is None) if fault is None else fault in found
    assert fault_of("EM_X86_64", "call", operands) is not None
    assert fault_of("EM_X86_64", "mov", "%fs:0x28,%rax", owner=True) is None


MAPS = """7f0000000000-7f0000001000 ---p 00000000 00:00 0
7f0000001000-7f0000011000 rw-p 00000000 00:00 0
7f0000020000-7f0000030000 rw-p 00000000 00:00 0
"""


def test_stack_size_and_guard_page_are_read_from_maps():
    assert status.stack_of(MAPS, 0x7F0000010F80) == (0x10000, True)
    assert status.stack_of(MAPS, 0x7F0000028000) == (0x8000, False)
    assert status.stack_of(MAPS, 1) == (0, False)
    assert status.stack_of(MAPS.replace("---p", "r--p"), 0x7F0000010F80)[1] is False
    assert status.signal_stack_size() >= 4096  # four frames; some x86_64 have frames of 1776 bytes


def test_registers_of_a_running_process_are_unknown():
    assert status.sleeping_registers(1 << 22) is None
    assert Path("/proc/self/syscall").exists()
