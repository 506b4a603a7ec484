"""The results of a clients run as a table."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from harness.clients.judge import median_of, place
from harness.clients.model import CLIENTS
from harness.clients.record import ClientsResults
from harness.figures import NONE, counted, format_seconds
from harness.options import format_size
from harness.report.terminal import heading, plain_table, stopped

_STYLES = {"pass": "green", "fail": "bold red", "cancel": "yellow"}
_COLUMNS = ("exit_s", "told_s", "back_s", "restart_s")


def render_clients(results: ClientsResults) -> RenderableType:
    """Render medians of each client and binary: exit, notification, release of memory, restart."""
    table = plain_table(
        ("client", "memory", "binary"), ("QEMU's exit", "notified", "memory freed", "held MiB", "restart")
    )
    for cells in _lines(results):
        table.add_row(*cells)
    rounds = max((row.round for row in results.rows), default=0)
    libvirt = f", libvirt {results.libvirt}" if results.libvirt else ""
    accels = ", ".join(dict.fromkeys(row.accel for row in results.rows))
    title = f"Clients, medians of {counted(rounds, 'round')}: {accels}{libvirt}"
    return Group(
        *heading(title, results), table, Text(""), *_claims(results), *_remarks(results), *stopped(results)
    )


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
            exit_, notified, freed, restart = (format_seconds(median_of(good, name)) for name in _COLUMNS)
            held = median_of(good, "held_mib")
            yield (*lead, exit_, notified, freed, NONE if held is None else f"{held:.0f}", restart)


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
