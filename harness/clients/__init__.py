"""Clients stage: programs that start and end QEMU, when they are notified, and when the memory is freed.

Takes: a Bench. Gives: ClientsResults, with a ClientRow for each client, binary and round, and Claims about
them. libvirtd is a private one in its own namespaces (harness.clients.namespaces).
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
