"""What a behaviour test gets and returns, and the results; docs/results.md is generated from them."""

from typing import Annotated, Literal

import msgspec

from harness.bench import Subject
from harness.jsonfile import about
from harness.results import Results
from harness.teardown.model import Cell
from harness.teardown.results import GateResult

Better = Literal["lower", "higher"]
Verdict = Literal["better", "same", "worse", "?"]


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a test: the binary, and the first guest of the run's matrix for each payload."""

    subject: Subject
    guests: dict[str, Cell]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that a test measured."""

    name: Annotated[str, about("name of the figure")]
    value: Annotated[float, about("the figure")]
    unit: Annotated[str, about("its unit")]
    better: Annotated[Better, about("lower or higher: which direction is better")]


class BehaviourRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one test on one binary."""

    test: Annotated[str, about("file, class and method of the test")]
    variant: Annotated[str, about("the binary's variant")]
    round: Annotated[int, about("round, from 1")]
    index: Annotated[int, about("position among the runs of the test, from 1")]
    outcome: Annotated[Literal["pass", "fail", "cancel"], about("pass, fail or cancel")]
    reason: Annotated[str, about("why it did not pass; one line")] = ""
    metrics: Annotated[tuple[Metric, ...], about("the figures that it measured")] = ()


class MetricComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one test, on a variant and on the reference."""

    test: Annotated[str, about("the test")]
    metric: Annotated[str, about("name of the figure")]
    unit: Annotated[str, about("its unit")]
    better: Annotated[Better, about("which direction is better")]
    reference: Annotated[str, about("the variant that it is compared with")]
    variant: Annotated[str, about("the variant that is compared")]
    pairs: Annotated[int, about("rounds in which both have the figure")]
    reference_median: Annotated[float, about("median of the reference")]
    variant_median: Annotated[float, about("median of the variant")]
    effect: float
    """how much worse: mean logarithm of the ratio, or mean difference if a figure is not above 0"""
    low: Annotated[float | None, about("lower end of its interval; null with fewer than 3 pairs")]
    high: Annotated[float | None, about("upper end of its interval; null with fewer than 3 pairs")]
    relative: Annotated[bool, about("whether the effect is a logarithm of a ratio")]
    verdict: Verdict
    """better, worse, same (the interval is within 0.80 to 1.25; for differences, it is 0) or ? (not
    decided)"""


class BehaviourResults(Results, frozen=True, kw_only=True):
    """Runs of behaviour tests."""

    seed: Annotated[int, about("seed of the order of the binaries in each round")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that the tests ran on")]
    rows: Annotated[tuple[BehaviourRow, ...], about("the runs, in their order")]
    comparisons: Annotated[tuple[MetricComparison, ...], about("each figure, compared with the reference")]
    gates: Annotated[tuple[GateResult, ...], about("the gates on metrics, with their outcomes")] = ()
