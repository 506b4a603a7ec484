"""``build/results/clients.json``: recorded, rendered as a table, and judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.clients import CLIENTS, Claim, ClientRow, ServedBinary, Trial, judge, run_clients
from harness.clients.judge import median_of, place
from harness.errors import ClientsError
from harness.guest import Firmware
from harness.jsonfile import about, utc_now, write_json
from harness.layout import Layout
from harness.options import Options, format_size
from harness.progress import Reporter
from harness.report.command import with_words
from harness.report.figures import NONE, format_seconds
from harness.report.host import host_facts
from harness.report.model import HostFacts

SCHEMA = 1
_STYLES = {"pass": "green", "fail": "bold red", "cancel": "yellow"}
_COLUMNS = ("exit_s", "told_s", "back_s", "restart_s")


class ClientsResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete run of clients."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run, including the seed")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    seed: Annotated[int, about("seed of the order of the trials")]
    host: Annotated[HostFacts, about("the machine")]
    libvirt: Annotated[str, about("version of libvirt; empty if none was started")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    binaries: Annotated[tuple[ServedBinary, ...], about("the binaries that were started")]
    claims: Annotated[tuple[Claim, ...], about("claims about the rows, with their outcomes")]
    rows: Annotated[
        tuple[ClientRow, ...], about("a row for each client, binary and round, in the order of the run")
    ]


def clients_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "clients.json"


def record_clients(  # noqa: PLR0917 - the stages' products
    layout: Layout,
    options: Options,
    binaries: Sequence[ServedBinary],
    rounds: Sequence[Sequence[Trial]],
    firmware: Firmware,
    reporter: Reporter,
    *,
    seed: int,
    pages: str,
    command: str,
) -> ClientsResults:
    """Run the trials and write clients.json, even if the run is stopped. Raises the errors of run_clients."""
    started, host, rows = utc_now(), host_facts(), list[ClientRow]()

    def keep(*, complete: bool, libvirt: str = "") -> ClientsResults:
        results = ClientsResults(
            command=with_words(command, f"-Dseed={seed}"),
            started=started,
            finished=utc_now(),
            complete=complete,
            seed=seed,
            host=host,
            libvirt=libvirt,
            options=options.values(),
            binaries=tuple(binaries),
            claims=judge(rows),
            rows=tuple(rows),
        )
        write_json(clients_file(layout), results)
        return results

    try:
        version = run_clients(layout, rounds, firmware, reporter, pages=pages, on_row=rows.append)
    except BaseException:
        if rows:
            keep(complete=False)
        raise
    return keep(complete=True, libvirt=version)


def check_clients(layout: Layout, results: ClientsResults) -> None:
    """Raise ClientsError if a claim does not hold, with a line for each such claim."""
    failed = [claim for claim in results.claims if claim.outcome == "fail"]
    if failed:
        raise ClientsError(
            f"{len(failed)} of {len(results.claims)} claims do not hold",
            f"see the rows in {clients_file(layout)}, and the logs below {layout.logs}",
            details=tuple(f"{claim.name}: {claim.reason}" for claim in failed),
            log=clients_file(layout),
        )


def render_clients(results: ClientsResults) -> RenderableType:
    """Render medians of each client and binary: exit, notification, release of memory, restart."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("client", "memory", "binary"):
        table.add_column(name, no_wrap=True)
    for name in ("QEMU's exit", "notified", "memory back", "held MiB", "restart"):
        table.add_column(name, justify="right", no_wrap=True)
    for cells in _lines(results):
        table.add_row(*cells)
    return Group(*_heading(results), table, Text(""), *_claims(results), *_remarks(results))


def _heading(results: ClientsResults) -> Iterable[RenderableType]:
    host = results.host
    rounds = max((row.round for row in results.rows), default=0)
    libvirt = f", libvirt {results.libvirt}" if results.libvirt else ""
    accels = ", ".join(dict.fromkeys(row.accel for row in results.rows))
    yield Text(f"Clients, medians of {rounds} round{'s' if rounds != 1 else ''}: {accels}{libvirt}")
    yield Text(
        f"{host.distribution}, Linux {host.kernel}, {host.cpus} CPUs, {host.memory_mib // 1024} GiB",
        style="dim",
    )
    yield Text("")


def _lines(results: ClientsResults) -> Iterable[tuple[str, ...]]:
    names, labels = list(CLIENTS), list(dict.fromkeys(binary.label for binary in results.binaries))
    targets = {row.target for row in results.rows}
    order = sorted(
        {place(row) for row in results.rows},
        key=lambda key: (names.index(key[0]), key[1], key[2] != "ram", key[3]),
    )
    for key in order:
        client, target, backend, memory = key
        for label in labels:
            mine = [row for row in results.rows if place(row) == key and row.label == label]
            if not mine:
                continue
            good = [row for row in mine if row.outcome == "ok"]
            words = f" {target.removesuffix('-softmmu')}" if len(targets) > 1 else ""
            lead = (f"{client}{words}", f"{format_size(memory)} {backend}", label)
            if not good:
                yield (*lead, mine[0].outcome, NONE, NONE, NONE, NONE)
                continue
            exit_, told, back, restart = (format_seconds(median_of(good, name)) for name in _COLUMNS)
            held = median_of(good, "held_mib")
            yield (*lead, exit_, told, back, NONE if held is None else f"{held:.0f}", restart)


def _claims(results: ClientsResults) -> Iterable[RenderableType]:
    for claim in results.claims:
        reason = f": {claim.reason}" if claim.reason else ""
        yield Text(f"{claim.outcome}: {claim.name}{reason}", style=_STYLES[claim.outcome])


def _remarks(results: ClientsResults) -> Iterable[RenderableType]:
    reasons = dict.fromkeys(
        (row.client, row.outcome, row.reason) for row in results.rows if row.outcome != "ok"
    )
    for client, outcome, reason in reasons:
        yield Text(f"{client} {outcome}: {reason}", style="yellow")
    if not results.complete:
        yield Text("The run was stopped before its end.", style="yellow")
