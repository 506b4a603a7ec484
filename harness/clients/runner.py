"""Run the plan, round after round: a row for each client and binary, whatever happens."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from harness.clients.domains import try_domain, try_refused
from harness.clients.model import CLIENTS, CONTROLLED, REFUSED, ClientRow, Trial, row_of
from harness.clients.others import NotHereError, try_client, why_no_namespace
from harness.clients.session import Session, libvirt_session
from harness.errors import HarnessError
from harness.guest import memory_shortage
from harness.guest.group import make_group
from harness.teardown.meter import Meter, choose_meter

if TYPE_CHECKING:
    from harness.bench import Bench
    from harness.guest import Firmware
    from harness.layout import Layout

PREFIXES = {False: "qemu-harness-libvirt-", True: "qemu-harness-controlled-"}
"""Of the cgroups of a libvirtd without controllers, and of one with; neither is the other's beginning."""
MEMORY_WAIT_S = 10.0
"""How long to wait for memory that another process may be about to give back."""


class TrialRunner(contextlib.ExitStack):
    """What trials share: the libvirtd, started when the first one needs it, and anew after it failed."""

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
        return why_no_namespace()

    def rows(self, trial: Trial, number: int) -> tuple[ClientRow, ...]:
        """The rows of ``trial``; its faults are in them. Raises LibvirtError when no libvirtd can be had."""
        reason = _why_not(trial)
        if reason:
            return _all(trial, "cancelled", reason)
        client = CLIENTS[trial.clients[0]]
        if client.is_libvirt and os.geteuid() != 0:
            return _all(trial, "cancelled", "a libvirtd of one's own needs root")
        if client.needs_namespace and self._no_namespace:
            return _all(trial, "cancelled", self._no_namespace)
        if not client.is_libvirt:
            log = self._layout.logs / f"clients-{number}-{trial.clients[0].replace(' ', '-')}.log"
            try:
                row = try_client(trial, firmware=self._folders, pages=self._pages, log=log)
            except HarnessError as error:
                return _all(trial, "failed", error.cause)
            except (psutil.NoSuchProcess, ProcessLookupError) as error:
                return _all(trial, "failed", f"a process went while it was looked at: {error}")
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
            # Whatever state it is in, the next trial gets a new one.
            self._libvirt.close()
            self._sessions.clear()
            return _all(trial, "failed", error.cause if isinstance(error, HarnessError) else str(error))

    def _libvirtd(self, backend: str, *, controlled: bool) -> tuple[Session, Meter]:
        if controlled not in self._sessions:
            name = "libvirt-cgroup" if controlled else "libvirt"
            group = self._libvirt.enter_context(make_group(PREFIXES[controlled]))
            if controlled and (group is None or not (group / "memory.usage_in_bytes").is_file()):
                raise NotHereError("no memory controller of cgroups version 1 can be used here")
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
    """Try every trial; ``on_row`` gets each row as it comes in. The version of libvirt, if any was used.

    Raises LibvirtError when there is no libvirtd to be had, and what stops the run.
    """
    reporter = bench.reporter
    trials = [trial for turn in rounds for trial in turn]
    done = failed = 0
    with (
        reporter.step(f"{len(trials)} trials of clients") as step,
        TrialRunner(bench.layout, trials, bench.firmware, bench.options.pages[0]) as tried,
    ):
        for number, trial in enumerate(trials, start=1):
            for row in tried.rows(trial, number):
                on_row(row)
                if row.outcome == "failed":
                    failed += 1
                    reporter.warn(
                        f"{row.client} {row.label} {row.memory_mib} MiB {row.backend}: {row.reason}"
                    )
            done += 1
            text = f"{trial.clients[0]} {trial.binary.label} {trial.memory_mib} MiB"
            step.update(done, len(trials), f"{text}, {failed} failed" if failed else text)
        return tried.version


def _why_not(trial: Trial) -> str:
    """Why the guest has no room beside a quarter of its memory on its way back; empty when it has."""
    deadline = time.monotonic() + MEMORY_WAIT_S
    wanted = trial.memory_mib + trial.memory_mib // 4
    while (reason := memory_shortage(wanted, accel=trial.accel)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return reason or ""


def _all(trial: Trial, outcome: str, reason: str) -> tuple[ClientRow, ...]:
    return tuple(
        row_of(trial, client, outcome=outcome, reason=" ".join(reason.split())) for client in trial.clients
    )
