"""What the stack and the registers of a sleeping helper show: its first function, and whose thread-local
storage it uses."""

import ctypes
import platform
import struct
import time
from collections.abc import Callable
from pathlib import Path

from harness.properties import bpf, status
from harness.properties.bench import soon
from harness.properties.outcome import Cancelled

PTRACE_GETREGSET = 0x4204  # linux/ptrace.h
_POINTER = {
    # Register set (linux/elf.h), and the thread pointer in it: format and offset.
    "x86_64": (1, "<Q", 21 * 8),  # fs_base of struct user_regs_struct
    "s390x": (1, ">Q", 18 * 8),  # access registers 0 and 1, after the PSW and 16 general registers
    "aarch64": (0x401, "<Q", 0),  # NT_ARM_TLS
}


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def thread_pointer(task: int) -> int:
    """Return the address of the thread-local storage of a process or thread, which is stopped briefly.

    Raises OSError if it cannot be traced, and Cancelled for an architecture that is not known.
    """
    if platform.machine() not in _POINTER:
        raise Cancelled(f"the thread pointer of {platform.machine()} is not known")
    registers, layout, offset = _POINTER[platform.machine()]
    buffer = ctypes.create_string_buffer(512)
    vector = _Vector(ctypes.addressof(buffer), len(buffer))
    with bpf.stopped(task) as trace:
        trace(PTRACE_GETREGSET, registers, ctypes.addressof(vector))
    return int(struct.unpack_from(layout, buffer.raw, offset)[0])


def lenders(pid: int, helper: int) -> tuple[int, ...]:
    """Return the threads of ``pid`` whose thread-local storage ``helper`` uses. Raises OSError, Cancelled."""
    its = thread_pointer(helper)
    threads = sorted(int(each.name) for each in Path(f"/proc/{pid}/task").iterdir())
    return tuple(thread for thread in threads if thread_pointer(thread) == its)


def ran(pid: int, threads: tuple[int, ...], work: Callable[[], object]) -> bool:
    """Return whether one of ``threads`` of ``pid`` was scheduled while ``work`` ran."""

    def switches() -> list[str]:
        # Number of times that each was put on a CPU (Linux, scheduler/sched-stats.rst).
        texts = (Path(f"/proc/{pid}/task/{thread}/schedstat").read_text("ascii") for thread in threads)
        return [text.split()[2] for text in texts]

    # A thread that was inspected has to fall asleep again.
    soon(lambda: all(status.fields(thread)["State"].startswith("S") for thread in threads))
    before = switches()
    work()
    return switches() != before


def sleeping_registers(helper: int) -> tuple[int, int]:
    """Return the stack pointer of a process, and the address of its instruction, when it sleeps.

    Raises Cancelled.
    """
    for _ in range(100):
        if (registers := status.sleeping_registers(helper)) is not None:
            return registers
        time.sleep(0.01)
    raise Cancelled("the kernel does not report the registers of the helper")


def return_addresses(helper: int, *, fixed: bool) -> tuple[int, ...]:
    """Return the addresses on the stack of a sleeping process that are in its binary, the outermost first,
    as its symbol table counts them; the last one is that of the current instruction.

    Values that are no return addresses may be among them. ``fixed``: the binary is not relocatable.
    Raises OSError, Cancelled.
    """
    pointer, instruction = sleeping_registers(helper)
    binary = str(Path(f"/proc/{helper}/exe").readlink())
    mapped, top = [], pointer
    for line in Path(f"/proc/{helper}/maps").read_text(encoding="utf-8").splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if line.endswith(f" {binary}"):
            mapped += [start, end]
        if start <= pointer < end:
            top = end
    low, high = min(mapped, default=0), max(mapped, default=0)
    with Path(f"/proc/{helper}/mem").open("rb") as memory:
        memory.seek(pointer)
        stack = memory.read(top - pointer)
    values = [value for (value,) in struct.iter_unpack("@Q", stack[: len(stack) // 8 * 8])]
    base = 0 if fixed else low
    return tuple(value - base for value in (*reversed(values), instruction) if low <= value < high)
