"""The file ``build/results/teardown.json`` as structs; docs/results.md is generated from them."""

from pathlib import Path
from typing import Annotated

import msgspec

from harness.bench import Subject
from harness.jsonfile import about
from harness.layout import Layout
from harness.results import Results, read_results
from harness.teardown.model import Comparison, EmulatedHost, Sample, Slope
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare

SCHEMA = 2
"""Incremented if a field is removed or changes its meaning, not if a field is added."""
WITHOUT_REFERENCES = 1
"""The schema with comparisons with base only. Its rows are still valid."""


class AccelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The accelerator of the guests of one target."""

    target: Annotated[str, about("guest architecture")]
    name: Annotated[str, about("kvm or tcg")]
    reason: Annotated[str, about("reason, one line")]
    payload: Annotated[str, about("what the guest does")] = "paused"


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement for the figures of a run, and whether they meet it."""

    gate: Annotated[str, about("the requirement in words")]
    place: Annotated[str, about("the cell: target, memory and other fields")]
    outcome: str
    """pass; fail: the figures rule it out; undecided: the figure misses the limit, but its interval includes
    it; skip: the run has no such figures"""
    figure: Annotated[float | None, about("the measured value: a ratio, or ms per GiB")] = None
    low: Annotated[float | None, about("lower end of its 95 % interval")] = None
    high: Annotated[float | None, about("upper end of that interval")] = None
    limit: Annotated[float | None, about("largest accepted value")] = None
    reason: Annotated[str, about("reason for not passing, one line")] = ""


class TeardownResults(Results, frozen=True, kw_only=True):
    """A complete teardown run."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were timed")]
    accels: Annotated[tuple[AccelFacts, ...], about("accelerator by target and payload")]
    rows: Annotated[tuple[Sample, ...], about("every sample, in the order in which they were taken")]
    comparisons: Annotated[tuple[Comparison, ...], about("comparisons of variants, cell by cell")]
    slopes: tuple[Slope, ...] = ()
    """growth of latencies with memory; needs two sizes with 3 good samples each"""
    gates: Annotated[tuple[GateResult, ...], about("the gates, with their outcomes")] = ()
    seed: Annotated[int, about("seed of the order of samples")] = 0
    warmup_s: Annotated[float, about("duration of the discarded warm-up round, in seconds")] = 0.0
    round_s: Annotated[float, about("mean duration of a round, in seconds")] = 0.0
    emulated: tuple[EmulatedHost, ...] = ()
    """emulated hosts on which cross-built binaries were timed"""


def teardown_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "teardown.json"


def read_teardown(path: Path) -> TeardownResults:
    """Read the results in ``path``. Raises StorageError: missing, not JSON, or of another schema."""
    older = {WITHOUT_REFERENCES: _with_references}
    return read_results(path, TeardownResults, SCHEMA, "nox -s teardown", older=older)


def _with_references(data: bytes) -> TeardownResults:
    """Convert results of schema 1; comparisons are computed again."""
    fields = msgspec.json.decode(data) | {"schema": SCHEMA, "comparisons": ()}
    results = msgspec.convert(fields, TeardownResults)
    return msgspec.structs.replace(
        results, comparisons=compare(results.rows), slopes=fit_slopes(results.rows)
    )
