"""Row 11: the helper has no open descriptors, also on old kernels and in unusual environments."""

from __future__ import annotations

import errno
import os
import signal
import statistics
import time

import msgspec

from harness.guest.spawn import wait_pidfd
from harness.properties import status
from harness.properties.bench import Bench, Surrounding, readable
from harness.properties.bpf import NUMBERS, Insn, deny
from harness.properties.outcome import Failed, Parts, arranged

REACTION_S = 0.010
"""Time limit for the helper's exit after QEMU's exit, in addition to the teardown of its memory."""
TINY_MIB = 16
ROUNDS = 5
HIGH = (100, 1023, 2000, 3999)


def no_descriptors(bench: Bench, parts: Parts) -> None:
    """Row 11."""
    bench.require_option()
    with parts.part("no descriptor of QEMU"), bench.start() as running:
        check_descriptors(running.pid, running.helper())
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        with parts.part(f"a pipe closes with QEMU: {name}") as figures:
            figures.update(_pipe_closes(bench, number))
    with parts.part("RLIMIT_NOFILE lowered below open descriptors"):
        _check_high(bench, Surrounding())
    with parts.part("the same, close_range absent"):
        _check_high(bench, Surrounding(filter=_absent("close_range")))
    reference = _reference(bench)
    surroundings = {
        "unchanged": Surrounding(),
        "/proc not mounted": Surrounding(no_proc=True),
        "close_range absent": Surrounding(filter=_absent("close_range")),
        "pidfd_open absent": Surrounding(filter=_absent("pidfd_open")),
        "both absent": Surrounding(filter=_absent("close_range", "pidfd_open")),
        "both absent, /proc not mounted": Surrounding(
            filter=_absent("close_range", "pidfd_open"), no_proc=True
        ),
    }
    for name, surrounding in surroundings.items():
        with parts.part(f"reaction within 10 ms: {name}") as figures, arranged():
            _check_reaction(bench, surrounding, reference, figures)


def _absent(*calls: str) -> tuple[Insn, ...]:
    return deny({NUMBERS[call]: errno.ENOSYS for call in calls})


def check_descriptors(qemu: int, helper: int) -> None:
    """Raise Failed if the helper has an open file of QEMU."""
    shared = status.shared_descriptors(qemu, helper)
    if shared:
        raise Failed(f"the helper has {len(shared)} open descriptors of QEMU")


def _pipe_closes(bench: Bench, number: int) -> dict[str, float]:
    """Time until a pipe that QEMU inherited is closed, which must be while the helper frees 1 GiB."""
    for attempt in (1, 2, 3):
        reader, writer = os.pipe()
        try:
            with bench.start(memory_mib=1024, pass_fds=(writer,)) as running:
                os.close(writer)
                writer = -1
                helper = os.pidfd_open(running.helper())
                try:
                    began = time.monotonic()
                    running.signal(number)
                    closed = readable(reader, 5)
                    closed_s = time.monotonic() - began
                    runs = not wait_pidfd(helper, 0)
                    if not closed:
                        raise Failed("the pipe is still open 5 s after QEMU's exit")
                finally:
                    os.close(helper)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        if runs:
            return {"closed_s": closed_s}
        if attempt == 3:
            raise Failed(f"the pipe closes only with the helper's exit, after {closed_s * 1000:.0f} ms")
    raise AssertionError


def _check_high(bench: Bench, surrounding: Surrounding) -> None:
    """Check that descriptors above RLIMIT_NOFILE are closed."""
    reader, writer = os.pipe()
    try:
        high = msgspec.structs.replace(surrounding, copy_of=writer, copies_at=HIGH, files=64)
        with arranged(), bench.start(surrounding=high, pass_fds=(writer,)) as running:
            check_descriptors(running.pid, running.helper())
    finally:
        os.close(reader)
        os.close(writer)


def _reference(bench: Bench) -> float:
    """Return the median teardown time of a tiny guest without a helper, in seconds."""
    exits = []
    for _ in range(ROUNDS):
        with bench.start(memory_mib=TINY_MIB, on=False) as running:
            exits.append(running.end_by(signal.SIGKILL).exit_s)
    return statistics.median(exits)


def _check_reaction(
    bench: Bench, surrounding: Surrounding, reference_s: float, figures: dict[str, float]
) -> None:
    """Raise Failed if the median of up to five reactions is too long. Stop when the median is decided."""
    reactions: list[float] = []
    while len(reactions) < ROUNDS:
        with bench.start(memory_mib=TINY_MIB, surrounding=surrounding) as running:
            check_descriptors(running.pid, running.helper())
            ended = running.end_by(signal.SIGKILL)
        if ended.reclaim_s is None:
            raise Failed("helper still runs 3 s after QEMU's exit")
        reactions.append(ended.reclaim_s - ended.exit_s - reference_s)
        good = sum(reaction <= REACTION_S for reaction in reactions)
        if good > ROUNDS // 2 or len(reactions) - good > ROUNDS // 2:
            break
    figures |= {"reaction_s": statistics.median(reactions), "teardown_s": reference_s}
    if good <= ROUNDS // 2:
        raise Failed(f"the helper exits {statistics.median(reactions) * 1000:.0f} ms after QEMU")
