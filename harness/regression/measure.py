"""Measures of a built commit: the teardown of a guest, a behaviour test, or a command of the user."""

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from harness.behaviour.run import run_test
from harness.behaviour.tests import BehaviourTestName
from harness.bench import Bench, Subject
from harness.errors import BisectError
from harness.guest.hugepages import restored
from harness.process import Finished, run
from harness.regression.search import Term
from harness.teardown.model import Sample
from harness.teardown.sample import take_sample
from harness.teardown.scenario import design

LIMIT_S = 4 * 3600.0
"""Time limit of a command of the user."""
SKIP = 125
"""Exit status of a command that cannot judge the commit (git-bisect(1), ``run``)."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


class CannotMeasureError(Exception):
    """The commit cannot be measured. The text is the reason, one line."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A built commit: its sources, its build folder, and its binary for the first target."""

    name: str
    source: Path
    build: Path
    subject: Subject


class Measure(Protocol):
    """A measure of places, in words ``name``. ``lower_is_better`` and ``unit`` describe its figures."""

    lower_is_better: bool
    unit: str

    @property
    def name(self) -> str: ...

    def judge(self, place: Place) -> Term | None:
        """Judge a place without a comparison; None if samples have to be compared.

        Raises CannotMeasureError, HarnessError.
        """

    def sample(self, places: tuple[Place, ...], turn: int) -> tuple[float, ...]:
        """Return a figure of each place, taken one after another, in an order that changes with ``turn``.

        Raises CannotMeasureError.
        """


@dataclass(kw_only=True)
class Guests:
    """A latency of a guest's teardown, in seconds. ``bench`` has the options of one guest."""

    bench: Bench
    metric: str
    arguments: tuple[str, ...] = ()
    name: str = "the guest"
    lower_is_better: bool = True
    unit: str = "s"

    def sample(self, places: tuple[Place, ...], turn: int) -> tuple[float, ...]:
        bench, subjects = self.bench, [subject_of(place, self.arguments) for place in places]
        matrix = design(
            bench.options, subjects, bench.accels, bench.firmware, boots=bench.boots, seed=bench.seed
        )
        kind = "restart" if self.metric == "restart" else "teardown"
        blocks = tuple(block for block in matrix.blocks if block[0].kind == kind)
        helper = any("async-teardown" in word for word in self.arguments)
        figures: dict[str, float] = {}
        with restored(bench.layout.locks / "hugepages.json", bench.options.backends):
            for cell in dataclasses.replace(matrix, blocks=blocks).round(turn)[0]:
                sample = take_sample(
                    msgspec.structs.replace(cell, helper=helper), log=self._log(cell.variant)
                )
                figures[cell.variant] = self._figure(sample)
        return tuple(figures[place.name] for place in places)

    def judge(self, place: Place) -> Term | None:  # noqa: ARG002 - a comparison is needed
        return None

    def _figure(self, sample: Sample) -> float:
        value = getattr(sample, f"{self.metric}_s")
        if sample.outcome != "ok" or value is None:
            raise CannotMeasureError(sample.reason or f"the guest has no figure for {self.metric}")
        return float(value)

    def _log(self, name: str) -> Path:
        return self.bench.layout.logs / f"bisect-guest-{name}.log"


def subject_of(place: Place, arguments: tuple[str, ...]) -> Subject:
    """Return the binary of a place under its name, with ``arguments``."""
    return msgspec.structs.replace(place.subject, variant=place.name, options=arguments)


@dataclass(kw_only=True)
class Behaviour:
    """A metric of a behaviour test; without ``metric``, whether it passes. The unit is known once it ran."""

    bench: Bench
    test: BehaviourTestName
    metric: str
    arguments: tuple[str, ...] = ()
    lower_is_better: bool = True
    unit: str = ""

    @property
    def name(self) -> str:
        return self.test.name

    def judge(self, place: Place) -> Term | None:
        if self.metric:
            return None
        (row,) = run_test(self.bench, self.test, [(1, subject_of(place, self.arguments))])
        if row.outcome == "cancel":
            raise CannotMeasureError(f"{self.name} was cancelled: {row.reason}")
        return "good" if row.outcome == "pass" else "bad"

    def sample(self, places: tuple[Place, ...], turn: int) -> tuple[float, ...]:
        order = places if turn % 2 else tuple(reversed(places))
        rows = run_test(self.bench, self.test, [(turn, subject_of(place, self.arguments)) for place in order])
        figures: dict[str, float] = {}
        for row in rows:
            metric = next((one for one in row.metrics if one.name == self.metric), None)
            if metric is None or row.outcome != "pass":
                raise CannotMeasureError(row.reason or f"{self.name} recorded no {self.metric}")
            self.unit, self.lower_is_better = metric.unit, metric.better == "lower"
            figures[row.variant] = metric.value
        return tuple(figures[place.name] for place in places)


@dataclass(kw_only=True)
class Command:
    """A command of the user, run by sh in the sources of the commit.

    Its environment names the commit: QEMU_SOURCE, QEMU_BUILD, and QEMU_BINARY of the first target. Without
    ``counts`` its exit status judges, as for ``git bisect run``: 0 good, 125 skip, 1 to 127 bad. With it, the
    figure is the last number on its last line of output.
    """

    command: str
    counts: bool
    logs: Path
    name: str = "--run"
    lower_is_better: bool = True
    unit: str = ""

    def judge(self, place: Place) -> Term | None:
        if self.counts:
            return None
        status = self._run(place).returncode
        if status < 0 or status >= 128:
            raise BisectError(
                f"--run ended with status {status} on {place.name}, which judges nothing",
                "let it end with 0 (good), 125 (skip) or 1 to 127 (bad)",
                log=self._log(place),
            )
        if status == SKIP:
            raise CannotMeasureError(f"--run ended with {SKIP}")
        return "good" if status == 0 else "bad"

    def sample(self, places: tuple[Place, ...], turn: int) -> tuple[float, ...]:
        order = places if turn % 2 else tuple(reversed(places))
        figures = {place.name: self._figure(place) for place in order}
        return tuple(figures[place.name] for place in places)

    def _figure(self, place: Place) -> float:
        ended = self._run(place)
        lines = ended.output.strip().splitlines()
        numbers = _NUMBER.findall(lines[-1]) if lines else []
        if ended.returncode != 0 or not numbers or not math.isfinite(float(numbers[-1])):
            what = f"ended with status {ended.returncode}" if ended.returncode else "printed no number"
            raise CannotMeasureError(f"--run {what}, see {self._log(place)}")
        return float(numbers[-1])

    def _run(self, place: Place) -> Finished:
        return run(
            ["sh", "-c", self.command],
            cwd=place.source,
            env={
                "QEMU_SOURCE": str(place.source),
                "QEMU_BUILD": str(place.build),
                "QEMU_BINARY": place.subject.path,
            },
            log=self._log(place),
            merge_stderr=False,
            check=False,
            timeout_s=LIMIT_S,
        )

    def _log(self, place: Place) -> Path:
        return self.logs / f"bisect-run-{place.name}.log"
