"""The matrix of a run, and the order of its cells."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.bench import Subject
from harness.errors import OptionError
from harness.guest.accel import Accel
from harness.guest.boot import Boot
from harness.guest.firmware import Firmware
from harness.guest.model import LINUX
from harness.options import Options
from harness.teardown.model import Cell, CellKey, Sample, cell_key

Block = tuple[Cell, ...]
"""Cells that differ only in the variant, in their order in the run. One avocado test runs a block, once or a
few times."""
AT_ONCE = 3
"""Largest number of visits of a cell in one avocado test. A test takes a second more than its guests."""
SMALL = 3
"""Samples of floor and overhead in each round of an adaptive run, all in one avocado test."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """The cells of each round of a run. Their round and index are not set yet."""

    blocks: tuple[Block, ...]
    seed: int
    small: tuple[Cell, ...] = ()
    """The floor and the measuring overhead, once in each round."""

    def warm_up(self) -> tuple[Block, ...]:
        """Return round 0: all cells of the smallest size. It fills caches; its samples are discarded."""
        guests = [cell for block in self.blocks for cell in block]
        smallest = min(cell.memory_mib for cell in guests)
        first = [
            block for block in self.blocks if (block[0].memory_mib, block[0].kind) == (smallest, "teardown")
        ]
        return dataclasses.replace(self, blocks=tuple(first)).round(0)

    def round(
        self, turn: int, first_index: int = 1, visits: Mapping[CellKey, int] | None = None
    ) -> tuple[Block, ...]:
        """Return round ``turn``, from 1, with indexes from ``first_index``.

        ``visits`` has the number of samples of each variant, by cell; without it, each cell gets one. The
        order of the blocks, and of the variants within each visit, is random in each round. Drift of the
        machine and effects of the previous guest are therefore the same for all. The seed fixes the order.
        """
        draw = random.Random(f"{self.seed}/{turn}")  # noqa: S311 - an order, not a secret
        blocks = [[block] * count for block in self.blocks for count in _portions(block, visits)]
        if visits is None:
            blocks += [[(cell,)] for cell in self.small]
        elif self.small:
            blocks.append([self.small] * SMALL)
        draw.shuffle(blocks)
        index, made = first_index, []
        for repeated in blocks:
            cells = [cell for block in repeated for cell in draw.sample(block, len(block))]
            made.append(
                tuple(
                    msgspec.structs.replace(cell, round=turn, index=index + offset)
                    for offset, cell in enumerate(cells)
                )
            )
            index += len(cells)
        return tuple(made)

    def never(self, samples: Sequence[Sample]) -> tuple[Cell, ...]:
        """Return the cells of the blocks without any of ``samples``, numbered after them."""
        seen = {cell_key(sample) for sample in samples}
        last = max(samples, key=lambda sample: sample.index)
        left = [cell for block in self.blocks for cell in block if cell_key(cell) not in seen]
        return tuple(
            msgspec.structs.replace(cell, round=last.round, index=index)
            for index, cell in enumerate(left, last.index + 1)
        )

    def with_floor(self, program: Path, threads: int, timeout_s: float) -> Design:
        """Add a floor of ``threads`` threads, and the measuring overhead (guest/programs/floor.c)."""
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
    """Return the matrix of ``options``, without ``subjects`` of other targets and hosts.

    The keys of ``accels`` are target and payload. ``boots``, by target, are for payloads that run Linux. The
    backend hugetlb ignores -Dpages. Raises OptionError if the matrix is empty.
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


def _portions(block: Block, visits: Mapping[CellKey, int] | None) -> list[int]:
    """Return the number of visits of ``block`` in each of its avocado tests."""
    count = 1 if visits is None else visits.get(cell_key(block[0]), 0)
    return [min(AT_ONCE, count - begin) for begin in range(0, count, AT_ONCE)]


def _mappings(options: Options) -> list[tuple[str, str]]:
    """Return the pairs of backend and pages without duplicates."""
    pairs = itertools.product(options.backends, options.pages)
    return list(
        dict.fromkeys((backend, "hugetlb" if backend == "hugetlb" else pages) for backend, pages in pairs)
    )


def _kinds(options: Options, memory_mib: int) -> tuple[str, ...]:
    restarts = options.restart == "all" or (
        options.restart == "largest" and memory_mib == max(options.memory_mib)
    )
    return ("teardown", "restart") if restarts else ("teardown",)
