"""The plan of a load run (LoadPlan), its observations (LoadRow, Slice), and its results (Summary).

They are part of ``build/results/load.json``; docs/results.md is generated from them.
"""

from typing import Annotated

import msgspec

from harness.cycles.model import DriverJob, Memory
from harness.jsonfile import about


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load, for each binary."""

    kind: Annotated[str, about("crowd (many guests, random ends) or restart (one large guest)")]
    guests: Annotated[int, about("guests that run at a time")]
    memory_mib: Annotated[int, about("memory of each guest in MiB, preallocated")]
    backend: Annotated[str, about("memory backend")]
    seconds: Annotated[float, about("duration of the load on each binary; 0: until restarts is reached")]
    restarts: int
    """number of times that each binary is killed and restarted; 0: limited by seconds"""
    wait: str
    """condition for a restart: none, room (free memory) or memory (the old guest's is freed)"""
    slices: Annotated[int, about("number of slices for each binary; they alternate")]
    reason: Annotated[str, about("reason for fewer or smaller guests than requested, or none")] = ""


class LoadRow(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one guest, and the start of its successor if there was one."""

    trigger: Annotated[str, about("what ended QEMU: sigterm, sigkill, sigint, sigabrt or quit (QMP)")]
    exit_s: Annotated[float | None, about("trigger until QEMU's exit; null: not within the limit")]
    reclaim_s: Annotated[float | None, about("trigger until the exit of the last process with its memory")]
    restart_s: float | None
    """trigger until the next guest is ready; null: there is none, or it failed"""
    waited_s: Annotated[float, about("part of restart_s that was spent waiting for memory")] = 0.0
    available_mib: int = 0
    """memory available at the start of the next guest, MiB; 0: there was none"""
    helpers: Annotated[int, about("processes that shared QEMU's memory at the trigger")] = 0
    qemu_cpu_s: Annotated[float, about("CPU seconds of QEMU over its whole life")] = 0.0
    helper_cpu_s: Annotated[float, about("CPU seconds of its helpers over their whole life")] = 0.0
    failure: Annotated[str, about("reason of the failure; empty after a success")] = ""


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """Leftovers that a lane of the driver found at its end."""

    starts: Annotated[int, about("guests that started and became ready")]
    left: Annotated[tuple[str, ...], about("processes left 10 s after the last guest's end")]
    zombies: Annotated[tuple[str, ...], about("children that a running QEMU had not reaped")]
    fds_before: Annotated[int, about("open file descriptors of the lane before the first guest")]
    fds_after: Annotated[int, about("the same after the last")]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the run: one binary under load, then memory and processes compared with before."""

    variant: Annotated[str, about("name of the binary: base, patched, or the name given with --binary")]
    kind: Annotated[str, about("crowd or restart")]
    number: Annotated[int, about("number of the slice in the run, from 1")]
    accel: Annotated[str, about("kvm or tcg")]
    wall_s: Annotated[float, about("duration in seconds, including the first starts and the last ends")]
    memory: Annotated[Memory, about("memory before and after")]
    oom_kills: Annotated[int, about("processes that the kernel killed in this slice because memory ran out")]
    remains: Annotated[tuple[Remains, ...], about("leftovers of each lane")]
    rows: Annotated[tuple[LoadRow, ...], about("the end of each guest")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Summary and outcome of a kind of load with one binary."""

    variant: Annotated[str, about("name of the binary")]
    kind: Annotated[str, about("crowd or restart")]
    wall_s: Annotated[float, about("seconds under load, all slices")]
    exits: Annotated[int, about("guests that ended as expected")]
    reclaims: Annotated[int, about("ends after which all memory was freed")]
    restarts: Annotated[int, about("guests that became ready as the successor of another")]
    failures: Annotated[int, about("rows with a failure, including failed restarts")]
    exit_s: Annotated[float | None, about("median of exit_s")]
    reclaim_s: Annotated[float | None, about("median of reclaim_s")]
    restart_s: Annotated[float | None, about("median of restart_s")]
    overlaps: int
    """restarts that were ready before the memory of the previous guest was freed"""
    helpers: Annotated[int, about("number of helpers")]
    qemu_cpu_s: Annotated[float, about("CPU seconds of all QEMUs")]
    helper_cpu_s: Annotated[float, about("CPU seconds of all helpers")]
    processes: Annotated[int, about("processes left behind")]
    zombies: Annotated[int, about("zombies left unreaped")]
    fds: Annotated[int, about("file descriptors left open")]
    lost_mib: Annotated[float, about("largest loss of memory of a slice, MiB")]
    peak_mib: Annotated[float, about("largest peak of a slice, MiB; 0 if unknown")]
    oom_kills: Annotated[int, about("processes that the kernel killed because memory ran out")]
    outcome: Annotated[str, about("pass or fail")]
    reasons: Annotated[tuple[str, ...], about("reasons of the failure, one a line")]


class LoadJob(msgspec.Struct, frozen=True, kw_only=True):
    """The input of the driver. ``job`` describes how QEMU is started."""

    job: DriverJob
    plan: LoadPlan
    accel: str
    seconds: float
    restarts: int
    seed: str
