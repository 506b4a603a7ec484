"""Row 15 on emulated hosts: the properties that can differ by architecture."""

import dataclasses

from harness.bench import Bench
from harness.properties.model import Part
from harness.teardown.emulated import run_emulated
from harness.teardown.model import EmulatedHost, Sample

MEMORY_MIB = 128
_OUTCOMES = {"ok": "pass", "failed": "fail", "cancelled": "cancel"}


def check_emulated(bench: Bench) -> dict[str, tuple[Part, ...]]:
    """Return the parts of row 15 from the emulated hosts of ``bench``, by variant.

    Raises the errors of run_emulated.
    """
    checked: dict[str, tuple[Part, ...]] = {}
    for host, emulator in bench.emulators:
        small = dataclasses.replace(
            bench.options,
            hosts=(host.name,),
            targets=(host.target,),
            memory_mib=(MEMORY_MIB,),
            triggers=("sigkill",),
            rounds=1,
            given=(*bench.options.given, f"-Dmemory={MEMORY_MIB}M"),
        )
        for subject in bench.subjects:
            if subject.host == host.name:
                ended = run_emulated(bench.layout, small, host, [subject], bench.reporter, emulator=emulator)
                parts = parts_of(ended.facts, ended.samples)
                checked[subject.variant] = (*checked.get(subject.variant, ()), *parts)
    return checked


def parts_of(facts: EmulatedHost, samples: tuple[Sample, ...]) -> tuple[Part, ...]:
    """Convert the results of an emulated host to parts of row 15."""
    exits = tuple(
        Part(
            name=f"{facts.host}: exit of {sample.memory_mib} MiB",
            outcome=_OUTCOMES[sample.outcome],
            reason=sample.reason,
            figures={
                name: figure
                for name in ("exit_s", "reclaim_s")
                if (figure := getattr(sample, name)) is not None
            },
        )
        for sample in samples
    )
    return exits + tuple(
        Part(name=f"{facts.host}: {each.name}", outcome=_OUTCOMES[each.outcome], reason=each.reason)
        for each in facts.properties
    )
