"""Rows 3 to 6: QEMU as a daemon, as another user, in another root, under a filter of system calls."""

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
from harness.properties.outcome import Cannot, Miss, Parts
from harness.properties.sandbox import check_filters

MEMORY_MIB = 512
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SANDBOX_FOR_RUNAS = SANDBOX.replace("elevateprivileges=deny,", "")
"""elevateprivileges= (deny and children) refuses QEMU itself what -runas needs, also without the feature."""


def daemonized(bench: Bench, parts: Parts) -> None:
    """Row 3."""
    bench.require_option()
    with (
        parts.part("one helper, child and namesake of the daemon"),
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
            _need_root()
            with bench.start("-runas", "nobody", memory_mib=256) as running:
                running.helper()
                ended = running.end_by(number)
            if ended.reclaim_s is None:
                raise Miss(f"helper still lives {HELPER_LIMIT_S:g} s after QEMU ended")
            figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s}
            if ended.reclaim_s > 2 + ended.exit_s:
                raise Miss(f"helper went {ended.reclaim_s:.1f} s after the signal")


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
            found = status.differences(running.pid, helper)
            if found:
                raise Miss(f"helper has {found[0]}" + (f" (and {len(found) - 1} more)" if found[1:] else ""))
            if "-sandbox" in words and status.fields(helper).get("Seccomp") != "2":
                raise Miss("helper has no filter of system calls")
    with parts.part("what the helper's filter allows"), _start(bench, ("-sandbox", SANDBOX), 64) as running:
        helper = running.helper()
        if status.fields(helper).get("Seccomp") != "2":
            raise Miss("helper has no filter of system calls")
        try:
            filters = bpf.filters_of(helper)
        except OSError as error:
            raise Cannot(f"the filter cannot be read here: {error.strerror}") from error
        check_filters(filters)
        ended = running.end_by(signal.SIGTERM)
        if ended.reclaim_s is None:
            raise Miss(f"helper still lives {HELPER_LIMIT_S:g} s after QEMU ended")


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
    found = status.fields(helper)
    # The kernel cuts names at 15 bytes (prctl(2), PR_SET_NAME).
    wanted = f"cleanup/{running.pid}"[:15]
    if found.get("Name") != wanted:
        raise Miss(f"the helper is called {found.get('Name')}, not {wanted}")
    if found.get("PPid") != str(running.pid):
        raise Miss(f"the helper's parent is {found.get('PPid')}, not QEMU {running.pid}")


def _terminated(bench: Bench, words: tuple[str, ...]) -> Ended:
    with _start(bench, words) as running:
        return running.end_by(signal.SIGTERM)


@contextmanager
def _start(bench: Bench, words: tuple[str, ...], memory_mib: int = MEMORY_MIB) -> Iterator[Running]:
    """QEMU with ``words``, where {root} stands for an empty folder. Raises Cannot without the rights to."""
    if "-runas" in words or "-chroot" in words:
        _need_root()
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


def _need_root() -> None:
    if os.geteuid() != 0:
        raise Cannot("needs root")
