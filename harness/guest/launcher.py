"""Prepare this process, then become QEMU. Run as a file by harness.guest.spawn, never imported.

    launcher.py PARENT_PID PAGES GROUP -- PROGRAM WORD...

GROUP is the folder of a control group to join first, or empty.

A preexec_fn would run Python between fork and exec, which is not safe beside threads (subprocess manual).
This file is a process of its own and execs, so that its pid becomes QEMU's.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_THP_DISABLE = 1, 41  # linux/prctl.h


def main() -> None:
    """Exits with 127 and a message when the program cannot be executed."""
    parent, pages, group, _, *words = sys.argv[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # Dies with the thread that started it. Kept over execve (prctl(2)).
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that wanted this guest has gone")
    # Kept over fork and execve (prctl(2)); proved afterwards by THP_enabled in /proc/PID/status.
    if pages == "4k" and prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0:
        sys.exit(f"cannot turn transparent huge pages off: {os.strerror(ctypes.get_errno())}")
    if group:
        # Before there is any memory: what is charged to a group stays there.
        try:
            with open(f"{group}/cgroup.procs", "w") as members:  # noqa: PTH123
                members.write("0")
        except OSError as error:
            sys.exit(f"cannot join the control group {group}: {error.strerror}")
    # If the machine runs out of memory all the same, the guest goes, not what else runs here (proc(5)).
    # More may always be set; the helper of asynchronous teardown inherits it.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")
    # The soft limit alone: what is started in between may want a core file (harness.properties.prelude).
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # The shell's & makes it ignored, and QEMU has no handler of its own for it.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    try:
        os.execv(words[0], words)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot execute {words[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
