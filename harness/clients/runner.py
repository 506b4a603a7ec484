"""Run the plan, round after round. Each client and binary gives a row, even after an error."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from harness.bench import Bench
from harness.clients.domains import try_domain, try_refused
from harness.clients.model import CLIENTS, CONTROLLED, REFUSED, ClientRow, Trial, row_of
from harness.clients.others import NotHereError, check_namespace, try_client
from harness.clients.session import Session, libvirt_session
from harness.errors import HarnessError
from harness.guest.firmware import Firmware
from harness.guest.group import make_group
from harness.guest.memory import memory_shortage
from harness.layout import Layout
from harness.teardown.meter import Meter, choose_meter

PREFIXES = {False: "qemu-harness-libvirt-", True: "qemu-harness-controlled-"}
"""Prefixes of the cgroups for a libvirtd without and with controllers. Neither is a prefix of the other."""
MEMORY_WAIT_S = 10.0
"""Seconds to wait for memory that other processes may free."""


class TrialRunner(contextlib.ExitStack):
    """Runs trials. They share a libvirtd, which is started on first use, and again after a failure."""

    def __init__(self, layout: Layout, trials: Sequence[Trial], firmware: Firmware, pages: str) -> None:
        super().__init__()
        self._layout = layout
        self._folders = firmware.folders
        self._pages = pages
        binaries = dict.fromkeys(Path(trial.binary.path) for trial in trials)
        self._needed = (*binaries, *self._folders)
        self._limit_s = max(trial.timeout_s for trial in trials)
        self._libvirt = contextlib.ExitStack()
        self._sessions: dict[bool, tuple[Session, Path | None]] = {}
        self.push(lambda *_: self._libvirt.close())
        self.version = ""

    @functools.cached_property
    def _no_namespace(self) -> str:
        return check_namespace()

    def rows(self, trial: Trial, number: int) -> tuple[ClientRow, ...]:
        """Run ``trial`` and return its rows, also after a failure. Raises LibvirtError without libvirtd."""
        reason = _shortage(trial)
        if reason:
            return _all(trial, "cancelled", reason)
        client = CLIENTS[trial.clients[0]]
        if client.is_libvirt and os.geteuid() != 0:
            return _all(trial, "cancelled", "a private libvirtd needs root")
        if client.needs_namespace and self._no_namespace:
            return _all(trial, "cancelled", self._no_namespace)
        if not client.is_libvirt:
            log = self._layout.logs / f"clients-{number}-{trial.clients[0].replace(' ', '-')}.log"
            try:
                row = try_client(trial, firmware=self._folders, pages=self._pages, log=log)
            except HarnessError as error:
                return _all(trial, "failed", error.cause)
            except (psutil.NoSuchProcess, ProcessLookupError) as error:
                return _all(trial, "failed", f"a process ended while it was inspected: {error}")
            if row.outcome != "failed":
                log.unlink(missing_ok=True)
            return (row,)
        controlled = trial.clients == (CONTROLLED,)
        try:
            session, meter = self._libvirtd(trial.backend, controlled=controlled)
        except NotHereError as problem:
            return _all(trial, "cancelled", str(problem))
        try:
            if trial.clients == (REFUSED,):
                return (try_refused(session, trial, firmware=self._folders),)
            return try_domain(session, trial, meter, firmware=self._folders)
        except (HarnessError, psutil.NoSuchProcess, ProcessLookupError) as error:
            # Its state is unknown, so the next trial gets a new libvirtd.
            self._libvirt.close()
            self._sessions.clear()
            return _all(trial, "failed", error.cause if isinstance(error, HarnessError) else str(error))

    def _libvirtd(self, backend: str, *, controlled: bool) -> tuple[Session, Meter]:
        if controlled not in self._sessions:
            name = "libvirt-cgroup" if controlled else "libvirt"
            group = self._libvirt.enter_context(make_group(PREFIXES[controlled]))
            if controlled and (group is None or not (group / "memory.usage_in_bytes").is_file()):
                raise NotHereError("the memory controller of cgroups version 1 is not available")
            session = self._libvirt.enter_context(
                libvirt_session(
                    self._layout.build / "clients" / name,
                    self._needed,
                    log=self._layout.logs / f"clients-{name}.log",
                    pages=self._pages,
                    group=group,
                    limit_s=self._limit_s,
                    controlled=controlled,
                )
            )
            self._sessions[controlled] = session, group
            self.version = session.version
        session, group = self._sessions[controlled]
        return session, choose_meter(group, backend)


def run_clients(
    bench: Bench, rounds: Sequence[Sequence[Trial]], *, on_row: Callable[[ClientRow], None]
) -> str:
    """Run all trials, and call ``on_row`` with each row. Return the version of libvirt; empty if not used.

    Raises LibvirtError if libvirtd cannot start.
    """
    reporter = bench.reporter
    trials = [trial for turn in rounds for trial in turn]
    failed = 0
    with (
        reporter.step(f"{len(trials)} trials of clients") as step,
        TrialRunner(bench.layout, trials, bench.firmware, bench.options.pages[0]) as runner,
    ):
        for number, trial in enumerate(trials, start=1):
            for row in runner.rows(trial, number):
                on_row(row)
                if row.outcome == "failed":
                    failed += 1
                    reporter.warn(
                        f"{row.client} {row.label} {row.memory_mib} MiB {row.backend}: {row.reason}"
                    )
            text = f"{trial.clients[0]} {trial.binary.label} {trial.memory_mib} MiB"
            step.update(number, len(trials), f"{text}, {failed} failed" if failed else text)
        return runner.version


def _shortage(trial: Trial) -> str:
    """Return the reason if there is no memory for the guest and a quarter of its size not freed yet."""
    deadline = time.monotonic() + MEMORY_WAIT_S
    wanted = trial.memory_mib + trial.memory_mib // 4
    while (reason := memory_shortage(wanted, accel=trial.accel)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return reason or ""


def _all(trial: Trial, outcome: str, reason: str) -> tuple[ClientRow, ...]:
    return tuple(
        row_of(trial, client, outcome=outcome, reason=" ".join(reason.split())) for client in trial.clients
    )
