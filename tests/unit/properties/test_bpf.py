import errno
import os
import platform
import struct
import subprocess
import sys

import pytest

from harness.properties import bpf, sandbox, status
from harness.properties.bench import PRELUDE
from harness.properties.bpf import ALLOW, ERRNO, KILL_PROCESS, LD_ABS, RET_K, Call, Insn, run, verdict
from harness.properties.outcome import Cancelled
from tests.unit.programs import wait_until

from ..programs import QUIET_PYTHON, started

ARCH = bpf.AUDIT_ARCH.get(platform.machine(), 1)
RET_A, TAX, TXA, ST, STX = 0x16, 0x07, 0x87, 0x02, 0x03
LD_MEM, LDX_MEM, LD_IMM, LDX_IMM, LD_LEN = 0x60, 0x61, 0x00, 0x01, 0x80


def do(*program):
    return run([Insn(*fields) for fields in program], Call(7, ARCH, (1, 2, 3)))


def test_call_has_the_layout_of_the_kernel_struct():
    data = Call(59, 0xC000003E, (1, 2)).data()
    assert len(data) == 64
    assert struct.unpack("=IIQ6Q", data) == (59, 0xC000003E, 0, 1, 2, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("code", "a", "k", "result"),
    [
        (0x04, 5, 3, 8),
        (0x14, 3, 5, 0xFFFFFFFE),
        (0x24, 5, 3, 15),
        (0x34, 7, 2, 3),
        (0x34, 7, 0, 0),
        (0x44, 5, 2, 7),
        (0x54, 7, 5, 5),
        (0x64, 1, 31, 0x80000000),
        (0x74, 0x80000000, 31, 1),
        (0x84, 1, 0, 0xFFFFFFFF),
        (0xA4, 6, 3, 5),
    ],
)
def test_arithmetic_has_32_bits(code, a, k, result):
    assert do((LD_IMM, 0, 0, a), (code, 0, 0, k), (RET_A, 0, 0, 0)) == result
    assert do((LD_IMM, 0, 0, a), (LDX_IMM, 0, 0, k), (code | 0x08, 0, 0, 9), (RET_A, 0, 0, 0)) == result


@pytest.mark.parametrize(
    ("code", "a", "k", "holds"),
    [
        (0x15, 4, 4, True),
        (0x15, 4, 5, False),
        (0x25, 5, 4, True),
        (0x25, 4, 4, False),
        (0x35, 4, 4, True),
        (0x35, 3, 4, False),
        (0x45, 6, 4, True),
        (0x45, 2, 4, False),
    ],
)
def test_jumps_follow_their_comparison(code, a, k, holds):
    ends = ((RET_K, 0, 0, 1), (RET_K, 0, 0, 0))
    assert do((LD_IMM, 0, 0, a), (code, 0, 1, k), *ends) == holds
    assert do((LD_IMM, 0, 0, a), (LDX_IMM, 0, 0, k), (code | 0x08, 0, 1, 99), *ends) == holds


def test_loads_moves_and_memory_are_evaluated():
    low = 16 + (4 if sys.byteorder == "big" else 0)
    assert do((LD_ABS, 0, 0, low), (RET_A, 0, 0, 0)) == 1
    assert do((LD_LEN, 0, 0, 0), (TAX, 0, 0, 0), (LD_IMM, 0, 0, 0), (TXA, 0, 0, 0), (RET_A, 0, 0, 0)) == 64
    assert do((LD_IMM, 0, 0, 9), (ST, 0, 0, 3), (LD_IMM, 0, 0, 0), (LD_MEM, 0, 0, 3), (RET_A, 0, 0, 0)) == 9
    program = ((LDX_IMM, 0, 0, 8), (STX, 0, 0, 0), (LDX_MEM, 0, 0, 0), (TXA, 0, 0, 0), (RET_A, 0, 0, 0))
    assert do(*program) == 8
    assert do((0x05, 0, 0, 1), (RET_K, 0, 0, 1), (RET_K, 0, 0, 2)) == 2


@pytest.mark.parametrize(
    "program",
    [((LD_IMM, 0, 0, 1),), ((LD_ABS, 0, 0, 62), (RET_A, 0, 0, 0)), ((0x94, 0, 0, 1),), ((0x28, 0, 0, 0),)],
)
def test_filters_that_the_kernel_refuses_are_errors(program):
    with pytest.raises(bpf.FilterError):
        do(*program)


def test_strictest_filter_decides():
    def fixed(action):
        return (Insn(RET_K, 0, 0, action),)

    call = Call(1, ARCH)
    assert verdict((), call) == ALLOW
    assert verdict((fixed(ALLOW), fixed(ERRNO | 1)), call) == ERRNO
    assert verdict((fixed(ERRNO), fixed(KILL_PROCESS), fixed(0)), call) == KILL_PROCESS
    assert verdict((fixed(ERRNO), fixed(0)), call) == 0


def test_denied_calls_fail_with_their_errno():
    program = bpf.deny({434: errno.ENOSYS, 436: errno.EPERM})
    assert run(program, Call(434, ARCH)) == ERRNO | errno.ENOSYS
    assert run(program, Call(436, ARCH)) == ERRNO | errno.EPERM
    assert run(program, Call(435, ARCH)) == ALLOW


@pytest.mark.parametrize("machine", ["x86_64", "s390x", "aarch64"])
def test_only_clone_with_shared_memory_is_refused(monkeypatch, machine):
    monkeypatch.setattr(bpf.platform, "machine", lambda: machine)
    program, number = bpf.on_shared_clone(KILL_PROCESS), bpf._CLONE[machine]

    def clone(flags):
        return run(program, Call(number, ARCH, (0, flags) if machine == "s390x" else (flags, 0)))

    assert clone(0x100) == KILL_PROCESS
    assert clone(0x100 | 0x200) == KILL_PROCESS
    assert clone(0x100 | 0x10000) == ALLOW
    assert clone(17) == ALLOW
    assert run(program, Call(435, ARCH)) == ERRNO | errno.ENOSYS
    assert run(program, Call(1, ARCH, (0x100, 0x100))) == ALLOW


FILTERED = """
import os, runpy, sys
install = runpy.run_path(sys.argv[1])["install"]
install([[int(field) for field in line.split()] for line in sys.argv[2].splitlines()])
os.read(0, 1)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="reading the filter of a process needs CAP_SYS_ADMIN")
def test_filter_of_a_real_process_is_read_and_evaluated():
    names = ("read", "exit", "exit_group", "restart_syscall")
    try:
        known = sandbox.numbers()
        numbers = [known.number(name) for name in names]
    except Cancelled as cancelled:
        pytest.skip(str(cancelled))
    program = [Insn(LD_ABS, 0, 0, 4), Insn(bpf.JEQ, 1, 0, ARCH), Insn(RET_K, 0, 0, KILL_PROCESS)]
    program.append(Insn(LD_ABS, 0, 0, 0))
    for number in numbers:
        program += [Insn(bpf.JEQ, 0, 1, number), Insn(RET_K, 0, 0, ALLOW)]
    program.append(Insn(RET_K, 0, 0, KILL_PROCESS))
    lines = "\n".join(" ".join(map(str, insn)) for insn in program)
    with started(*QUIET_PYTHON, FILTERED, str(PRELUDE), lines, stdin=subprocess.PIPE) as child:
        wait_until(lambda: status.fields(child.pid).get("Seccomp") == "2")
        try:
            filters = bpf.filters_of(child.pid)
        except OSError as error:
            pytest.skip(f"this kernel cannot report filters: {error}")
        assert filters == (tuple(program),)
        if platform.machine() == "x86_64":
            assert verdict(filters, Call(11, 0x40000003)) == KILL_PROCESS
        sandbox.check_filters(filters)
        assert child.poll() is None, "reading the filter killed the process"
