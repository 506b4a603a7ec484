"""Take samples. The avocado test calls these functions, which do not depend on avocado."""

import contextlib
import os
import platform
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError, TeardownError
from harness.guest.group import make_group
from harness.guest.hugepages import reserved
from harness.guest.machine import start
from harness.guest.memory import available_mib, memory_shortage, needed_mib, swapped_out_mib
from harness.guest.model import Guest
from harness.guest.spawn import spawn
from harness.jsonfile import utc_now
from harness.machine import cpu_model, mitigations, thp_mode
from harness.teardown.cpu import LOADED_CPUS, Load
from harness.teardown.meter import PREFIX, choose_meter
from harness.teardown.model import Cell, Sample, sample_of
from harness.teardown.watch import SIGNALS, Measured, measure, watch_end

RETURNED = 0.9
"""Share of the guest's memory that must be free at the end of reclaim."""


def machine_state() -> dict[str, object]:
    """Return fields of a Sample: the current load and memory of the machine, its settings, kernel and CPU."""
    return {
        "load1": round(os.getloadavg()[0], 2),
        "mem_available_mib": available_mib(),
        "thp": thp_mode(),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "mitigations": mitigations(),
    }


def take_samples(cells: Sequence[Cell], *, folder: Path) -> tuple[Sample, ...]:
    """Take a sample of each of ``cells``, one after another. QEMU's logs are written below ``folder``."""
    return tuple(
        take_sample(cell, log=folder / ("qemu.log" if len(cells) == 1 else f"qemu-{cell.index}.log"))
        for cell in cells
    )


def take_sample(cell: Cell, *, log: Path) -> Sample:
    """Start the guest of ``cell``, end it, and return the figures. QEMU's output is written to ``log``.

    A guest that does not fit into free memory is not started: outcome ``cancelled``. A HarnessError gives the
    outcome ``failed``; other exceptions are raised.
    """
    fields: dict[str, object] = {
        "started": utc_now("milliseconds"),
        **machine_state(),
    }
    shortage = _shortage(cell)
    if shortage is not None:
        return sample_of(cell, outcome="cancelled", reason=shortage, **fields)
    swapped, load = swapped_out_mib(), Load.now()
    outcome = "ok"
    try:
        reason = (
            _take_small(cell, log, fields) if cell.kind in ("floor", "overhead") else _take(cell, log, fields)
        )
    except _CannotReserveError as error:
        outcome, reason = "cancelled", str(error)
    except HarnessError as error:
        outcome, reason = "failed", error.cause
    foreign = load.foreign_cpus(Load.now())
    fields |= {"foreign_cpus": round(foreign, 3), "loaded": foreign > LOADED_CPUS}
    swapped = swapped_out_mib() - swapped
    if outcome == "ok" and swapped > 0:
        reason = f"the machine swapped out {swapped} MiB: turn swap off, or use smaller guests"
    if outcome == "ok" and reason:
        outcome = "failed"
    return sample_of(cell, outcome=outcome, reason=reason or "", **fields)


class _CannotReserveError(Exception):
    """The kernel cannot reserve the huge pages. The sample is cancelled; it has not failed."""


def _shortage(cell: Cell) -> str | None:
    if cell.kind in ("floor", "overhead"):
        return None
    if cell.kind == "restart" and cell.helper:
        # The second guest starts while the memory of the first one is being freed.
        needed = 2 * needed_mib(cell.memory_mib, cell.payload, cell.accel)
        room = available_mib()
        return None if needed <= room else f"two guests at once need {needed} MiB, {room} MiB are available"
    return memory_shortage(cell.memory_mib, cell.payload, cell.accel)


def guest_of(cell: Cell) -> Guest:
    """Return the guest that ``cell`` describes."""
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


def _take(cell: Cell, log: Path, fields: dict[str, object]) -> str | None:
    """Add figures to ``fields``. Return the reason if they cannot be used, else None.

    Raises HarnessError, _CannotReserveError.
    """
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
        fields |= {"start_s": round(machine.started_s, 6), "populated_mib": machine.populated_mib}
        measured = measure(
            machine,
            cell.trigger,
            timeout_s=cell.timeout_s,
            meter=meter if cell.kind == "teardown" else None,
            then=restart if cell.kind == "restart" else None,
        )
    if restarted:
        # The second guest is started when exit ends. The search for helpers was before the trigger.
        fields["restart_s"] = round(measured.exit_s + restarted[0], 6)
    fields |= _figures(measured) | {"returned_by": meter.name if cell.kind == "teardown" else ""}
    missing = (
        _missing_memory(measured, min(cell.memory_mib, machine.populated_mib))
        if meter.exact and cell.kind == "teardown"
        else None
    )
    return fault(cell, measured) or missing


def _take_small(cell: Cell, log: Path, fields: dict[str, object]) -> str | None:
    """Time the exit of a process with almost no memory (guest/programs/floor.c)."""
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reading)
        try:
            words = [cell.binary, str(cell.threads), str(writing)]
            child = stack.enter_context(spawn(words, pages="thp", pass_fds=(writing,), log=log))
        finally:
            os.close(writing)
        if os.read(reading, 1) != b"r":
            raise TeardownError("the floor process did not get ready", "read the log", log=log)

        def fire() -> int:
            began = time.monotonic_ns()
            signal.pidfd_send_signal(child.pidfd, SIGNALS[cell.trigger])
            return began

        _, measured = watch_end(child, fire, cell.trigger, timeout_s=cell.timeout_s)
    fields |= _figures(measured)
    return fault(cell, measured)


def _figures(measured: Measured) -> dict[str, object]:
    names = ("exit_s", "reclaim_s", "shutdown_s", "helpers", "exit_status", "threads")
    more = ("qemu_cpu_s", "helper_cpu_s", "held_at_exit_mib", "returned_mib")
    return {name: getattr(measured, name) for name in (*names, *more)}


def _missing_memory(measured: Measured, held_mib: int) -> str | None:
    """Cross-check reclaim: the memory must be free when the last process that shares it has ended."""
    if measured.returned_mib is None or measured.returned_mib >= RETURNED * held_mib:
        return None
    return (
        f"only {measured.returned_mib:.0f} of {held_mib} MiB were free after the last known process with"
        " QEMU's memory had ended"
    )


def fault(cell: Cell, measured: Measured) -> str | None:
    """Return the reason if the figures cannot be used, else None."""
    wanted = -SIGNALS[cell.trigger] if cell.trigger in ("sigkill", "sigabrt") else 0
    if measured.exit_status != wanted:
        status = measured.exit_status
        return (
            f"QEMU ended with {f'signal {-status}' if status < 0 else f'status {status}'} on {cell.trigger}"
        )
    if measured.stuck:
        return f"memory not freed {cell.timeout_s:g} s after QEMU's exit: {measured.stuck} helper(s) killed"
    if cell.helper and not measured.helpers:
        return (
            f"no helper shares QEMU's memory, though {cell.variant} was started with {' '.join(cell.options)}"
        )
    if not cell.helper and measured.helpers:
        return f"{measured.helpers} process(es) share QEMU's memory, though {cell.variant} should have none"
    return None
