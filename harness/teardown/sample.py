"""Take one sample: what the avocado test does, kept apart from avocado."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from harness.errors import HarnessError
from harness.guest import Guest, available_mib, start, swapped_out_mib, why_not
from harness.teardown.model import Cell, Sample, sample_of
from harness.teardown.watch import SIGNALS, Measured, measure


def take_sample(cell: Cell, *, log: Path) -> Sample:
    """Start the guest of ``cell``, end it, and say what was seen. QEMU's output goes to ``log``.

    A guest that does not fit into memory now is not started: outcome ``cancelled``. Errors of the harness
    become outcome ``failed``; anything else is raised.
    """
    seen: dict[str, object] = {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "load1": round(os.getloadavg()[0], 2),
        "mem_available_mib": available_mib(),
    }
    reason = why_not(cell.memory_mib, cell.payload, cell.accel)
    if reason is not None:
        return sample_of(cell, outcome="cancelled", reason=reason, **seen)
    guest = Guest(
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
    swapped = swapped_out_mib()
    try:
        with start(guest, log=log, timeout_s=cell.timeout_s) as machine:
            seen |= {"start_s": round(machine.started_s, 6), "populated_mib": machine.populated_mib}
            measured = measure(machine, cell.trigger, timeout_s=cell.timeout_s)
    except HarnessError as error:
        return sample_of(cell, outcome="failed", reason=error.cause, **seen)
    seen |= {
        "exit_s": measured.exit_s,
        "reclaim_s": measured.reclaim_s,
        "shutdown_s": measured.shutdown_s,
        "helpers": measured.helpers,
        "exit_status": measured.exit_status,
    }
    reason = fault(cell, measured)
    swapped = swapped_out_mib() - swapped
    if swapped > 0:
        reason = f"the machine wrote {swapped} MiB to swap meanwhile: turn swap off, or use smaller guests"
    return sample_of(cell, outcome="failed" if reason else "ok", reason=reason or "", **seen)


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
