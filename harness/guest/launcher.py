"""Prepare this process, then execute QEMU. harness.guest.spawn runs this file; it is not imported.

    launcher.py PARENT_PID PAGES GROUP -- PROGRAM ARGUMENT...

GROUP is the folder of a control group to join first, or empty.

A preexec_fn would run Python between fork and exec, which is not safe with threads (subprocess manual). This
file is a separate process and calls exec, so that QEMU keeps its pid.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_THP_DISABLE = 1, 41  # linux/prctl.h


def main() -> None:
    """Execute the program; exit with status 127 and a message if that fails."""
    parent, pages, group, _, *words = sys.argv[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # The process ends with the thread that started it. execve keeps this setting (prctl(2)).
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that started this guest has ended")
    # fork and execve keep this setting (prctl(2)). THP_enabled in /proc/PID/status is checked later.
    if pages == "4k" and prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0:
        sys.exit(f"cannot disable transparent huge pages: {os.strerror(ctypes.get_errno())}")
    if group:
        # Before any memory is allocated: memory stays charged to the group that allocated it.
        try:
            with open(f"{group}/cgroup.procs", "w") as members:  # noqa: PTH123
                members.write("0")
        except OSError as error:
            sys.exit(f"cannot join the control group {group}: {error.strerror}")
    # If the machine runs out of memory, the kernel kills the guest first (proc(5)). No permission is needed
    # to increase the score. The helper of asynchronous teardown inherits it.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")
    # Only the soft limit, because a program in between may need a core file (harness.properties.prelude).
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # nohup(1) ignores SIGHUP, and a shell SIGINT and SIGQUIT for its background jobs. Programs inherit that.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(words[0], words)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot execute {words[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
