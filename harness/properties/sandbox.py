"""The system calls that filters may allow, for every number of every architecture that the kernel accepts."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.properties import bpf
from harness.properties.bpf import AUDIT_ARCH, Call, Insn
from harness.properties.outcome import Cancelled, Failed

Filters = Sequence[Sequence[Insn]]

HARMLESS = frozenset(
    """
    read readv write writev close close_range poll ppoll ppoll_time64 select pselect6 pselect6_time64 pause
    epoll_wait epoll_pwait epoll_pwait2 nanosleep clock_nanosleep clock_nanosleep_time64 clock_gettime
    clock_gettime64 gettimeofday time restart_syscall rt_sigreturn sigreturn rt_sigprocmask rt_sigtimedwait
    exit exit_group madvise munmap futex futex_time64 sched_yield sched_getaffinity getpid gettid getppid
    membarrier rseq set_robust_list set_tid_address brk
    """.split()  # noqa: SIM905 - fifty words
)
"""Calls that a process may need to wait, to free memory, with threads, and to end. They reach nothing new."""
WITH_ARGUMENTS = frozenset(("clone", "prctl", "mmap", "mmap2", "mprotect"))
"""Calls that are harmless with some arguments only: those are checked, see _dangerous_calls."""
ENDS = ("exit", "exit_group")
SPAWN = ("execve", "execveat", "fork", "vfork")
"""Calls that QEMU's -sandbox refuses with spawn=deny, and the others in any case."""
ALWAYS = ("reboot", "swapon", "mount", "kexec_load")

LAST = 1024
"""Numbers of system calls are below it on all architectures."""
ODD = (-1, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE)
X32 = 0x40000000  # __X32_SYSCALL_BIT, asm/unistd.h
FOREIGN = {"x86_64": (0x40000003,), "s390x": (0x16,), "aarch64": (0x40000028,)}
"""Other architectures whose calls a kernel may accept: i386, s390, arm (linux/audit.h)."""
PROT_EXEC, SIGCHLD = 4, 17
CLONE_VM, CLONE_SIGHAND, CLONE_THREAD = 0x100, 0x800, 0x10000  # linux/sched.h
THREAD = CLONE_VM | 0x200 | 0x400 | CLONE_SIGHAND | CLONE_THREAD
LEAVING = (0x80, 0x2000, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWTIME, CLONE_PTRACE, and the other CLONE_NEW*."""
PRCTL_HARMLESS = frozenset((2, 3, 7, 15, 16, 21, 23, 25, 27, 30, 34, 37, 38, 39, 40, 42, 48, 52))
"""PR_SET_NAME, PR_SET_NO_NEW_PRIVS, and the PR_GET_* (linux/prctl.h)."""
PRCTL_FAR = (0x53564D41, 0x59616D61, 0x41555856)
"""PR_SET_VMA, PR_SET_PTRACER, PR_GET_AUXV."""


@dataclass(frozen=True)
class Numbers:
    """The native system calls of a machine: its audit architecture, and number → name."""

    arch: int
    names: dict[int, str]

    def number(self, name: str) -> int | None:
        """Return the number of a call; None if the architecture lacks it."""
        return next((number for number, each in self.names.items() if each == name), None)


def numbers() -> Numbers:
    """Return the calls of this machine. Raises Cancelled: unknown architecture, or libseccomp is missing."""
    arch = AUDIT_ARCH.get(platform.machine())
    if arch is None:
        raise Cancelled(f"the audit architecture of {platform.machine()} is unknown")
    try:
        found = bpf.syscall_names(LAST)
    except OSError as error:
        raise Cancelled("libseccomp, which gives the names of system calls, is not installed") from error
    return Numbers(arch, found)


def check_filters(filters: Filters, of_qemu: Filters = ()) -> None:
    """Raise Failed if the helper's ``filters`` allow a call that it does not need, or forbid its exit.

    Every number is tried, for the native architecture, x32 and the foreign ones, and dangerous arguments of
    the calls that are harmless with others. The helper may not have a call that the filters ``of_qemu``
    refuse. Raises Cancelled as numbers().
    """
    native = numbers()
    found = (name for name, call in _dangerous_calls(native, filters) if allows(filters, call))
    allowed = list(dict.fromkeys(found))
    if allowed:
        raise Failed(f"the helper's filter allows {', '.join(allowed[:8])}" + (" …" if allowed[8:] else ""))
    if of_qemu:
        beyond = [
            name
            for number, name in native.names.items()
            if allows(filters, Call(number, native.arch)) and not allows(of_qemu, Call(number, native.arch))
        ]
        if beyond:
            raise Failed(f"the helper's filter allows {', '.join(beyond[:8])}, which QEMU's refuses")
    ends = [number for name in ENDS if (number := native.number(name)) is not None]
    if not any(allows(filters, Call(number, native.arch)) for number in ends):
        raise Failed("the helper's filter does not allow its exit")


def check_own_filters(filters: Filters, refused: Iterable[str]) -> None:
    """Raise Failed if QEMU's own ``filters`` allow one of the calls ``refused``. Raises Cancelled."""
    native = numbers()
    allowed = [
        name
        for name in refused
        if (number := native.number(name)) is not None and allows(filters, Call(number, native.arch))
    ]
    if allowed:
        raise Failed(f"QEMU's own filter allows {', '.join(allowed)}")


def allows(filters: Filters, call: Call) -> bool:
    """Return whether the kernel executes the call under ``filters``."""
    return bpf.verdict(filters, call) in (bpf.ALLOW, bpf.LOG)


def _dangerous_calls(native: Numbers, filters: Filters) -> Iterator[tuple[str, Call]]:
    """Yield each call that no helper needs, with its name."""
    for number in (*range(LAST), *ODD):
        name = native.names.get(number, f"call {number:#x}")
        if name not in HARMLESS | WITH_ARGUMENTS:
            yield name, Call(number, native.arch)
        if platform.machine() == "x86_64":
            yield f"x32's call {number:#x}", Call(number | X32, native.arch)
        for arch in FOREIGN.get(platform.machine(), ()):
            yield f"call {number:#x} of architecture {arch:#x}", Call(number, arch)
    for name in sorted(WITH_ARGUMENTS):
        number = native.number(name)
        if number is not None:
            for text, arguments in _dangerous_arguments(name, filters):
                yield f"{name}({text})", Call(number, native.arch, arguments)


def _dangerous_arguments(name: str, filters: Filters) -> Iterator[tuple[str, tuple[int, ...]]]:
    if name == "clone":
        for flags in _clone_flags(filters):
            # The kernel ignores the upper half. On s390x the stack comes first (clone(2)).
            for value in (flags, flags | 1 << 32, flags | 0xFFFFFFFF << 32):
                yield f"{flags:#x}", (0, value) if platform.machine() == "s390x" else (value, 0)
    elif name == "prctl":
        known = {insn.k for program in filters for insn in program}
        for option in sorted({*range(128), *PRCTL_FAR, *known} - PRCTL_HARMLESS):
            yield str(option), (option, 1, 1)
    else:
        for protection in (PROT_EXEC, PROT_EXEC | 1, PROT_EXEC | 3):
            yield "PROT_EXEC", (0, 4096, protection)


def _clone_flags(filters: Filters) -> list[int]:
    """Return flags that create a process, or a thread elsewhere; also those near constants of the filters."""
    known = {insn.k for program in filters for insn in program if insn.k & CLONE_VM}
    threads = {THREAD, THREAD | 0x3D0F00, *(flags for flags in known if flags & CLONE_THREAD)}
    bases = {0, SIGCHLD, *known}
    tried = {base | flag | end for base in bases for flag in (0, *LEAVING) for end in (0, SIGCHLD)}
    tried |= {thread & ~CLONE_THREAD for thread in threads}
    tried |= {thread & ~CLONE_THREAD & ~CLONE_SIGHAND | 0x4000 for thread in threads}
    tried |= {CLONE_VM, CLONE_VM | 0x4000 | SIGCHLD, CLONE_VM | 0x200, CLONE_VM | CLONE_SIGHAND}
    tried |= {thread | flag for thread in threads for flag in LEAVING}
    return sorted(
        flags for flags in tried if not flags & CLONE_THREAD or any(flags & each for each in LEAVING)
    )
