"""Clients stage: those who start and end QEMU, what each is told, and when the memory is back.

Takes: binaries and options. Gives: a ClientRow for each client, binary and round, and Claims judged on them.
The libvirtd is a private one, in namespaces of its own (harness.clients.namespaces).
"""

from harness.clients.judge import judge
from harness.clients.model import CLIENTS, GROUPS, Claim, ClientRow, Trial, parse_groups
from harness.clients.plan import check_backends, plan_round, with_and_without
from harness.clients.runner import run_clients

__all__ = [
    "CLIENTS",
    "GROUPS",
    "Claim",
    "ClientRow",
    "Trial",
    "check_backends",
    "judge",
    "parse_groups",
    "plan_round",
    "run_clients",
    "with_and_without",
]
