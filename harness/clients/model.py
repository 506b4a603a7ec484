"""The plan of a run (Client, Trial) and its results (ClientRow, Claim).

ClientRow and Claim are part of ``build/results/clients.json``; docs/results.md is generated from them.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from harness.bench import Subject
from harness.errors import OptionError
from harness.jsonfile import about


@dataclass(frozen=True, kw_only=True)
class Client:
    """A program that starts QEMU, ends it, and is notified of its end.

    ``does`` describes the trigger, ``notified`` the event that notifies the client. ``waits``: the event
    comes after the exit of the last process, so the client does not benefit from asynchronous teardown.
    ``early``: it comes before QEMU's exit, with and without the option. ``alone``: QEMU's exit does not wait
    for the helper. It does, for example, if QEMU is process 1 of a PID namespace.
    """

    name: str
    group: str
    does: str
    notified: str
    waits: bool = False
    early: bool = False
    alone: bool = True

    @property
    def is_libvirt(self) -> bool:
        """Whether the client needs a libvirtd."""
        return self.name.startswith("libvirt")

    @property
    def needs_namespace(self) -> bool:
        """Whether the client needs bubblewrap."""
        return self.is_libvirt or self.group == "bwrap"


CLIENTS = {
    name: Client(name=name, **fields)
    for name, fields in tomllib.loads(
        Path(__file__).with_name("clients.toml").read_text(encoding="utf-8")
    ).items()
}
"""Clients by name; docs/clients.md describes each."""

REFUSED, CONTROLLED = "libvirt refused", "libvirt cgroup"
"""The client whose guest must not start, and the client whose libvirt has a cgroup controller."""

GROUPS = tuple(dict.fromkeys(client.group for client in CLIENTS.values()))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One start and end of QEMU. It gives a row for each of ``clients``, which act in this order."""

    clients: tuple[str, ...]
    binary: Subject
    memory_mib: int
    backend: str
    accel: str
    turn: int
    timeout_s: float


class ClientRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of one client. Times are seconds from the trigger."""

    client: Annotated[str, about("the client and what it does (docs/clients.md)")]
    variant: Annotated[str, about("name of the binary")]
    option: Annotated[bool, about("whether it ran with asynchronous teardown")]
    label: Annotated[str, about("variant, marked if it is no reference and ran without its option")]
    target: Annotated[str, about("guest architecture")]
    memory_mib: Annotated[int, about("guest memory in MiB, fully allocated")]
    backend: Annotated[str, about("ram: private anonymous memory; memfd: shared")]
    accel: Annotated[str, about("kvm or tcg; the vCPUs are stopped except for power-off")]
    round: Annotated[int, about("number of the round, from 1")]
    outcome: Annotated[str, about("ok, failed, or cancelled: could not run on this machine")] = "ok"
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""
    helpers: Annotated[int, about("other processes that shared QEMU's memory before the end")] = 0
    exit_s: Annotated[float | None, about("exit of QEMU itself: its parent's wait can return")] = None
    told_s: Annotated[float | None, about("notification of the client that the guest ended")] = None
    back_s: float | None = None
    """exit of the last process that shared the memory: the memory is freed"""
    held_mib: float | None = None
    """MiB not yet freed at the notification of the client; null: not measured"""
    moments: dict[str, float] = {}
    """further times: event_s (libvirt's event STOPPED), create_s (duration of virDomainCreate of the same
    name), restart_s (from the trigger until it returns), shutdown_s (QMP's event)"""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement of clients, judged on all rows that it concerns."""

    name: Annotated[str, about("the claim in words")]
    outcome: Annotated[str, about("pass, fail, or cancel: there are no rows to judge")]
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""


def row_of(trial: Trial, client: str, **more: object) -> ClientRow:
    """Return a row of ``trial`` for ``client``."""
    binary = trial.binary
    return ClientRow(
        client=client,
        variant=binary.variant,
        option=bool(binary.options),
        label=binary.label,
        target=binary.target,
        memory_mib=trial.memory_mib,
        backend=trial.backend,
        accel=trial.accel,
        round=trial.turn,
        **more,  # type: ignore[arg-type]
    )


def parse_groups(text: str) -> tuple[str, ...]:
    """Parse a list of groups such as ``libvirt,qmp``, sorted as in CLIENTS. Raises OptionError."""
    requested = [word.strip() for word in text.split(",") if word.strip()]
    for word in requested:
        if word not in GROUPS:
            raise OptionError(f"--clients: there is no client {word!r}", f"choose from: {' '.join(GROUPS)}")
    if not requested:
        raise OptionError("--clients: the list is empty", f"choose from: {' '.join(GROUPS)}")
    return tuple(group for group in GROUPS if group in requested)
