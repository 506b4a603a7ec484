"""Rows 3 to 6: QEMU as a daemon, as another user, in another root directory, under a system call filter."""

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Subject
from harness.errors import HarnessError
from harness.figures import shown
from harness.properties import bpf, sandbox, status
from harness.properties.bench import HELPER_LIMIT_S, Bench, Ended, Running
from harness.properties.outcome import Cancelled, Failed, Parts
from harness.properties.tails import (
    AT_ONCE_RATIO,
    PAUSE_S,
    asynchronous,
    check_end,
    check_tail,
    end_first,
    judge_tail,
    reference,
)

MEMORY_MIB = 256
TAIL_MIB = 128
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SANDBOX_FOR_RUNAS = SANDBOX.replace("elevateprivileges=deny,", "")
"""-runas needs elevateprivileges in QEMU itself, also without the feature."""
CONFINING = {
    "-daemonize": ("-daemonize",),
    "-runas": ("-runas", "nobody"),
    "-chroot": ("-chroot", "{root}"),
    "-sandbox": ("-sandbox", SANDBOX),
}
DAEMON_ONLY = ("Umask",)
"""What -daemonize changes by itself."""


def daemonized(bench: Bench, parts: Parts) -> None:
    """Row 3."""
    bench.require_option()
    with (
        parts.part("one helper, a child of the daemon with its pid in the name"),
        _start(bench, ("-daemonize",)) as running,
    ):
        _check_helper(running)
    with parts.part("exit is asynchronous") as figures:
        ended = _asynchronous(bench, ("-daemonize",))
        figures |= {"exit_s": ended.exit_s, "reclaim_s": ended.reclaim_s or 0}
    whole_s = reference(bench, TAIL_MIB)
    exits: list[float] = []

    def end() -> float:
        with _start(bench, ("-daemonize",), TAIL_MIB) as running:
            ended = end_first(running, signal.SIGTERM)
        exits.append(ended.exit_s)
        return check_end(ended)

    with parts.part("each end within a synchronous teardown + 20 ms") as figures:
        check_tail(end, whole_s + PAUSE_S, "memory is freed after the daemon's exit:", figures)
    with parts.part("each exit at once") as figures:
        if not exits:
            raise Cancelled("no daemon was ended")
        judge_tail(exits, AT_ONCE_RATIO * whole_s + PAUSE_S, "the daemon exits after", figures)


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
    """Row 5. Every combination of CONFINING, and a -sandbox that denies nothing more than the default."""
    bench.require_option()
    cases: dict[str, tuple[str, ...]] = {}
    for chosen in itertools.product((False, True), repeat=len(CONFINING)):
        names = [name for name, given in zip(CONFINING, chosen, strict=True) if given]
        words = tuple(word for name in names for word in CONFINING[name])
        if "-runas" in names:
            words = tuple(SANDBOX_FOR_RUNAS if word == SANDBOX else word for word in words)
        cases[", ".join(names) or "plain"] = words
    cases["-sandbox on"] = ("-sandbox", "on")
    for name, words in cases.items():
        with parts.part(name):
            _check_confinement(bench, words)
    with parts.part("the filter allows the exit"), _start(bench, CONFINING["-sandbox"], 64) as running:
        running.helper()
        check_end(running.end_by(signal.SIGTERM))


@dataclass(frozen=True, kw_only=True)
class _Confined:
    """How the kernel confines a process; ``filters`` is None if they cannot be read."""

    facts: dict[str, str]
    filters: tuple[tuple[bpf.Insn, ...], ...] | None


def _confined(pid: int) -> _Confined:
    facts = status.confinement(pid)
    try:
        filters = bpf.filters_of(pid) if facts["Seccomp"] == "2" else ()
    except OSError:
        return _Confined(facts=facts, filters=None)
    return _Confined(facts=facts, filters=filters)


def _check_confinement(bench: Bench, words: tuple[str, ...]) -> None:
    """Compare QEMU with QEMU without the feature, and the helper with QEMU."""
    with _root_folder(bench, words) as folder:
        wanted, besides = _without_feature(bench, words, folder)
        with _start_in(bench, words, folder, 64) as running:
            qemu, helper = _confined(running.pid), _confined(running.helper())
            unfiltered = status.unfiltered_threads(running.pid)
    _raise(status.differences(wanted.facts, qemu.facts, besides=besides), "QEMU itself has")
    _raise(status.differences(qemu.facts, helper.facts), "helper has")
    if "-sandbox" not in words:
        return
    # Also without anything to compare with.
    if qemu.facts["Seccomp"] != "2" or unfiltered:
        raise Failed(f"QEMU itself has {unfiltered or 'only'} threads without a system call filter")
    if qemu.filters is None or helper.filters is None or wanted.filters is None:
        raise Cancelled("the kernel does not show the filters")
    if qemu.filters != wanted.filters:
        raise Failed("QEMU's own filter is not that of the binary without the feature")
    denied = sandbox.SPAWN if "spawn=deny" in ",".join(words) else ()
    sandbox.check_own_filters(qemu.filters, (*sandbox.ALWAYS, *denied))
    sandbox.check_filters(helper.filters, qemu.filters)


def _raise(found: tuple[str, ...], who: str) -> None:
    if found:
        raise Failed(f"{who} {shown(found)}")


def _without_feature(bench: Bench, words: tuple[str, ...], folder: Path) -> tuple[_Confined, tuple[str, ...]]:
    """Return how QEMU is confined without the feature, and what this does not say about ``words``.

    QEMU 7.2 cannot daemonize under a filter that denies to spawn: it is then started without -daemonize.
    """
    reference = bench.task.reference
    try:
        with _start_in(bench, words, folder, 64, on=False, binary=reference) as running:
            return _confined(running.pid), ()
    except HarnessError:
        if "-daemonize" not in words:
            raise
    without = tuple(word for word in words if word != "-daemonize")
    with _start_in(bench, without, folder, 64, on=False, binary=reference) as running:
        return _confined(running.pid), DAEMON_ONLY


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
            ended = _asynchronous(bench, words)
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


def _asynchronous(bench: Bench, words: tuple[str, ...]) -> Ended:
    def end() -> Ended:
        with _start(bench, words) as running:
            return end_first(running, signal.SIGTERM)

    return asynchronous(end, reference(bench, MEMORY_MIB))


@contextmanager
def _start(bench: Bench, words: tuple[str, ...], memory_mib: int = MEMORY_MIB) -> Iterator[Running]:
    """Run QEMU with ``words``, where {root} is an empty folder. Raises Cancelled without the privileges."""
    with _root_folder(bench, words) as folder, _start_in(bench, words, folder, memory_mib) as running:
        yield running


@contextmanager
def _root_folder(bench: Bench, words: tuple[str, ...]) -> Iterator[Path]:
    if "-runas" in words or "-chroot" in words:
        _require_root()
    folder = Path(tempfile.mkdtemp(prefix="root-", dir=bench.work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _start_in(
    bench: Bench,
    words: tuple[str, ...],
    folder: Path,
    memory_mib: int,
    *,
    on: bool = True,
    binary: Subject | None = None,
) -> Iterator[Running]:
    pidfile = folder / "pid"
    given = tuple(word.format(root=folder) for word in words)
    daemon = "-daemonize" in words
    if daemon:
        given += ("-pidfile", str(pidfile))
    with bench.start(
        *given, memory_mib=memory_mib, on=on, binary=binary, pidfile=pidfile if daemon else None
    ) as running:
        yield running


def _require_root() -> None:
    if os.geteuid() != 0:
        raise Cancelled("needs root")
