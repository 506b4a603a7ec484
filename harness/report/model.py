"""The file ``build/results/teardown.json`` as structs; docs/results.md is generated from them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from harness.teardown.model import Comparison, EmulatedHost, Sample, Slope, Subject

SCHEMA = 2
"""Raised when a field is taken away or changes its meaning; new fields do not raise it."""


def _about(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a run was made on."""

    kernel: Annotated[str, _about("release of the running kernel")]
    machine: Annotated[str, _about("architecture, such as x86_64")]
    distribution: Annotated[str, _about("PRETTY_NAME of os-release")]
    cpu: Annotated[str, _about("model name of the processor")]
    cpus: Annotated[int, _about("processors that this run could use")]
    memory_mib: Annotated[int, _about("memory in MiB")]
    swap_mib: Annotated[int, _about("swap in MiB")]
    thp: Annotated[str, _about("transparent huge pages: always, madvise or never")]
    governor: Annotated[str, _about("frequency governor of the first processor; empty if there is none")]
    mitigations: Annotated[
        str, _about("what the kernel does about faults of the processor, by name of the fault")
    ] = ""


class AccelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What guests of one target ran with."""

    target: Annotated[str, _about("guest architecture")]
    name: Annotated[str, _about("kvm or tcg")]
    reason: Annotated[str, _about("why, in one line")]
    payload: Annotated[str, _about("what the guest does")] = "paused"


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A demand on the figures of a run, and whether they meet it."""

    gate: Annotated[str, _about("what is demanded, in words")]
    place: Annotated[str, _about("target, memory and whatever else it is demanded of")]
    outcome: Annotated[
        str,
        _about(
            "pass; fail: the figures rule it out; undecided: they miss it, yet their interval reaches it;"
            " skip: the run has no such figures"
        ),
    ]
    figure: Annotated[float | None, _about("what was found: a ratio, or ms per GiB")] = None
    low: Annotated[float | None, _about("lower end of its 95 % interval")] = None
    high: Annotated[float | None, _about("upper end of that interval")] = None
    limit: Annotated[float | None, _about("what it may be at most")] = None
    reason: Annotated[str, _about("one line: why it did not pass")] = ""


class TeardownResults(msgspec.Struct, frozen=True, kw_only=True):
    """A teardown run, whole."""

    schema: Annotated[int, _about("version of this format")] = SCHEMA
    command: Annotated[str, _about("the command that makes this run again")]
    started: Annotated[str, _about("ISO 8601, UTC")]
    finished: Annotated[str, _about("ISO 8601, UTC; when the last row was written")]
    complete: Annotated[bool, _about("false when the run was stopped before its end")]
    host: Annotated[HostFacts, _about("the machine")]
    options: Annotated[dict[str, Any], _about("every option with the value that was used")]
    binaries: Annotated[tuple[Subject, ...], _about("what was timed")]
    accels: Annotated[tuple[AccelFacts, ...], _about("accelerator by target and payload")]
    rows: Annotated[tuple[Sample, ...], _about("every sample, in the order in which they were taken")]
    comparisons: Annotated[tuple[Comparison, ...], _about("variants against each other, place by place")]
    slopes: Annotated[
        tuple[Slope, ...], _about("how latencies grow with memory; needs two sizes of 3 good samples")
    ] = ()
    gates: Annotated[tuple[GateResult, ...], _about("what was demanded of the figures")] = ()
    seed: Annotated[int, _about("what the order of samples was drawn from")] = 0
    warmup_s: Annotated[float, _about("seconds that the discarded warm-up round took")] = 0.0
    round_s: Annotated[float, _about("seconds that a round took on average")] = 0.0
    emulated: Annotated[
        tuple[EmulatedHost, ...], _about("emulated machines on which cross-built binaries were timed")
    ] = ()
