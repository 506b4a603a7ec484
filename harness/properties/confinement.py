"""Rows 3 to 6: QEMU as a daemon, as another user, in another root directory, under a system call filter."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.properties import bpf, status
from harness.properties.bench import HELPER_LIMIT_S, Bench, Ended, Running, asynchronous
from harness.properties.outcome import Cancelled, Failed, Parts
from harness.properties.sandbox import check_filters

MEMORY_MIB = 512
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SANDBOX_FOR_RUNAS = SANDBOX.replace("elevateprivileges=deny,", "")
"""-runas needs elevateprivileges in QEMU itself, also without the feature."""


def daemonized(bench: Bench, parts: Parts) -> None:
    """Row 3."""
    bench.require_option()
    with (
        parts.part("one helper, a child of the daemon with its pid in the name"),
        _start(bench, ("-daemonize",)) as running,
    ):
        _check_helper(running)
    with parts.part("exit is asynchronous") as figures:
        ended = asynchronous(lambda: _terminated(bench, ("-daemonize",)))
        figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}


def run_as_nobody(bench: Bench, parts: Parts) -> None:
    """Row 4."""
    bench.require_option()
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        with parts.part(name) as figures:
            _require_root()
            with bench.start("-runas", "nobody", memory_mib=256) as running:
                running.helper()
                ended = running.end_by(number)
            if ended.reclaim_s is None:
                raise Failed(f"helper still runs {HELPER_LIMIT_S:g} s after QEMU's exit")
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s}
            if ended.reclaim_s > 2 + ended.exit_s:
                raise Failed(f"helper exited {ended.reclaim_s:.1f} s after the signal")


def as_confined_as_qemu(bench: Bench, parts: Parts) -> None:
    """Row 5."""
    bench.require_option()
    cases = {
        "plain": (),
        "-runas": ("-runas", "nobody"),
        "-chroot": ("-chroot", "{root}"),
        "-runas, -chroot": ("-runas", "nobody", "-chroot", "{root}"),
        "-sandbox": ("-sandbox", "on"),
        "-sandbox, all denied": ("-sandbox", SANDBOX),
        "-sandbox, -runas, -chroot": ("-sandbox", SANDBOX_FOR_RUNAS, "-runas", "nobody", "-chroot", "{root}"),
    }
    for name, words in cases.items():
        with parts.part(name), _start(bench, words, memory_mib=64) as running:
            helper = running.helper()
            differences = status.differences(running.pid, helper)
            if differences:
                more = f" (and {len(differences) - 1} more)" if differences[1:] else ""
                raise Failed(f"helper has {differences[0]}{more}")
            if "-sandbox" in words and status.fields(helper).get("Seccomp") != "2":
                raise Failed("helper has no system call filter")
    with parts.part("calls that the filter allows"), _start(bench, ("-sandbox", SANDBOX), 64) as running:
        helper = running.helper()
        if status.fields(helper).get("Seccomp") != "2":
            raise Failed("helper has no system call filter")
        try:
            filters = bpf.filters_of(helper)
        except OSError as error:
            raise Cancelled(f"cannot read the filter: {error.strerror}") from error
        check_filters(filters)
        ended = running.end_by(signal.SIGTERM)
        if ended.reclaim_s is None:
            raise Failed(f"helper still runs {HELPER_LIMIT_S:g} s after QEMU's exit")


def confined(bench: Bench, parts: Parts) -> None:
    """Row 6."""
    bench.require_option()
    cases = {
        "-sandbox": ("-sandbox", SANDBOX),
        "-chroot": ("-chroot", "{root}"),
        "-runas": ("-runas", "nobody"),
        "-daemonize": ("-daemonize",),
        "mem-lock": ("-overcommit", "mem-lock=on"),
        "-sandbox, -daemonize": ("-sandbox", SANDBOX, "-daemonize"),
        "-sandbox, -chroot": ("-sandbox", SANDBOX, "-chroot", "{root}"),
        "all together": (
            *("-sandbox", SANDBOX_FOR_RUNAS, "-chroot", "{root}", "-runas", "nobody", "-daemonize"),
            *("-overcommit", "mem-lock=on"),
        ),
    }
    for name, words in cases.items():
        with parts.part(name) as figures:
            with _start(bench, words) as running:
                _check_helper(running)
            ended = asynchronous(lambda words=words: _terminated(bench, words))  # type: ignore[misc]
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}


def _check_helper(running: Running) -> None:
    helper = running.helper()
    fields = status.fields(helper)
    # The kernel truncates names to 15 bytes (prctl(2), PR_SET_NAME).
    wanted = f"cleanup/{running.pid}"[:15]
    if fields.get("Name") != wanted:
        raise Failed(f"the helper's name is {fields.get('Name')}, not {wanted}")
    if fields.get("PPid") != str(running.pid):
        raise Failed(f"the helper's parent is {fields.get('PPid')}, not QEMU {running.pid}")


def _terminated(bench: Bench, words: tuple[str, ...]) -> Ended:
    with _start(bench, words) as running:
        return running.end_by(signal.SIGTERM)


@contextmanager
def _start(bench: Bench, words: tuple[str, ...], memory_mib: int = MEMORY_MIB) -> Iterator[Running]:
    """Run QEMU with ``words``, where {root} is an empty folder. Raises Cancelled without the privileges."""
    if "-runas" in words or "-chroot" in words:
        _require_root()
    folder = Path(tempfile.mkdtemp(prefix="root-", dir=bench.work))
    try:
        pidfile = folder / "pid"
        given = tuple(word.format(root=folder) for word in words)
        if "-daemonize" in words:
            given += ("-pidfile", str(pidfile))
        with bench.start(
            *given, memory_mib=memory_mib, pidfile=pidfile if "-daemonize" in words else None
        ) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise Cancelled("needs root")
