"""What a load run is to do, what was seen, and what came out.

Rows are those of ``build/results/load.json``; docs/results.md is generated from them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from harness.cycles import Memory
from harness.cycles.model import DriverJob
from harness.jsonfile import about

WAITS = {
    "none": "a guest is started as soon as the one before it has ended",
    "room": "a guest is started when the machine has the memory for it",
    "memory": "a guest is started when no process holds the memory of the one before it",
}
"""What is waited for before a guest is started again."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load, for each binary."""

    kind: Annotated[str, about("crowd (many guests, random ends) or restart (one large guest)")]
    guests: Annotated[int, about("guests that live at a time")]
    memory_mib: Annotated[int, about("memory of each guest in MiB, preallocated")]
    backend: Annotated[str, about("memory backend")]
    seconds: Annotated[float, about("how long each binary is under load; 0: until restarts is reached")]
    restarts: Annotated[int, about("how often each binary is killed and started again; 0: by seconds")]
    wait: Annotated[
        str, about("what a restart waits for: none, room (free memory) or memory (the old guest's)")
    ]
    slices: Annotated[int, about("parts that this is cut into for each binary; they alternate")]
    reason: Annotated[str, about("why fewer or smaller guests than asked for, or none, are run")] = ""


class LoadRow(msgspec.Struct, frozen=True, kw_only=True):
    """One guest's end and, where there was one, the start of the next in its place."""

    trigger: Annotated[str, about("what ended QEMU: sigterm, sigkill, sigint, sigabrt or quit (QMP)")]
    exit_s: Annotated[float | None, about("trigger until QEMU has ended; null: it did not in time")]
    reclaim_s: Annotated[float | None, about("trigger until the last process with its memory has ended")]
    restart_s: Annotated[float | None, about("trigger until the next guest is ready; null: none, or failed")]
    waited_s: Annotated[float, about("of restart_s, seconds that memory was waited for")] = 0.0
    available_mib: Annotated[
        int, about("memory available as the next guest was started, MiB; 0: none was")
    ] = 0
    helpers: Annotated[int, about("processes that shared QEMU's memory at the trigger")] = 0
    qemu_cpu_s: Annotated[float, about("CPU seconds of QEMU, its whole life")] = 0.0
    helper_cpu_s: Annotated[float, about("CPU seconds of its helpers, their whole life")] = 0.0
    failure: Annotated[str, about("what went wrong; empty when nothing did")] = ""


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What a lane of the driver saw at its end."""

    starts: Annotated[int, about("guests that were started and got ready")]
    left: Annotated[tuple[str, ...], about("processes left 10 s after the last guest's end")]
    zombies: Annotated[tuple[str, ...], about("children that a living QEMU had not reaped")]
    fds_before: Annotated[int, about("open file descriptors of the lane before the first guest")]
    fds_after: Annotated[int, about("the same after the last")]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the run: one binary under load, then memory and processes compared with before."""

    variant: Annotated[str, about("name of the binary: base, patched, or what --binary calls it")]
    kind: Annotated[str, about("crowd or restart")]
    number: Annotated[int, about("place among the slices of the run, from 1")]
    accel: Annotated[str, about("kvm or tcg")]
    wall_s: Annotated[float, about("how long it took, with the first starts and the last ends, seconds")]
    memory: Annotated[Memory, about("memory before and after")]
    oom_kills: Annotated[int, about("processes that the kernel killed for want of memory in this slice")]
    remains: Annotated[tuple[Remains, ...], about("what each lane saw at its end")]
    rows: Annotated[tuple[LoadRow, ...], about("every end of a guest")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of load with one binary, summed up and judged."""

    variant: Annotated[str, about("name of the binary")]
    kind: Annotated[str, about("crowd or restart")]
    wall_s: Annotated[float, about("seconds under load, all slices")]
    exits: Annotated[int, about("guests that ended as they should")]
    reclaims: Annotated[int, about("ends after which all memory came back")]
    restarts: Annotated[int, about("guests that got ready in the place of one that had ended")]
    failures: Annotated[int, about("rows with a failure, failed restarts among them")]
    exit_s: Annotated[float | None, about("median of exit_s")]
    reclaim_s: Annotated[float | None, about("median of reclaim_s")]
    restart_s: Annotated[float | None, about("median of restart_s")]
    overlaps: Annotated[int, about("restarts ready before the memory of the guest before was back")]
    helpers: Annotated[int, about("helpers seen")]
    qemu_cpu_s: Annotated[float, about("CPU seconds of all QEMUs")]
    helper_cpu_s: Annotated[float, about("CPU seconds of all helpers")]
    processes: Annotated[int, about("processes left behind")]
    zombies: Annotated[int, about("zombies left unreaped")]
    fds: Annotated[int, about("file descriptors left open")]
    lost_mib: Annotated[float, about("the most that a slice did not give back, MiB")]
    peak_mib: Annotated[float, about("the most that a slice held, MiB; 0 where that is not known")]
    oom_kills: Annotated[int, about("processes killed by the kernel for want of memory")]
    outcome: Annotated[str, about("pass or fail")]
    reasons: Annotated[tuple[str, ...], about("why it failed, a line each")]


class LoadJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver gets. ``job`` is how its QEMUs are started."""

    job: DriverJob
    plan: LoadPlan
    accel: str
    seconds: float
    restarts: int
    seed: str
