"""The system calls that a helper's filter may allow, checked by evaluating the filter."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from harness.properties import bpf
from harness.properties.bpf import AUDIT_ARCH, Call, Insn
from harness.properties.outcome import Cancelled, Failed

FORBIDDEN = """
    execve execveat fork vfork clone3 open openat openat2 creat socket connect bind accept4 sendmsg sendto
    ptrace process_vm_readv process_vm_writev kill tkill tgkill rt_sigqueueinfo pidfd_send_signal
    pidfd_getfd setuid setgid setreuid setregid setresuid setresgid setfsuid setgroups capset unshare
    setns mount umount2 chroot pivot_root bpf perf_event_open userfaultfd io_uring_setup keyctl add_key
    init_module finit_module kexec_load reboot ioctl shmat memfd_create rename unlink unlinkat mknodat
    setrlimit prlimit64 personality
""".split()  # noqa: SIM905 - sixty words
"""Calls that a process that only waits and exits does not need."""

PROT_EXEC, SIGCHLD = 4, 17
I386 = 0x40000003  # AUDIT_ARCH_I386, linux/audit.h
X32 = 0x40000000  # __X32_SYSCALL_BIT, asm/unistd.h


def check_filters(filters: Sequence[Sequence[Insn]]) -> None:
    """Raise Failed if ``filters`` allow an unnecessary call, or forbid the helper's exit.

    Calls that are dangerous only with some arguments are checked with those: clone(2) with the flags of
    fork(2), and executable memory. Raises Cancelled for an unknown architecture, or without libseccomp.
    """
    arch = AUDIT_ARCH.get(platform.machine())
    if arch is None:
        raise Cancelled(f"the audit architecture of {platform.machine()} is unknown")
    try:
        calls = [(name, number, ()) for name in FORBIDDEN if (number := bpf.syscall_number(name)) is not None]
        for name, arguments in {
            "clone": (SIGCHLD, SIGCHLD),
            "mmap": (0, 4096, PROT_EXEC),
            "mprotect": (0, 4096, PROT_EXEC),
        }.items():
            number = bpf.syscall_number(name)
            if number is not None:
                calls.append((name, number, arguments))  # type: ignore[arg-type]
        ends = [bpf.syscall_number(name) for name in ("exit", "exit_group")]
    except OSError as error:
        raise Cancelled("libseccomp, which gives the numbers of system calls, is not installed") from error
    allowed = [
        name for name, number, arguments in calls if _allows(filters, Call(number, arch, tuple(arguments)))
    ]
    if platform.machine() == "x86_64":
        # 11 is execve of i386. The numbers of x32 are those of 64 bit plus one bit.
        if _allows(filters, Call(11, I386)):
            allowed.append("execve of i386")
        if _allows(filters, Call(X32 | 59, arch)) or _allows(filters, Call(X32 | 520, arch)):
            allowed.append("execve of x32")
    if allowed:
        raise Failed(f"the helper's filter allows {', '.join(allowed[:8])}" + (" …" if allowed[8:] else ""))
    if not any(number is not None and _allows(filters, Call(number, arch)) for number in ends):
        raise Failed("the helper's filter does not allow its exit")


def _allows(filters: Sequence[Sequence[Insn]], call: Call) -> bool:
    return bpf.verdict(filters, call) in (bpf.ALLOW, bpf.LOG)
