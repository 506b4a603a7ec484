"""Functions of the C library that the helper may call while it owns its thread-local storage.

QEMU can be killed at any moment, with any lock held. The helper may therefore call what neither takes a lock
nor allocates memory: system calls, functions for memory and strings, and functions that end the process.
"""

# The part of signal-safety(7) that a process without files of its own can need.
_POSIX = """
    _exit _Exit abort chdir close dup fchdir getegid geteuid getgid getgroups getpgrp getpid getppid getuid
    kill lseek memchr memcmp memcpy memmove memset open openat pause poll ppoll pread prctl pselect read
    readlink select setpgid setsid sigaction sigaddset sigdelset sigemptyset sigfillset sigismember sigpending
    sigprocmask sigsuspend socketpair stpcpy strchr strcmp strcpy strlen strncmp strncpy strnlen sysconf time
    clock_gettime umask wait waitpid write
"""
# Other system calls, to which the C library adds nothing.
_LINUX = """
    chroot clock_nanosleep clone close_range epoll_pwait epoll_wait fcntl fsync futex getdents64 getpgid
    getrlimit getsid gettid madvise membarrier mlock mprotect munlock munlockall munmap nanosleep pidfd_open
    pidfd_send_signal pwrite recv recvmsg sched_getaffinity sched_setaffinity sched_yield send sendmsg
    setrlimit sleep syscall unshare usleep wait4 waitid
"""
# errno, conversion of numbers, counting bits, checks of the compiler that end the process, other names.
_OTHER = """
    __errno_location strtol __isoc23_strtol strtoul __isoc23_strtoul __assert_fail __stack_chk_fail __chk_fail
    __memcpy_chk __memset_chk __memmove_chk __poll_chk __ppoll_chk __read_chk __pread_chk __open64_2 open64
    __sched_cpucount lseek64 pread64 pwrite64 getrlimit64 setrlimit64 fcntl64
"""
SAFE = frozenset(f"{_POSIX} {_LINUX} {_OTHER}".split())
