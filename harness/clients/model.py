"""What is tried (Client, Trial) and what came out (ClientRow, Claim).

ClientRow and Claim are those of ``build/results/clients.json``; docs/results.md is generated from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from harness.bench import Subject
from harness.errors import OptionError
from harness.jsonfile import about


@dataclass(frozen=True, kw_only=True)
class Client:
    """Somebody who starts QEMU, ends it, and is told that it has ended.

    ``told`` is the moment at which the client holds that it is gone. ``waits``: that is only after the last
    process has gone, so asynchronous teardown gives this client nothing. ``early``: that is before QEMU
    itself has ended, with the option or without. ``alone``: QEMU's exit is its own affair; where it is not,
    as in a PID namespace that it leads, it takes as long as the teardown.
    """

    name: str
    group: str
    does: str
    told: str
    waits: bool = False
    early: bool = False
    alone: bool = True

    @property
    def is_libvirt(self) -> bool:
        """Whether it needs a libvirtd."""
        return self.name.startswith("libvirt")

    @property
    def needs_namespace(self) -> bool:
        """Whether bubblewrap has to work for it."""
        return self.is_libvirt or self.group == "bwrap"


CLIENTS = {
    client.name: client
    for client in (
        Client(
            name="libvirt destroy",
            group="libvirt",
            does="virDomainDestroy, then at once virDomainCreate of the same name",
            told="virDomainDestroy returns",
        ),
        Client(
            name="libvirt power-off",
            group="libvirt",
            does="the guest turns its machine off",
            told="libvirt's event STOPPED",
        ),
        Client(
            name="libvirt refused",
            group="libvirt",
            does="virDomainCreate with the option, of a QEMU without it",
            told="virDomainCreate fails with QEMU's message",
            alone=False,
        ),
        Client(
            name="libvirt cgroup",
            group="libvirt-cgroup",
            does="virDomainDestroy by a libvirtd that puts each domain into a cgroup",
            told="virDomainDestroy returns",
        ),
        Client(
            name="qmp quit",
            group="qmp",
            does="the command quit",
            told="end of file on the monitor's socket",
            early=True,
        ),
        Client(
            name="qmp kill",
            group="qmp",
            does="SIGKILL",
            told="end of file on the monitor's socket",
        ),
        Client(
            name="cgroup main",
            group="cgroup",
            does="SIGTERM to QEMU alone",
            told="cgroup.events contains populated 0",
            waits=True,
        ),
        Client(
            name="cgroup mixed",
            group="cgroup",
            does="SIGTERM to QEMU, then SIGKILL to the remaining processes, as KillMode=mixed",
            told="cgroup.events contains populated 0",
            waits=True,
        ),
        Client(
            name="cgroup all",
            group="cgroup",
            does="SIGTERM to each process of the cgroup, as KillMode=control-group",
            told="cgroup.events contains populated 0",
            waits=True,
        ),
        Client(
            name="cgroup kill",
            group="cgroup",
            does="1 to cgroup.kill, which is SIGKILL to each process of the cgroup",
            told="cgroup.events contains populated 0",
            waits=True,
            alone=False,
        ),
        Client(
            name="shell",
            group="shell",
            does="Ctrl-Z, fg, then kill %1 of a job of bash",
            told="wait %1 returns, and the shell ends",
        ),
        Client(
            name="pipeline",
            group="shell",
            does="SIGTERM to a QEMU whose output goes to cat, in a pipeline",
            told="the pipeline ends, and the shell",
        ),
        Client(
            name="timeout",
            group="timeout",
            does="timeout -k 30 expires",
            told="timeout ends",
        ),
        Client(
            name="bwrap",
            group="bwrap",
            does="SIGTERM to QEMU below bwrap --unshare-pid",
            told="bwrap ends",
        ),
        Client(
            name="bwrap pid 1",
            group="bwrap",
            does="SIGTERM to QEMU as process 1 of bwrap --unshare-pid --as-pid-1",
            told="bwrap ends",
            waits=True,
            alone=False,
        ),
        Client(
            name="bwrap kill",
            group="bwrap",
            does="SIGKILL to bwrap --unshare-pid --die-with-parent itself",
            told="bwrap ends",
            early=True,
            alone=False,
        ),
    )
}
"""By name; docs/clients.md describes each."""

REFUSED, CONTROLLED = "libvirt refused", "libvirt cgroup"
"""The one client whose guest is not to start; the one whose libvirt has a cgroup controller."""

GROUPS = tuple(dict.fromkeys(client.group for client in CLIENTS.values()))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One start and end. ``clients`` are those that it gives a row for, in the order in which they act."""

    clients: tuple[str, ...]
    binary: Subject
    memory_mib: int
    backend: str
    accel: str
    turn: int
    timeout_s: float


class ClientRow(msgspec.Struct, frozen=True, kw_only=True):
    """One client, once. Durations are seconds from what ended the guest."""

    client: Annotated[str, about("the client and what it does (docs/clients.md)")]
    variant: Annotated[str, about("name of the binary")]
    option: Annotated[bool, about("whether it ran with asynchronous teardown")]
    label: Annotated[str, about("variant, marked if the binary has the option but ran without it")]
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
    back_s: Annotated[
        float | None, about("exit of the last process that shared the memory: the memory is freed")
    ] = None
    held_mib: Annotated[
        float | None, about("MiB not yet freed at the notification of the client; null: not measured")
    ] = None
    moments: Annotated[
        dict[str, float],
        about(
            "further times: event_s (libvirt's event STOPPED), create_s (duration of virDomainCreate of the "
            "same name), restart_s (from the trigger until it returns), shutdown_s (QMP's event)"
        ),
    ] = {}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must hold for the clients' sake, judged on all rows that it concerns."""

    name: Annotated[str, about("the claim in words")]
    outcome: Annotated[str, about("pass, fail, or cancel: there are no rows to judge")]
    reason: Annotated[str, about("reason of the failure or cancellation, one line")] = ""


def row_of(trial: Trial, client: str, **more: object) -> ClientRow:
    """A row of ``trial`` for ``client``."""
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
    """Groups of clients from a list such as ``libvirt,qmp``, in the order of CLIENTS. Raises OptionError."""
    asked = [word.strip() for word in text.split(",") if word.strip()]
    for word in asked:
        if word not in GROUPS:
            raise OptionError(f"--clients: there is no client {word!r}", f"choose from: {' '.join(GROUPS)}")
    if not asked:
        raise OptionError("--clients: the list is empty", f"choose from: {' '.join(GROUPS)}")
    return tuple(group for group in GROUPS if group in asked)
