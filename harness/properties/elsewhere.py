"""What row 15 is told of hosts that this machine is not: tried on an emulated one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from harness.properties.model import Part
from harness.teardown.emulated import run_emulated

if TYPE_CHECKING:  # tests under avocado import this package
    from harness.build.hosts import Host
    from harness.layout import Layout
    from harness.options import Options
    from harness.progress import Reporter
    from harness.teardown.model import EmulatedHost, Sample, Subject

MEMORY_MIB = 128
_OUTCOMES = {"ok": "pass", "failed": "fail", "cancelled": "cancel"}


def try_elsewhere(
    layout: Layout, options: Options, host: Host, subject: Subject, reporter: Reporter, *, emulator: Path
) -> tuple[Part, ...]:
    """The properties that can differ by architecture, of ``subject`` on ``host`` emulated by ``emulator``.

    Raises what run_emulated raises.
    """
    small = dataclasses.replace(
        options,
        hosts=(host.name,),
        targets=(host.target,),
        memory_mib=(MEMORY_MIB,),
        triggers=("sigkill",),
        rounds=1,
        given=(*options.given, f"-Dmemory={MEMORY_MIB}M"),
    )
    ended = run_emulated(layout, small, host, [subject], reporter, emulator=emulator)
    return parts_of(ended.facts, ended.samples)


def parts_of(facts: EmulatedHost, samples: tuple[Sample, ...]) -> tuple[Part, ...]:
    """Parts of row 15, of what an emulated host gave."""
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
