"""The load that fits into the memory of a machine. This module does no I/O."""

import math

import msgspec

from harness.guest.memory import needed_mib
from harness.load.model import LoadPlan

QEMU_MIB = 48
"""Memory of a QEMU without devices in addition to its guest's memory; 30 to 40 MiB were measured."""
RESERVE_MIB = 1024
"""Memory that is reserved for other processes."""
LANES = 2
SLICE_S = 30.0
SLICE_RESTARTS = 5
SMALLEST_RESTART_MIB = 256


def each_mib(memory_mib: int) -> int:
    """Return the memory that one guest of a crowd needs, including page tables."""
    return memory_mib + memory_mib // 512 + QEMU_MIB


def plan_load(
    available: int,
    *,
    guests: int,
    memory_mib: int,
    seconds: float,
    restarts: int,
    restart_mib: int,
    wait: bool,
) -> tuple[LoadPlan, ...]:
    """Return plans that fit into ``available`` MiB. If the request does not fit, they are smaller.

    A plan with 0 guests does not run; it has a reason. A crowd needs memory for its guests and, in each lane,
    for one guest whose memory is not freed yet.
    """
    plans = []
    if seconds > 0:
        fit = min(guests, (available - RESERVE_MIB) // each_mib(memory_mib) - LANES)
        crowd_mib = (guests + LANES) * each_mib(memory_mib) + RESERVE_MIB
        needed = f"{guests} guests of {memory_mib} MiB need {crowd_mib} MiB"
        plans.append(
            LoadPlan(
                kind="crowd",
                guests=max(0, fit),
                memory_mib=memory_mib,
                backend="ram",
                seconds=seconds,
                restarts=0,
                wait="memory" if wait else "room",
                slices=max(1, math.ceil(seconds / SLICE_S)),
                reason="" if fit == guests else f"{needed}, {available} MiB are available",
            )
        )
    if restarts > 0:
        size, reason = restart_mib, ""
        if needed_mib(size) + RESERVE_MIB > available:
            reason = (
                f"a guest of {size} MiB needs {needed_mib(size) + RESERVE_MIB} MiB,"
                f" {available} MiB are available"
            )
            size = max(0, (available - RESERVE_MIB - needed_mib(0)) * 512 // 513 // 256 * 256)
        plans.append(
            LoadPlan(
                kind="restart",
                guests=1 if size >= SMALLEST_RESTART_MIB else 0,
                memory_mib=size,
                backend="ram",
                seconds=0.0,
                restarts=restarts,
                wait="memory" if wait else "none",
                slices=math.ceil(restarts / SLICE_RESTARTS),
                reason=reason,
            )
        )
    return tuple(plans)


def with_backend(plans: tuple[LoadPlan, ...], backend: str) -> tuple[LoadPlan, ...]:
    """Return the plans with another memory backend."""
    return tuple(msgspec.structs.replace(plan, backend=backend) for plan in plans)


def share(total: int, parts: int, index: int) -> int:
    """Return part ``index`` (from 0) of ``total``, split into integers that differ by at most 1."""
    return total // parts + (index < total % parts)
