"""Filters of system calls (seccomp(2)): create small ones, read those of a process, evaluate them for a call.

A filter is a classic BPF program over a struct seccomp_data. The kernel documents the language in
Documentation/networking/filter.rst. kernel/seccomp.c (seccomp_check_filter) lists the instructions that
seccomp accepts.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

LD_ABS, RET_K, JEQ, JSET, JA = 0x20, 0x06, 0x15, 0x45, 0x05
ALLOW, LOG, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x7FFC0000, 0x00050000, 0x80000000  # linux/seccomp.h
ACTION = 0xFFFF0000
CLONE_VM, CLONE_THREAD = 0x100, 0x10000  # linux/sched.h
AUDIT_ARCH = {"x86_64": 0xC000003E, "s390x": 0x80000016, "aarch64": 0xC00000B7}  # linux/audit.h
_CLONE = {"x86_64": 56, "s390x": 120, "aarch64": 220}
NUMBERS = {"pidfd_open": 434, "clone3": 435, "close_range": 436}
"""System calls since Linux 5.1 have the same number on all architectures."""

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_SECCOMP_GET_FILTER = 17, 0x4206, 0x4207, 0x420C
WALL = 0x40000000  # linux/wait.h


class Insn(NamedTuple):
    """One instruction: struct sock_filter."""

    code: int
    jt: int
    jf: int
    k: int


class Call(NamedTuple):
    """One system call, the input of a filter: struct seccomp_data."""

    number: int
    arch: int
    arguments: tuple[int, ...] = ()

    def data(self) -> bytes:
        """Return the struct in native byte order. Missing arguments are 0."""
        arguments = (*self.arguments, 0, 0, 0, 0, 0, 0)[:6]
        return struct.pack("=IIQ6Q", self.number & 0xFFFFFFFF, self.arch, 0, *arguments)


class FilterError(Exception):
    """An invalid filter, which the kernel would refuse."""


def deny(calls: dict[int, int]) -> tuple[Insn, ...]:
    """Return a filter that makes each call number of ``calls`` fail with its errno."""
    program = [Insn(LD_ABS, 0, 0, 0)]
    for number, code in calls.items():
        program += [Insn(JEQ, 0, 1, number), Insn(RET_K, 0, 0, ERRNO | code)]
    return (*program, Insn(RET_K, 0, 0, ALLOW))


def on_shared_clone(action: int) -> tuple[Insn, ...]:
    """Return a filter that applies ``action`` to clone(2) with CLONE_VM and without CLONE_THREAD.

    Such a call creates a process that shares its parent's memory. clone3(2) fails with ENOSYS, because a
    filter cannot read its flags; C libraries then use clone. Raises KeyError if the number of clone is
    unknown for this machine.
    """
    machine = platform.machine()
    # The lower half of the flags: the first argument, on s390x the second (clone(2)).
    offset = 16 + (8 if machine == "s390x" else 0) + (4 if sys.byteorder == "big" else 0)
    return (
        Insn(LD_ABS, 0, 0, 0),
        Insn(JEQ, 0, 1, NUMBERS["clone3"]),
        Insn(RET_K, 0, 0, ERRNO | errno.ENOSYS),
        Insn(JEQ, 0, 4, _CLONE[machine]),
        Insn(LD_ABS, 0, 0, offset),
        Insn(JSET, 2, 0, CLONE_THREAD),
        Insn(JSET, 0, 1, CLONE_VM),
        Insn(RET_K, 0, 0, action),
        Insn(RET_K, 0, 0, ALLOW),
    )


def run(program: Sequence[Insn], call: Call) -> int:
    """Return the result of ``program`` for ``call``: action and data. Raises FilterError."""
    data, memory = call.data(), [0] * 16
    a = x = at = 0
    while 0 <= at < len(program):
        code, jt, jf, k = program[at]
        at += 1
        kind = code & 0x07
        if kind in (0x00, 0x01):
            value = _load(code, k, data, memory)
            a, x = (value, x) if kind == 0x00 else (a, value)
        elif kind in (0x02, 0x03):
            memory[k] = a if kind == 0x02 else x
        elif kind == 0x04:
            a = _compute(code & 0xF0, a, x if code & 0x08 else k)
        elif kind == 0x05:
            if code == JA:
                at += k
            else:
                at += jt if _holds(code & 0xF0, a, x if code & 0x08 else k) else jf
        elif kind == 0x06:
            return a if code & 0x18 == 0x10 else k
        elif code & 0xF8 == 0x80:
            a = x
        else:
            x = a
    raise FilterError("the filter runs past its end")


def _load(code: int, k: int, data: bytes, memory: list[int]) -> int:
    mode = code & 0xE0
    if mode == 0x00:
        return k
    if mode == 0x60:
        return memory[k]
    if mode == 0x80:
        return len(data)
    if code == LD_ABS and k % 4 == 0 and k + 4 <= len(data):
        return int(struct.unpack_from("=I", data, k)[0])
    raise FilterError(f"a load that seccomp does not accept: code {code:#x}, offset {k}")


def _compute(operation: int, a: int, b: int) -> int:
    if operation == 0x30 and b == 0:
        return 0  # the kernel ends a filter that divides by zero with the result 0: kill
    results = {
        0x00: lambda: a + b,
        0x10: lambda: a - b,
        0x20: lambda: a * b,
        0x30: lambda: a // b,
        0x40: lambda: a | b,
        0x50: lambda: a & b,
        0x60: lambda: a << (b & 31),
        0x70: lambda: a >> (b & 31),
        0x80: lambda: -a,
        0xA0: lambda: a ^ b,
    }
    if operation not in results:
        raise FilterError(f"an operation that seccomp does not accept: {operation:#x}")
    return results[operation]() & 0xFFFFFFFF


def _holds(operation: int, a: int, b: int) -> bool:
    comparisons = {0x10: a == b, 0x20: a > b, 0x30: a >= b, 0x40: bool(a & b)}
    if operation not in comparisons:
        raise FilterError(f"a jump that seccomp does not accept: {operation:#x}")
    return comparisons[operation]


def verdict(programs: Sequence[Sequence[Insn]], call: Call) -> int:
    """Return the strictest action of all filters of a process (seccomp(2)); ALLOW without filters."""

    def strictness(action: int) -> int:
        return action - (1 << 32) if action & 0x80000000 else action

    return min((run(program, call) & ACTION for program in programs), key=strictness, default=ALLOW)


def syscall_names(end: int) -> dict[int, str]:
    """Return the native system calls with numbers below ``end`` from libseccomp: number → name.

    Raises OSError if libseccomp is not installed.
    """
    library, libc = ctypes.CDLL("libseccomp.so.2"), ctypes.CDLL(None)
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    native = ctypes.c_uint32(library.seccomp_arch_native())
    names = {}
    for number in range(end):
        address = library.seccomp_syscall_resolve_num_arch(native, number)
        if address:
            names[number] = ctypes.string_at(address).decode()
            libc.free(address)
    return names


def filters_of(pid: int) -> tuple[tuple[Insn, ...], ...]:
    """Return the filters of process ``pid``, newest first (ptrace(2), PTRACE_SECCOMP_GET_FILTER).

    The process is stopped briefly. Raises OSError without CAP_SYS_ADMIN, on a kernel without
    CONFIG_CHECKPOINT_RESTORE, or if the process does not exist.
    """
    filters: list[tuple[Insn, ...]] = []
    with stopped(pid) as trace:
        while True:
            try:
                length = trace(PTRACE_SECCOMP_GET_FILTER, len(filters), None)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return tuple(filters)
                raise
            buffer = ctypes.create_string_buffer(8 * length)
            trace(PTRACE_SECCOMP_GET_FILTER, len(filters), buffer)
            filters.append(tuple(Insn(*fields) for fields in struct.iter_unpack("=HBBI", buffer.raw)))


class _Trace:
    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.restype = ctypes.c_long
        self._libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)

    def __call__(self, request: int, address: int, data: object) -> int:
        answer = int(self._libc.ptrace(request, self._pid, address, data))
        if answer < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return answer


def seize(pid: int) -> None:
    """Become the tracer of a process without stopping it. Raises OSError."""
    _Trace(pid)(PTRACE_SEIZE, 0, None)


@contextmanager
def stopped(pid: int) -> Iterator[Callable[[int, int, object], int]]:
    """Stop a process or thread while the block runs. Yields ptrace(2) for it. Raises OSError."""
    trace = _Trace(pid)
    trace(PTRACE_SEIZE, 0, None)
    try:
        trace(PTRACE_INTERRUPT, 0, None)
        os.waitpid(pid, WALL)
        yield trace
    finally:
        trace(PTRACE_DETACH, 0, None)
