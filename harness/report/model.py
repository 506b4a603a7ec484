"""The file ``build/results/teardown.json`` as structs; docs/results.md is generated from them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from harness.jsonfile import about
from harness.teardown.model import Comparison, EmulatedHost, Sample, Slope, Subject

SCHEMA = 2
"""Increases if a field is removed or changes its meaning, not for new fields."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a run was made on."""

    kernel: Annotated[str, about("release of the running kernel")]
    machine: Annotated[str, about("architecture, such as x86_64")]
    distribution: Annotated[str, about("PRETTY_NAME of os-release")]
    cpu: Annotated[str, about("model name of the processor")]
    cpus: Annotated[int, about("processors that this run could use")]
    memory_mib: Annotated[int, about("memory in MiB")]
    swap_mib: Annotated[int, about("swap in MiB")]
    thp: Annotated[str, about("transparent huge pages: always, madvise or never")]
    governor: Annotated[str, about("frequency governor of the first processor; empty if there is none")]
    mitigations: Annotated[str, about("mitigations of the kernel for processor vulnerabilities, by name")] = (
        ""
    )


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
    outcome: Annotated[
        str,
        about(
            "pass; fail: the figures rule it out; undecided: the figure misses the limit, but its interval"
            " includes it; skip: the run has no such figures"
        ),
    ]
    figure: Annotated[float | None, about("the measured value: a ratio, or ms per GiB")] = None
    low: Annotated[float | None, about("lower end of its 95 % interval")] = None
    high: Annotated[float | None, about("upper end of that interval")] = None
    limit: Annotated[float | None, about("largest accepted value")] = None
    reason: Annotated[str, about("reason for not passing, one line")] = ""


class TeardownResults(msgspec.Struct, frozen=True, kw_only=True):
    """A complete teardown run."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("command that reproduces this run")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    binaries: Annotated[tuple[Subject, ...], about("the binaries that were timed")]
    accels: Annotated[tuple[AccelFacts, ...], about("accelerator by target and payload")]
    rows: Annotated[tuple[Sample, ...], about("every sample, in the order in which they were taken")]
    comparisons: Annotated[tuple[Comparison, ...], about("comparisons of variants, cell by cell")]
    slopes: Annotated[
        tuple[Slope, ...], about("growth of latencies with memory; needs two sizes with 3 good samples each")
    ] = ()
    gates: Annotated[tuple[GateResult, ...], about("the gates, with their outcomes")] = ()
    seed: Annotated[int, about("seed of the order of samples")] = 0
    warmup_s: Annotated[float, about("duration of the discarded warm-up round, in seconds")] = 0.0
    round_s: Annotated[float, about("mean duration of a round, in seconds")] = 0.0
    emulated: Annotated[
        tuple[EmulatedHost, ...], about("emulated machines on which cross-built binaries were timed")
    ] = ()
