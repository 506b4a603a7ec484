"""Take samples: what the avocado test does, kept apart from avocado."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError, TeardownError
from harness.guest import Guest, available_mib, memory_shortage, needed_mib, start, swapped_out_mib
from harness.guest.group import make_group
from harness.guest.hugepages import reserved
from harness.guest.spawn import spawn
from harness.jsonfile import utc_now
from harness.machine import cpu_model, mitigations, thp_mode
from harness.teardown.cpu import LOADED_CPUS, Load
from harness.teardown.meter import PREFIX, choose_meter
from harness.teardown.model import Cell, Sample, sample_of
from harness.teardown.watch import SIGNALS, Measured, measure, watch_end

RETURNED = 0.9
"""Of the guest's memory, so much must be back when reclaim is said to be over."""


def machine_state() -> dict[str, object]:
    """Fields of a Sample: load, memory and settings of the machine now, and its kernel and processor."""
    return {
        "load1": round(os.getloadavg()[0], 2),
        "mem_available_mib": available_mib(),
        "thp": thp_mode(),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "mitigations": mitigations(),
    }


def take_samples(cells: Sequence[Cell], *, folder: Path) -> tuple[Sample, ...]:
    """A sample for each of ``cells``, one after another; QEMU's logs go below ``folder``."""
    return tuple(
        take_sample(cell, log=folder / ("qemu.log" if len(cells) == 1 else f"qemu-{cell.index}.log"))
        for cell in cells
    )


def take_sample(cell: Cell, *, log: Path) -> Sample:
    """Start the guest of ``cell``, end it, and say what was seen. QEMU's output goes to ``log``.

    A guest that does not fit into memory now is not started: outcome ``cancelled``. Errors of the harness
    become outcome ``failed``; anything else is raised.
    """
    seen: dict[str, object] = {
        "started": utc_now("milliseconds"),
        **machine_state(),
    }
    reason = _why_not(cell)
    if reason is not None:
        return sample_of(cell, outcome="cancelled", reason=reason, **seen)
    swapped, load = swapped_out_mib(), Load.now()
    outcome = "ok"
    try:
        fault_ = (
            _take_small(cell, log, seen) if cell.kind in ("floor", "overhead") else _take(cell, log, seen)
        )
    except _CannotReserveError as error:
        outcome, fault_ = "cancelled", str(error)
    except HarnessError as error:
        outcome, fault_ = "failed", error.cause
    foreign = load.foreign_cpus(Load.now())
    seen |= {"foreign_cpus": round(foreign, 3), "loaded": foreign > LOADED_CPUS}
    swapped = swapped_out_mib() - swapped
    if outcome == "ok" and swapped > 0:
        fault_ = f"the machine wrote {swapped} MiB to swap meanwhile: turn swap off, or use smaller guests"
    if outcome == "ok" and fault_:
        outcome = "failed"
    return sample_of(cell, outcome=outcome, reason=fault_ or "", **seen)


class _CannotReserveError(Exception):
    """Huge pages are not to be had: not the guest's fault."""


def _why_not(cell: Cell) -> str | None:
    if cell.kind in ("floor", "overhead"):
        return None
    if cell.kind == "restart" and cell.helper:
        # The second guest comes while the first one's memory is still on its way back.
        needed = 2 * needed_mib(cell.memory_mib, cell.payload, cell.accel)
        room = available_mib()
        return None if needed <= room else f"two guests at once need {needed} MiB, {room} MiB are available"
    return memory_shortage(cell.memory_mib, cell.payload, cell.accel)


def guest_of(cell: Cell) -> Guest:
    """The guest that ``cell`` describes."""
    return Guest(
        binary=Path(cell.binary),
        target=cell.target,
        memory_mib=cell.memory_mib,
        backend=cell.backend,
        pages=cell.pages,
        accel=cell.accel,
        payload=cell.payload,
        firmware=tuple(Path(folder) for folder in cell.firmware),
        options=cell.options,
        kernel=Path(cell.kernel) if cell.kernel else None,
        initrd=Path(cell.initrd) if cell.initrd else None,
    )


def _take(cell: Cell, log: Path, seen: dict[str, object]) -> str | None:
    """Fill ``seen``; why it cannot be used, or None. Raises HarnessError, _CannotReserveError."""
    guest = guest_of(cell)
    restarted: list[float] = []

    def restart() -> None:
        began = time.monotonic()
        with start(guest, log=log.with_name(f"{log.name}.second"), timeout_s=cell.timeout_s):
            restarted.append(time.monotonic() - began)

    with contextlib.ExitStack() as stack:
        if cell.backend == "hugetlb":
            guests = 2 if cell.kind == "restart" and cell.helper else 1
            try:
                stack.enter_context(reserved(guests * cell.memory_mib))
            except HarnessError as error:
                raise _CannotReserveError(error.cause) from error
        group = stack.enter_context(make_group(PREFIX))
        meter = choose_meter(group, cell.backend)
        machine = stack.enter_context(start(guest, log=log, timeout_s=cell.timeout_s, group=group))
        seen |= {"start_s": round(machine.started_s, 6), "populated_mib": machine.populated_mib}
        measured = measure(
            machine,
            cell.trigger,
            timeout_s=cell.timeout_s,
            meter=meter if cell.kind == "teardown" else None,
            then=restart if cell.kind == "restart" else None,
        )
    if restarted:
        # The second start begins where exit ends; looking up who shares memory came before the trigger.
        seen["restart_s"] = round(measured.exit_s + restarted[0], 6)
    seen |= _figures(measured) | {"returned_by": meter.name if cell.kind == "teardown" else ""}
    lost = (
        _lost(measured, min(cell.memory_mib, machine.populated_mib))
        if meter.exact and cell.kind == "teardown"
        else None
    )
    return fault(cell, measured) or lost


def _take_small(cell: Cell, log: Path, seen: dict[str, object]) -> str | None:
    """The end of a process that has next to nothing to tear down (guest/programs/floor.c)."""
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reading)
        try:
            words = [cell.binary, str(cell.threads), str(writing)]
            child = stack.enter_context(spawn(words, pages="thp", pass_fds=(writing,), log=log))
        finally:
            os.close(writing)
        if os.read(reading, 1) != b"r":
            raise TeardownError("the floor's process did not get ready", "see the log", log=log)

        def fire() -> int:
            began = time.monotonic_ns()
            signal.pidfd_send_signal(child.pidfd, SIGNALS[cell.trigger])
            return began

        _, measured = watch_end(child, fire, cell.trigger, timeout_s=cell.timeout_s)
    seen |= _figures(measured)
    return fault(cell, measured)


def _figures(measured: Measured) -> dict[str, object]:
    names = ("exit_s", "reclaim_s", "shutdown_s", "helpers", "exit_status", "threads")
    more = ("qemu_cpu_s", "helper_cpu_s", "held_at_exit_mib", "returned_mib")
    return {name: getattr(measured, name) for name in (*names, *more)}


def _lost(measured: Measured, held_mib: int) -> str | None:
    """The cross-check on reclaim: memory must be back when its last owner is said to be gone."""
    if measured.returned_mib is None or measured.returned_mib >= RETURNED * held_mib:
        return None
    return (
        f"only {measured.returned_mib:.0f} of {held_mib} MiB had come back when the last process that"
        " was seen to hold them was gone"
    )


def fault(cell: Cell, measured: Measured) -> str | None:
    """Why the figures cannot be used, or None."""
    wanted = -SIGNALS[cell.trigger] if cell.trigger in ("sigkill", "sigabrt") else 0
    if measured.exit_status != wanted:
        status = measured.exit_status
        return (
            f"QEMU ended with {f'signal {-status}' if status < 0 else f'status {status}'} on {cell.trigger}"
        )
    if measured.stuck:
        return f"memory not back {cell.timeout_s:g} s after QEMU's end: {measured.stuck} helper(s) killed"
    if cell.helper and not measured.helpers:
        return (
            f"no helper shares QEMU's memory, though {cell.variant} was started with {' '.join(cell.options)}"
        )
    if not cell.helper and measured.helpers:
        return f"{measured.helpers} process(es) share QEMU's memory, though {cell.variant} should have none"
    return None
