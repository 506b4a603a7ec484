"""The file ``build/results/teardown.json`` as structs; docs/results.md is generated from them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from harness.teardown.model import Comparison, EmulatedHost, Sample, Subject

SCHEMA = 1
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


class AccelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What guests of one target ran with."""

    target: Annotated[str, _about("guest architecture")]
    name: Annotated[str, _about("kvm or tcg")]
    reason: Annotated[str, _about("why, in one line")]
    payload: Annotated[str, _about("what the guest does")] = "paused"


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
    comparisons: Annotated[tuple[Comparison, ...], _about("each variant against base")]
    emulated: Annotated[
        tuple[EmulatedHost, ...], _about("emulated machines on which cross-built binaries were timed")
    ] = ()
