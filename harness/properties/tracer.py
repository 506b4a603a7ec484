"""Run QEMU traced, and disturb its helper at one of its system calls. bench.py runs this file.

    tracer.py SETTINGS PROGRAM ARGUMENT...

SETTINGS is JSON: ``step`` is the number of the helper's system call that is disturbed (from 1; 0: none),
``action`` is kill (before the call) or refuse (the call fails with EPERM), and ``report`` is a file, to which
the number of each call is appended before it is made. A helper is another process with the memory of QEMU.
This process ends as QEMU does.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import signal
import struct
import sys
import time

PTRACE_TRACEME, PTRACE_CONT, PTRACE_SYSCALL, PTRACE_POKEUSER = 0, 7, 24, 6  # sys/ptrace.h
PTRACE_SETOPTIONS, PTRACE_GET_SYSCALL_INFO = 0x4200, 0x420E
SYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, EXITKILL = 1, 2, 4, 8, 16, 0x100000
ENTRY = 1  # PTRACE_SYSCALL_INFO_ENTRY
WALL = 0x40000000  # linux/wait.h
KCMP_VM = 1  # linux/kcmp.h
SYS_KCMP = {"x86_64": 312, "s390x": 343, "aarch64": 272}
ORIG_RAX, RAX = 15 * 8, 10 * 8  # struct user of x86_64
GRACE_S = 0.5

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def ptrace(request: int, pid: int, address: int = 0, data: object = None) -> int:
    # A process that is killed meanwhile is no error: its end is reported by waitpid.
    return int(libc.ptrace(request, pid, address, data))


def start(words: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if ptrace(PTRACE_TRACEME, 0) != 0:
            sys.stderr.write(f"prelude: ptrace: {os.strerror(ctypes.get_errno())}\n")
            os._exit(127)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execv(words[0], words)  # noqa: S606 - no shell is wanted
    os.waitpid(pid, WALL | os.WUNTRACED)
    options = SYSGOOD | TRACEFORK | TRACEVFORK | TRACECLONE | TRACEEXEC | EXITKILL
    ptrace(PTRACE_SETOPTIONS, pid, 0, ctypes.c_void_p(options))
    ptrace(PTRACE_CONT, pid)
    return pid


def is_helper(pid: int, qemu: int) -> bool:
    """Return whether ``pid`` is a process of its own (not a thread) that shares the memory of QEMU."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as lines:  # noqa: PTH123
        if not any(line.split() == ["Tgid:", str(pid)] for line in lines):
            return False
    number = SYS_KCMP[platform.machine()]
    return int(libc.syscall(*map(ctypes.c_long, (number, qemu, pid, KCMP_VM, 0, 0)))) == 0


class Helper:
    """The helper at its system calls."""

    def __init__(self, pid: int, settings: dict[str, object], report: int) -> None:
        self.pid, self.settings, self.report = pid, settings, report
        self.calls = 0
        self.refusing = False

    def stopped(self) -> bool:
        """Handle a stop at a system call. Return whether to stop at the next one."""
        info = ctypes.create_string_buffer(128)
        if ptrace(PTRACE_GET_SYSCALL_INFO, self.pid, len(info), ctypes.addressof(info)) < 0:
            return False
        if info.raw[0] == ENTRY:
            self.calls += 1
            number = struct.unpack_from("=Q", info.raw, 24)[0]
            os.write(self.report, f"{number}\n".encode())
            if self.calls == self.settings["step"]:
                if self.settings["action"] == "kill":
                    os.kill(self.pid, signal.SIGKILL)
                    return False
                self.refusing = True
                ptrace(PTRACE_POKEUSER, self.pid, ORIG_RAX, ctypes.c_void_p(-1))
        elif self.refusing:
            ptrace(PTRACE_POKEUSER, self.pid, RAX, ctypes.c_void_p(-errno.EPERM))
            return False
        return True


def main() -> None:
    settings = json.loads(sys.argv[1])
    report = os.open(settings["report"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    qemu = start(sys.argv[2:])
    helpers: dict[int, Helper] = {}
    known, ended, deadline = {qemu}, None, 0.0
    while ended is None or (helpers and time.monotonic() < deadline):
        try:
            pid, status = os.waitpid(-1, WALL | (os.WNOHANG if ended is not None else 0))
        except ChildProcessError:
            break
        if pid == 0:
            time.sleep(0.001)
            continue
        if not os.WIFSTOPPED(status):
            helpers.pop(pid, None)
            if pid == qemu:
                ended, deadline = status, time.monotonic() + GRACE_S
            continue
        number, step = os.WSTOPSIG(status), pid in helpers
        if pid not in known:
            known.add(pid)
            if is_helper(pid, qemu):
                helpers[pid] = Helper(pid, settings, report)
                step = True
            number = 0  # the stop of a new tracee
        elif number == signal.SIGTRAP | 0x80:
            step, number = step and helpers[pid].stopped(), 0
        elif status >> 16 or number == signal.SIGTRAP:
            number = 0  # an event
        ptrace(PTRACE_SYSCALL if step else PTRACE_CONT, pid, 0, ctypes.c_void_p(number))
    if ended is None:
        sys.exit(1)
    if os.WIFSIGNALED(ended):
        signal.signal(os.WTERMSIG(ended), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(ended))
    os._exit(os.waitstatus_to_exitcode(ended) & 0xFF)


if __name__ == "__main__":
    main()
