"""Measure the clients, and write clients.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from harness.bench import Bench, Subject
from harness.clients.judge import judge
from harness.clients.model import Claim, ClientRow, Trial
from harness.clients.runner import run_clients
from harness.errors import ClientsError
from harness.jsonfile import about
from harness.layout import Layout
from harness.results import Recorder, Results, with_words

SCHEMA = 2
"""Schema 2 has subjects in ``binaries``, as the other results files."""


class ClientsResults(Results, frozen=True, kw_only=True):
    """A complete run of clients."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    seed: Annotated[int, about("seed of the order of the trials")]
    libvirt: Annotated[str, about("version of libvirt; empty if none was started")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were started")]
    claims: Annotated[tuple[Claim, ...], about("claims about the rows, with their outcomes")]
    rows: tuple[ClientRow, ...]
    """a row for each client, binary and round, in the order of the run"""


def clients_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "clients.json"


def record_clients(bench: Bench, rounds: Sequence[Sequence[Trial]], *, command: str) -> ClientsResults:
    """Run the trials and write clients.json, also during the run. Raises the errors of run_clients."""
    version = ""

    def make(shared: dict[str, Any], _: bool) -> ClientsResults:
        return ClientsResults(
            **shared,
            seed=bench.seed,
            libvirt=version,
            binaries=bench.subjects,
            claims=judge(recorder.rows),
            rows=tuple(recorder.rows),
        )

    recorder = Recorder[ClientRow, ClientsResults](
        clients_file(bench.layout),
        bench.options,
        command=with_words(command, f"-Dseed={bench.seed}"),
        make=make,
    )
    with recorder:
        version = run_clients(bench, rounds, on_row=recorder.take)
        return recorder.finish()


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
