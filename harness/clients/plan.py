"""The trials of each round: clients, binaries, and their order. This module does no I/O."""

import itertools
import random
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from harness.bench import Subject
from harness.clients.domain import SOURCES
from harness.clients.model import CLIENTS, CONTROLLED, REFUSED, Trial
from harness.errors import OptionError

SIZES = (1024, 4096, 12288)
BACKENDS = ("ram", "memfd")
ROUNDS = 3
OTHERS_MIB = 4096
"""Clients other than libvirt get the largest size that does not exceed this."""
OTHERS_BACKEND = "ram"


def plan_round(
    turn: int,
    binaries: Sequence[Subject],
    groups: Sequence[str],
    *,
    memory_mib: Sequence[int],
    backends: Sequence[str],
    accel_of: Callable[[str], str],
    seed: int,
    timeout_s: float,
) -> tuple[Trial, ...]:
    """Return the trials of round ``turn``, from 1, in a random order of blocks, and of binaries in a block.

    A block has one trial for each binary, so that compared trials run in the same machine state. ``accel_of``
    returns the accelerator of a target.
    """
    draw = random.Random(f"{seed}/{turn}")  # noqa: S311 - an order, not a secret
    places: list[tuple[tuple[str, ...], int, str, str]] = []
    for target in dict.fromkeys(binary.target for binary in binaries):
        domains = (("libvirt", ("libvirt destroy", "libvirt power-off")), ("libvirt-cgroup", (CONTROLLED,)))
        places += [
            (served, size, backend, target)
            for group, served in domains
            if group in groups
            for size, backend in itertools.product(memory_mib, backends)
        ]
        places += [
            ((name,), others_mib(memory_mib), OTHERS_BACKEND, target)
            for name, client in CLIENTS.items()
            if client.group in groups and not client.is_libvirt
        ]
    draw.shuffle(places)

    def trial(clients: tuple[str, ...], binary: Subject, size: int, backend: str) -> Trial:
        return Trial(
            clients=clients,
            binary=binary,
            memory_mib=size,
            backend=backend,
            accel=accel_of(binary.target),
            turn=turn,
            timeout_s=timeout_s,
        )

    trials: list[Trial] = []
    if turn == 1 and "libvirt" in groups:
        trials += [trial((REFUSED,), one, min(memory_mib), OTHERS_BACKEND) for one in refused(binaries)]
    for clients, size, backend, target in places:
        mine = [binary for binary in binaries if binary.target == target]
        draw.shuffle(mine)
        trials += [trial(clients, binary, size, backend) for binary in mine]
    return tuple(trials)


def others_mib(sizes: Sequence[int]) -> int:
    """Return the size of guests for clients other than libvirt."""
    return max((size for size in sizes if size <= OTHERS_MIB), default=min(sizes))


def with_and_without(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Return each subject. One with the option is preceded by itself without it, unless that is a subject."""
    without = {subject.path for subject in subjects if not subject.options}
    both = []
    for subject in subjects:
        if subject.options and subject.path not in without:
            both.append(replace(subject, options=(), able=True))
        both.append(subject)
    return tuple(both)


def refused(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Return each subject that lacks the option, with the arguments that enable it in another subject."""
    words = next((subject.options for subject in subjects if subject.options), ())
    return tuple(replace(one, options=words) for one in subjects if words and not one.able)


def check_backends(backends: Sequence[str]) -> None:
    """Raise OptionError for a memory backend that clients do not support."""
    for backend in backends:
        if backend not in SOURCES:
            raise OptionError(
                f"-Dbackends={backend} is not supported for clients", f"choose from: {' '.join(SOURCES)}"
            )
