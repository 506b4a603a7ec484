"""The file ``build/results/teardown.json`` as structs; docs/results.md is generated from them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from harness.jsonfile import about
from harness.teardown.model import Comparison, EmulatedHost, Sample, Slope, Subject

SCHEMA = 2
"""Raised when a field is taken away or changes its meaning; new fields do not raise it."""


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
    mitigations: Annotated[
        str, about("what the kernel does about faults of the processor, by name of the fault")
    ] = ""


class AccelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What guests of one target ran with."""

    target: Annotated[str, about("guest architecture")]
    name: Annotated[str, about("kvm or tcg")]
    reason: Annotated[str, about("why, in one line")]
    payload: Annotated[str, about("what the guest does")] = "paused"


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A demand on the figures of a run, and whether they meet it."""

    gate: Annotated[str, about("what is demanded, in words")]
    place: Annotated[str, about("target, memory and whatever else it is demanded of")]
    outcome: Annotated[
        str,
        about(
            "pass; fail: the figures rule it out; undecided: they miss it, yet their interval reaches it;"
            " skip: the run has no such figures"
        ),
    ]
    figure: Annotated[float | None, about("what was found: a ratio, or ms per GiB")] = None
    low: Annotated[float | None, about("lower end of its 95 % interval")] = None
    high: Annotated[float | None, about("upper end of that interval")] = None
    limit: Annotated[float | None, about("what it may be at most")] = None
    reason: Annotated[str, about("one line: why it did not pass")] = ""


class TeardownResults(msgspec.Struct, frozen=True, kw_only=True):
    """A teardown run, whole."""

    schema: Annotated[int, about("version of this format")] = SCHEMA
    command: Annotated[str, about("the command that makes this run again")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    host: Annotated[HostFacts, about("the machine")]
    options: Annotated[dict[str, Any], about("every option with the value that was used")]
    binaries: Annotated[tuple[Subject, ...], about("what was timed")]
    accels: Annotated[tuple[AccelFacts, ...], about("accelerator by target and payload")]
    rows: Annotated[tuple[Sample, ...], about("every sample, in the order in which they were taken")]
    comparisons: Annotated[tuple[Comparison, ...], about("variants against each other, place by place")]
    slopes: Annotated[
        tuple[Slope, ...], about("how latencies grow with memory; needs two sizes of 3 good samples")
    ] = ()
    gates: Annotated[tuple[GateResult, ...], about("what was demanded of the figures")] = ()
    seed: Annotated[int, about("what the order of samples was drawn from")] = 0
    warmup_s: Annotated[float, about("seconds that the discarded warm-up round took")] = 0.0
    round_s: Annotated[float, about("seconds that a round took on average")] = 0.0
    emulated: Annotated[
        tuple[EmulatedHost, ...], about("emulated machines on which cross-built binaries were timed")
    ] = ()
