"""The matrix of a run, and the order in which its cells are visited."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import OptionError
from harness.guest import LINUX, Accel, Boot, Firmware
from harness.teardown.model import Cell

if TYPE_CHECKING:
    from harness.bench import Subject
    from harness.options import Options

Block = tuple[Cell, ...]
"""Cells that differ in nothing but the variant, in the order in which they are run: one test of avocado's."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A run: what is visited in each round. Cells have no round and no index yet."""

    blocks: tuple[Block, ...]
    seed: int
    small: tuple[Cell, ...] = ()
    """The floor and the measuring overhead, once a round."""

    def warm_up(self) -> tuple[Block, ...]:
        """Round 0: everything but the larger sizes, once. It fills caches, and its samples are discarded."""
        guests = [cell for block in self.blocks for cell in block]
        smallest = min(cell.memory_mib for cell in guests)
        first = [
            block for block in self.blocks if (block[0].memory_mib, block[0].kind) == (smallest, "teardown")
        ]
        return dataclasses.replace(self, blocks=tuple(first)).round(0)

    def round(self, turn: int, first_index: int = 1) -> tuple[Block, ...]:
        """Round ``turn``, from 1 on, indexed from ``first_index`` on.

        Blocks come in an order drawn for this round, and so do the variants within each block: drift of the
        machine and a neighbour's after-effects hit all alike. The same seed gives the same order.
        """
        draw = random.Random(f"{self.seed}/{turn}")  # noqa: S311 - an order, not a secret
        blocks = [*self.blocks, *((cell,) for cell in self.small)]
        draw.shuffle(blocks)
        index, made = first_index, []
        for block in blocks:
            cells = list(block)
            draw.shuffle(cells)
            made.append(
                tuple(
                    msgspec.structs.replace(cell, round=turn, index=index + offset)
                    for offset, cell in enumerate(cells)
                )
            )
            index += len(cells)
        return tuple(made)

    def with_floor(self, program: Path, threads: int, timeout_s: float) -> Design:
        """The same with the floor of QEMUs of so many threads, and the overhead (guest/programs/floor.c)."""
        return dataclasses.replace(
            self,
            small=tuple(
                Cell(
                    kind=kind,
                    variant=kind,
                    target="none",
                    host="native",
                    memory_mib=0,
                    backend="none",
                    pages="4k",
                    accel="none",
                    payload="none",
                    trigger="sigkill",
                    round=0,
                    index=0,
                    binary=str(program),
                    firmware=(),
                    options=(),
                    helper=False,
                    timeout_s=timeout_s,
                    threads=count,
                )
                for kind, count in (("floor", max(1, threads)), ("overhead", 1))
            ),
        )


def design(
    options: Options,
    subjects: Sequence[Subject],
    accels: Mapping[tuple[str, str], Accel],
    firmware: Firmware,
    *,
    boots: Mapping[str, Boot] | None = None,
    seed: int = 0,
) -> Design:
    """The matrix of ``options``; ``subjects`` that it has nothing for are left out.

    ``accels`` are by target and payload; ``boots``, by target, are what payloads that run Linux boot. With
    backend hugetlb there is one kind of pages, whatever -Dpages says. Raises OptionError: nothing to run.
    """
    boots = boots or {}
    blocks = []
    for target, host, memory, (backend, pages), payload, trigger in itertools.product(
        options.targets,
        options.hosts,
        options.memory_mib,
        _mappings(options),
        options.payload,
        options.triggers,
    ):
        boot = boots[target] if payload in LINUX else None
        here = [subject for subject in subjects if (subject.target, subject.host) == (target, host)]
        for kind in _kinds(options, memory):
            block = tuple(
                Cell(
                    kind=kind,
                    variant=subject.variant,
                    target=target,
                    host=host,
                    memory_mib=memory,
                    backend=backend,
                    pages=pages,
                    accel=accels[target, payload].name,
                    payload=payload,
                    trigger=trigger,
                    round=0,
                    index=0,
                    binary=subject.path,
                    firmware=tuple(str(folder) for folder in firmware.folders),
                    options=subject.options,
                    kernel=str(boot.kernel) if boot else "",
                    initrd=str(boot.initrd) if boot else "",
                    helper=bool(subject.options),
                    timeout_s=float(options.timeout),
                )
                for subject in here
            )
            if block:
                blocks.append(block)
    if not blocks:
        raise OptionError("there is nothing to time: no binary for these targets", "run nox -s build first")
    return Design(blocks=tuple(blocks), seed=seed)


def _mappings(options: Options) -> list[tuple[str, str]]:
    """Backend and pages, each pair once."""
    pairs = itertools.product(options.backends, options.pages)
    return list(
        dict.fromkeys((backend, "hugetlb" if backend == "hugetlb" else pages) for backend, pages in pairs)
    )


def _kinds(options: Options, memory_mib: int) -> tuple[str, ...]:
    restarts = options.restart == "all" or (
        options.restart == "largest" and memory_mib == max(options.memory_mib)
    )
    return ("teardown", "restart") if restarts else ("teardown",)
