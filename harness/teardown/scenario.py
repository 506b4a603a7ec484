"""The matrix of a run, and the order in which its cells are visited."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import OptionError
from harness.guest import LINUX, Accel, Boot, Firmware
from harness.teardown.model import Cell, Subject

if TYPE_CHECKING:
    from harness.options import Options


def plan(
    options: Options,
    subjects: Sequence[Subject],
    accels: Mapping[tuple[str, str], Accel],
    firmware: Firmware,
    *,
    boots: Mapping[str, Boot] | None = None,
    seed: int | None = None,
) -> tuple[Cell, ...]:
    """Every cell of the matrix, once a round, in the order in which they are to be run.

    ``accels`` are by target and payload; ``boots``, by target, are what payloads that run Linux boot.

    Rounds come one after another, so that a run that is stopped early has some of everything. Within a round
    the variants of one (target, memory, backend, pages, payload, trigger) follow each other directly, and
    their order turns round from one round to the next (A B, B A, …), so that slow drift of the machine and
    a neighbour's after-effects hit all alike. With ``seed`` the order of places within each round is
    shuffled, the same way for the same seed. Raises OptionError when there is nothing to run.
    """
    places = list(
        itertools.product(
            options.targets,
            options.hosts,
            options.memory_mib,
            options.backends,
            options.pages,
            options.payload,
            options.triggers,
        )
    )
    shuffler = random.Random(seed)  # noqa: S311 - an order, not a secret
    cells: list[Cell] = []
    for turn in range(1, options.rounds + 1):
        if seed is not None:
            shuffler.shuffle(places)
        for number, (target, host, memory, backend, pages, payload, trigger) in enumerate(places):
            boot = (boots or {})[target] if payload in LINUX else None
            here = [subject for subject in subjects if (subject.target, subject.host) == (target, host)]
            if (turn + number) % 2 == 0:
                here.reverse()
            cells += [
                Cell(
                    variant=subject.variant,
                    target=target,
                    host=host,
                    memory_mib=memory,
                    backend=backend,
                    pages=pages,
                    accel=accels[target, payload].name,
                    payload=payload,
                    trigger=trigger,
                    round=turn,
                    index=len(cells) + offset,
                    binary=subject.path,
                    firmware=tuple(str(folder) for folder in firmware.folders),
                    options=subject.options,
                    kernel=str(boot.kernel) if boot else "",
                    initrd=str(boot.initrd) if boot else "",
                    helper=bool(subject.options),
                    timeout_s=float(options.timeout),
                )
                for offset, subject in enumerate(here, start=1)
            ]
    if not cells:
        raise OptionError("there is nothing to time: no binary for these targets", "run nox -s build first")
    return tuple(cells)
