"""Row 7: QEMU waits for its helper, or reports the error if there is none."""

import contextlib
import errno
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import GuestError, HarnessError
from harness.properties import bpf
from harness.properties.bench import Bench, Surrounding
from harness.properties.descriptors import with_many
from harness.properties.outcome import NAMED, Cancelled, Failed, Parts, arranged
from harness.properties.startup import check_ready, faults

UNUSED_UID = 61234
READY_TRIES = 5


def ready_or_error(bench: Bench, parts: Parts) -> None:
    """Row 7."""
    bench.require_option()
    with parts.part("ready when the monitor answers"):
        for _ in range(READY_TRIES):
            with bench.start() as running:
                check_ready(running)
    # Without close_range(), the helper closes each descriptor by itself.
    slow = Surrounding(filter=bpf.deny({bpf.NUMBERS["close_range"]: errno.ENOSYS}))
    with parts.part("waits for a slow helper"), arranged():
        for _ in range(READY_TRIES):
            with with_many(bench, slow) as running:
                check_ready(running)
    with parts.part("clone refused by a filter: EPERM"):
        _expect_error(bench, [Surrounding(filter=_clone_fails(errno.EPERM))], errno.EPERM)
    with parts.part("no memory for clone: ENOMEM"):
        _expect_error(bench, [Surrounding(filter=_clone_fails(errno.ENOMEM))], errno.ENOMEM)
    with parts.part("clone refused to a daemon"):
        _expect_no_daemon(bench)
    with parts.part("RLIMIT_NPROC"):
        if os.geteuid() != 0:
            raise Cancelled("changing to a user without other processes needs root")
        limits = [Surrounding(uid=UNUSED_UID, processes=number) for number in range(1, 9)]
        _expect_error(bench, limits, errno.EAGAIN)
    with parts.part("limit of the pids cgroup"), pids_cgroup() as (folder, limit):
        _expect_error(bench, [Surrounding(cgroup=str(folder))] * 8, errno.EAGAIN, limit=limit)
    with parts.part("no descriptor left: EMFILE"):
        _expect_error(bench, [Surrounding(files=number) for number in range(3, 24)], errno.EMFILE)
    faults(bench, parts, confined=os.geteuid() == 0)


def _clone_fails(code: int) -> tuple[bpf.Insn, ...]:
    try:
        return bpf.on_shared_clone(bpf.ERRNO | code)
    except KeyError as error:
        raise Cancelled(f"the system call number of clone is unknown for {platform.machine()}") from error


def _expect_error(
    bench: Bench, surroundings: list[Surrounding], code: int, *, limit: Path | None = None
) -> None:
    """Raise Failed unless one of ``surroundings`` makes QEMU report the failed helper and exit with status 1.

    They are limits, the lowest first. With the first ones QEMU fails elsewhere; with one of them only the
    helper cannot be created. The number of the attempt is written to the file ``limit``.
    """
    other = ""
    for number, surrounding in enumerate(surroundings, start=1):
        if limit is not None:
            limit.write_text(f"{number}\n", encoding="ascii")
        state, text = _attempt(bench, surrounding, code)
        if state == "reported":
            return
        if state == "prelude":
            raise Cancelled(text)
        if state == "runs without":
            raise Failed("QEMU starts without a helper and without an error")
        if state == "runs":
            break
        other = text
    raise Failed(
        f"no error names asynchronous teardown and {os.strerror(code)!r}" + (f": {other}" if other else "")
    )


def _expect_no_daemon(bench: Bench) -> None:
    """Raise Failed unless the process that starts the daemon gets status 1 and the reason."""
    pidfile = bench.work / "pid"
    surrounding = Surrounding(filter=_clone_fails(errno.EPERM))
    try:
        with bench.start(
            *("-daemonize", "-pidfile", str(pidfile)), surrounding=surrounding, pidfile=pidfile
        ) as running:
            raise Failed(f"the daemon runs with {len(running.helpers()) or 'no'} helpers")
    except GuestError as error:
        if not error.cause.startswith("QEMU ended with 1:") or not NAMED.search(error.cause):
            raise Failed(f"no error names asynchronous teardown: {error.cause}") from error


def _attempt(bench: Bench, surrounding: Surrounding, code: int) -> tuple[str, str]:
    """Return the state and a text: runs, runs without (a helper), or the result of `_judge`."""
    try:
        with bench.start(surrounding=surrounding) as running:
            return "runs" if running.helpers() else "runs without", ""
    except HarnessError as error:
        return _judge(error, code)


def _judge(error: HarnessError, code: int) -> tuple[str, str]:
    """Return the state and a text: reported (the expected error), prelude (which failed), or other."""
    output = "\n".join(error.details)
    if "prelude: " in output:
        return "prelude", output.partition("prelude: ")[2].splitlines()[0]
    named = re.search(r"async\w*[ _-]?teardown", output, re.IGNORECASE)
    is_reported = named and os.strerror(code) in output and "with status 1" in error.cause
    return ("reported", "") if is_reported else ("other", error.cause)


@contextlib.contextmanager
def pids_cgroup() -> Iterator[tuple[Path, Path]]:
    """Create a cgroup with the pids controller, v1 or v2. Yield it and its limit. Raises Cancelled."""
    top = Path("/sys/fs/cgroup")
    folder = (top / "pids" if (top / "pids").is_dir() else top) / f"properties-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise Cancelled(f"cannot create a cgroup: {error.strerror}") from error
    try:
        if not (folder / "pids.max").exists():
            raise Cancelled("this machine has no pids controller")
        yield folder, folder / "pids.max"
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
