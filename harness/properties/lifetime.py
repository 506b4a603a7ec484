"""Rows 8, 9, 10 and 13: number and lifetime of helpers, and the events that end them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.guest.spawn import wait_pidfd
from harness.layout import shipped_files
from harness.process import run
from harness.properties import bpf, status
from harness.properties.bench import Bench, Ended, Running, Surrounding, asynchronous, status_of
from harness.properties.outcome import Cancelled, Failed, Parts

MEMORY_MIB = 512
EXEC_SIGNAL = signal.SIGRTMIN + 5
"""The signal of exec_on_signal.c; QEMU and the C library do not use it."""
EXEC_SOURCE = Path("tests") / "avocado" / "exec_on_signal.c"


def one_at_most(bench: Bench, parts: Parts) -> None:
    """Row 8. A filter kills QEMU if it tries to create a process that shares its memory."""
    bench.require_option()
    with parts.part("option given twice"), bench.start(*bench.words) as running:
        running.helper()
    try:
        deadly = Surrounding(filter=bpf.on_shared_clone(bpf.KILL_PROCESS))
    except KeyError as error:
        raise Cancelled(f"the system call number of clone is unknown for {error}") from error
    with (
        parts.part("the filter detects the creation of a helper"),
        bench.run("-M", "none", surrounding=deadly) as child,
    ):
        if not child.has_ended(10) or child.process.wait() != -signal.SIGSYS:
            raise Failed("QEMU does not create its helper by clone(2) with CLONE_VM: the row proves nothing")
    for name, words in {
        "-version": ("-version",),
        "-help": ("-help",),
        "-machine help": ("-machine", "help"),
    }.items():
        with parts.part(name):
            for before in (True, False):
                given = (*bench.words, *words) if before else (*words, *bench.words)
                _expect_none(bench, given, deadly)


def _expect_none(bench: Bench, words: tuple[str, ...], deadly: Surrounding) -> None:
    with bench.run(*words, surrounding=deadly, on=False) as child:
        if not child.has_ended(10):
            raise Failed("QEMU did not end")
        ended = child.process.wait()
        if ended == -signal.SIGSYS:
            raise Failed("QEMU creates a helper")
        if ended != 0:
            raise Failed(f"QEMU ended with status {ended}")


def helper_killed(bench: Bench, parts: Parts) -> None:
    """Row 9."""
    bench.require_option()
    with bench.start(memory_mib=256) as running:
        before = _warnings(running)
        with parts.part("reaped"):
            os.kill(running.helper(), signal.SIGKILL)
            if not _soon(lambda: not running.helpers() and not status.zombies_below(running.pid)):
                raise Failed("a zombie remains" if status.zombies_below(running.pid) else "it does not end")
        with parts.part("QEMU continues"):
            running.execute("query-status")
        with parts.part("one warning"):
            _soon(lambda: _warnings(running) > before)
            time.sleep(0.2)  # a second one would follow now
            count = _warnings(running) - before
            if count != 1:
                raise Failed(f"QEMU prints {count or 'no'} warnings")
        with parts.part("later teardown is synchronous"):
            ended = running.end_by(signal.SIGTERM)
            if ended.helpers:
                raise Failed(f"{ended.helpers} processes still shared the memory")


def _warnings(running: Running) -> int:
    return sum("warning:" in line for line in running.log().splitlines())


def _soon(holds: Callable[[], bool], timeout_s: float = 2.0) -> bool:
    """Return whether ``holds`` becomes true within ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def group_signals(bench: Bench, parts: Parts) -> None:
    """Row 10."""
    bench.require_option()
    for name in ("TERM", "INT", "HUP", "QUIT", "KILL"):
        number = getattr(signal, f"SIG{name}")
        with parts.part(f"SIG{name}") as figures:
            ended = asynchronous(lambda number=number: _group(bench, (), number))  # type: ignore[misc]
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}
    for name, number in (("SIGTSTP", signal.SIGTSTP), ("SIGSTOP", signal.SIGSTOP)):
        with parts.part(f"{name}, SIGCONT, SIGKILL for QEMU") as figures:
            before = (number, signal.SIGCONT)
            ended = asynchronous(lambda before=before: _group(bench, before, 0))  # type: ignore[misc]
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}


def _group(bench: Bench, before: tuple[int, ...], last: int) -> Ended:
    """Send ``before`` to QEMU's group. Then end QEMU by ``last`` to the group, or by SIGKILL if it is 0."""
    with bench.start(memory_mib=MEMORY_MIB) as running:
        helper = running.helper()
        for number in before:
            running.signal_group(number)
            time.sleep(0.1)
            state = status.fields(helper).get("State", "")
            if number != signal.SIGCONT and state.startswith("T"):
                raise Failed("the helper is stopped")
        if running.helpers() != (helper,):
            raise Failed("the helper has ended")
        if not last:
            return running.end_by(signal.SIGKILL)
        return running.end(lambda: running.signal_group(last), wanted=status_of(last))


def execve_frees(bench: Bench, parts: Parts) -> None:
    """Row 13. A preloaded object makes QEMU's process execute another program on a signal."""
    bench.require_option()
    # Not below the checkout, because LD_PRELOAD does not support paths with blanks (ld.so(8)).
    with parts.part("helper ends within 1 s of execve") as figures, tempfile.TemporaryDirectory() as folder:
        preload = _compile(Path(folder))
        with bench.start(
            memory_mib=256, surrounding=Surrounding(environment={"LD_PRELOAD": str(preload)})
        ) as running:
            helper = os.pidfd_open(running.helper())
            try:
                began = time.monotonic()
                running.signal(EXEC_SIGNAL)
                if not _soon(lambda: status.fields(running.pid).get("Name") == "sleep", 5):
                    raise Cancelled("QEMU's process did not execute the other program")
                if not _soon(lambda: wait_pidfd(helper, 0), 1):
                    raise Failed("the helper still holds the old memory 1 s after execve")
                figures["gone_s"] = time.monotonic() - began
            finally:
                os.close(helper)
            if status.fields(running.pid).get("Name") != "sleep":
                raise Failed("the process did not continue")


def _compile(folder: Path) -> Path:
    """Compile the object to preload. Raises Cancelled without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source = shipped_files() / EXEC_SOURCE
    if compiler is None:
        raise Cancelled("no C compiler is installed")
    built = folder / "exec_on_signal.so"
    try:
        run([compiler, "-shared", "-fPIC", "-o", built, source], timeout_s=60)
    except HarnessError as error:
        raise Cancelled(f"cannot compile the object to preload: {error.cause}") from error
    return built
