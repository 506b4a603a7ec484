"""Set up an unusual environment and execute QEMU in it. bench.py runs this file; nothing imports it.

    prelude.py SETTINGS PROGRAM ARGUMENT...

SETTINGS is JSON (bench.Surrounding). The file runs after harness/guest/launcher.py, in the same process.
"""

import contextlib
import ctypes
import json
import os
import resource
import sys

CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2  # linux/sched.h, linux/mount.h
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 28, 47, 2  # linux/prctl.h
NO_SETUID_FIXUP = 1 << 2  # linux/securebits.h
CAP_DAC_READ_SEARCH, CAPABILITY_VERSION_3 = 2, 0x20080522  # linux/capability.h
HIGHEST = 1024 * 1024 - 1
"""The highest descriptor that a kernel accepts unless its administrator raises fs.nr_open (proc(5))."""
libc = ctypes.CDLL(None, use_errno=True)


class SockFilter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(SockFilter)))


def check(answer: int, what: str) -> None:
    if answer != 0:
        sys.exit(f"prelude: {what}: {os.strerror(ctypes.get_errno())}")


def leave_proc() -> None:
    """Create a mount namespace without /proc."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    check(libc.umount2(b"/proc", MNT_DETACH), "umount /proc")


def allow_core() -> None:
    """Allow core files, but small ones: the check needs only their existence (core(5))."""
    with open("/proc/self/coredump_filter", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write("0")
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        sys.exit("prelude: cannot raise RLIMIT_CORE")


def change_user(uid: int) -> None:
    """Become another user who may still read all files, such as firmware below a folder of root's."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    # Capabilities then remain, also for access(2), which otherwise ignores those of other users than root.
    check(libc.prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0), "PR_SET_SECUREBITS")
    os.setresuid(uid, uid, uid)
    only = 1 << CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
    check(libc.capset(header, sets), "capset")
    check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0), "PR_CAP_AMBIENT")


def copy(descriptor: int, count: int) -> None:
    """Duplicate a descriptor ``count`` times, the last time to the highest number that is allowed."""
    with open("/proc/sys/fs/nr_open", encoding="ascii") as stream:  # noqa: PTH123
        most = int(stream.read())
    with contextlib.suppress(OSError, ValueError):  # raising the hard limit needs root
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    first, last = 100, min(hard, HIGHEST + 1) - 1
    for number in (*range(first, min(first + count - 1, last)), last):
        os.dup2(descriptor, number)


def install(instructions: list[list[int]]) -> None:
    """Install a filter. Set no_new_privs only if the kernel refuses the filter without it."""
    array = (SockFilter * len(instructions))(*(SockFilter(*fields) for fields in instructions))
    program = Program(len(instructions), array)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "seccomp")


def main() -> None:
    settings = json.loads(sys.argv[1])
    words = sys.argv[2:]
    os.environ.update(settings["environment"])
    if settings["cgroup"]:
        with open(f"{settings['cgroup']}/cgroup.procs", "w", encoding="ascii") as stream:  # noqa: PTH123
            stream.write("0")
    if settings["copies"]:
        copy(settings["copy_of"], settings["copies"])
    if settings["folder"]:
        os.chdir(settings["folder"])
    if settings["core"]:
        allow_core()
    # Opened now, because the path may be inaccessible after the next steps.
    program = os.open(words[0], os.O_RDONLY | os.O_CLOEXEC)
    if settings["no_proc"]:
        leave_proc()
    if settings["uid"]:
        change_user(settings["uid"])
    if settings["processes"]:
        resource.setrlimit(resource.RLIMIT_NPROC, (settings["processes"], settings["processes"]))
    if settings["files"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["files"], settings["files"]))
    if settings["filter"]:
        install(settings["filter"])
    with contextlib.suppress(OSError):
        os.execve(program, words, os.environ)  # noqa: S606 - no shell is needed
    try:
        os.execv(words[0], words)  # noqa: S606 - a script cannot be executed by its descriptor
    except OSError as error:
        sys.exit(f"prelude: cannot execute {words[0]}: {error.strerror}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"prelude: {error}")
