"""Row 11: the helper has no open descriptors, also on old kernels and in unusual environments."""

import contextlib
import errno
import os
import select
import signal
import statistics
import time
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from harness.errors import GuestError
from harness.guest.spawn import wait_pidfd
from harness.properties import status
from harness.properties.bench import Bench, Running, Surrounding
from harness.properties.bpf import NUMBERS, Insn, deny
from harness.properties.outcome import NAMED, Cancelled, Failed, Parts, arranged
from harness.properties.tails import PAUSE_S, check_end, end_first, judge_tail, ms, reference

REACTION_S = 0.010
"""Limit for the median time of the helper's exit after QEMU's exit, besides the teardown of its memory."""
TINY_MIB = 16
ROUNDS = 8
"""Ends in each environment: at least 24 for each way to learn of QEMU's exit."""
COPIES = 10_000


def no_descriptors(bench: Bench, parts: Parts) -> None:
    """Row 11."""
    bench.require_option()
    with parts.part("no descriptor of QEMU"), bench.start() as running:
        check_descriptors(running.pid, running.helper())
    for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        with parts.part(f"a pipe closes with QEMU: {name}") as figures:
            figures.update(_pipe_closes(bench, number))
    for name, surrounding in {
        "close_range": Surrounding(),
        "close_range absent": Surrounding(filter=_absent("close_range")),
        "close_range refused": Surrounding(filter=deny({NUMBERS["close_range"]: errno.EPERM})),
        "/proc not mounted": Surrounding(no_proc=True),
        "close_range absent, /proc not mounted": Surrounding(filter=_absent("close_range"), no_proc=True),
    }.items():
        with (
            parts.part(f"{COPIES} descriptors, up to the limit: {name}"),
            arranged(),
            _or_refusal(surrounding),
            with_many(bench, surrounding) as running,
        ):
            check_descriptors(running.pid, running.helper())
    for text, absent in (("", ()), ("pidfd_open absent", ("pidfd_open",))):
        surroundings = {
            "": Surrounding(filter=_absent(*absent)),
            "/proc not mounted": Surrounding(filter=_absent(*absent), no_proc=True),
            "close_range absent": Surrounding(filter=_absent(*absent, "close_range")),
        }
        if absent:
            surroundings["both absent, /proc not mounted"] = Surrounding(
                filter=_absent(*absent, "close_range"), no_proc=True
            )
        taken: list[float] = []
        for name, surrounding in surroundings.items():
            what = ", ".join(each for each in (text, name) if each) or "unchanged"
            refusal = _or_refusal(surrounding, absent=bool(absent))
            with parts.part(f"reaction within 10 ms: {what}") as figures, arranged(), refusal:
                taken += _reactions(bench, surrounding, figures)
        if absent and not taken:
            continue  # QEMU does not start there
        with parts.part(f"worst reaction: {text or 'pidfd_open'}") as figures:
            if not taken:
                raise Cancelled("no reaction was timed")
            judge_tail(taken, PAUSE_S, "the helper exits after QEMU:", figures)


def _absent(*calls: str) -> tuple[Insn, ...]:
    return deny({NUMBERS[call]: errno.ENOSYS for call in calls}) if calls else ()


def check_descriptors(qemu: int, helper: int) -> None:
    """Raise Failed if the helper has an open file of QEMU."""
    shared = status.shared_descriptors(qemu, helper)
    if shared:
        raise Failed(f"the helper has {len(shared)} open descriptors of QEMU")


def _pipe_closes(bench: Bench, number: int) -> dict[str, float]:
    """Time until a pipe that QEMU inherited is closed, which must be while the helper frees 1 GiB."""
    closed_s = 0.0
    for _ in range(3):
        with (
            _pipe() as (reader, writer),
            bench.start(memory_mib=1024, pass_fds=(writer.fileno(),)) as running,
        ):
            writer.close()
            with running.helper_pidfd() as helper:
                began = time.monotonic()
                running.signal(number)
                closed, _, _ = select.select([reader], [], [], 5)
                closed_s = time.monotonic() - began
                runs = not wait_pidfd(helper, 0)
            if not closed:
                raise Failed("the pipe is still open 5 s after QEMU's exit")
        if runs:
            return {"closed_s": closed_s}
    raise Failed(f"the pipe closes only with the helper's exit, after {closed_s * 1000:.0f} ms")


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield both ends of a pipe; they are closed with the block."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as near, os.fdopen(writer, "wb") as far:
        yield near, far


@contextlib.contextmanager
def _or_refusal(surrounding: Surrounding, *, absent: bool = False) -> Iterator[None]:
    """Also accept a QEMU that does not start, with an error about its helper, where no distribution runs it.

    That is a kernel without pidfd_open (``absent``), or without both /proc and close_range.
    """
    try:
        yield
    except GuestError as error:
        without_both = surrounding.no_proc and surrounding.filter and not absent
        if not (absent or without_both) or "with status 1" not in error.cause:
            raise
        if not NAMED.search("\n".join((error.cause, *error.details))):
            raise Failed(f"the error does not name asynchronous teardown: {error.cause}") from error


@contextlib.contextmanager
def with_many(bench: Bench, surrounding: Surrounding) -> Iterator[Running]:
    """Start QEMU with thousands of inherited descriptors, most of them above RLIMIT_NOFILE."""
    with _pipe() as (_, writer):
        number = writer.fileno()
        many = msgspec.structs.replace(surrounding, copy_of=number, copies=COPIES, files=64)
        with bench.start(surrounding=many, pass_fds=(number,)) as running:
            yield running


def _reactions(bench: Bench, surrounding: Surrounding, figures: dict[str, float]) -> list[float]:
    """Return the times from QEMU's exit to the helper's, without that of the teardown.

    Raises Failed if their median exceeds REACTION_S.
    """
    whole_s = reference(bench, TINY_MIB)
    reactions: list[float] = []
    for _ in range(ROUNDS):
        with bench.start(memory_mib=TINY_MIB, surrounding=surrounding) as running:
            check_descriptors(running.pid, running.helper())
            reactions.append(check_end(end_first(running, signal.SIGKILL)) - whole_s)
    median_s = statistics.median(reactions)
    figures |= {"reaction_s": median_s, "teardown_s": whole_s}
    if median_s > REACTION_S:
        raise Failed(f"the helper exits {ms(median_s)} after QEMU")
    return reactions
