"""Time cross-built QEMUs on the machine they are built for, emulated by our own QEMU.

One boot holds all cells of a host: Debian's kernel, and an initramfs of busybox, the cross-built QEMUs, just
the libraries that they need, and guest/programs/measure.c, which does there what watch.py does here. It
reports over the console. Whatever goes wrong, each cell gives a sample.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.guest.console import LARGEST_LOG
from harness.guest.memory import memory_shortage
from harness.guest.model import TB_MIB
from harness.guest.shortage import end_in_shortage
from harness.guest.spawn import Child, spawn
from harness.jsonfile import utc_now
from harness.teardown.image import Image, make_image
from harness.teardown.model import Cell, EmulatedHost, Property, Sample, sample_of
from harness.teardown.records import ConsoleReader, GuestRecord
from harness.teardown.sample import fault
from harness.teardown.watch import Measured

if TYPE_CHECKING:
    from harness.bench import Subject
    from harness.build.hosts import Host
    from harness.layout import Layout
    from harness.options import Options
    from harness.progress import Reporter, Step

CPUS = 2
OVERHEAD_MIB = 1024
"""Memory of the machine beside its largest guest: kernel, initramfs, QEMU, page tables."""
BOOT_LIMIT_S = 120.0
SILENCE_S = 30.0
"""What a record may take beyond twice the limit of a guest, to start and to end."""
DYING_S = 2.0
"""What a kernel may take to say all of its last words."""
SIZES = (128, 1024)
"""MiB of the guests, unless -Dmemory says something else."""


@dataclass(frozen=True, kw_only=True)
class EmulatedRun:
    """What one emulated host gave."""

    facts: EmulatedHost
    samples: tuple[Sample, ...]


def machine_words(image: Image, emulator: Path, memory_mib: int, fd: int) -> list[str]:
    """QEMU's words for the emulated machine; its console is the connected socket ``fd``."""
    return [
        str(emulator),
        *("-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-machine", image.machine, "-accel", f"tcg,thread=multi,tb-size={TB_MIB}"),
        *("-smp", str(CPUS), "-m", f"{memory_mib}M"),
        *(word for folder in image.firmware for word in ("-L", folder)),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *("-append", f"console={image.console} panic=-1 loglevel=4"),
        *("-chardev", f"socket,id=console,fd={fd}", *image.console_words),
        "-no-reboot",
    ]


def run_emulated(
    layout: Layout,
    options: Options,
    host: Host,
    subjects: Sequence[Subject],
    reporter: Reporter,
    *,
    emulator: Path,
    first_index: int = 1,
    on_sample: Callable[[Sample], None] | None = None,
) -> EmulatedRun:
    """Boot ``host`` under ``emulator``, a QEMU that runs here, and time ``subjects`` in it.

    Raises what fetching kernel, firmware and packages raises, OptionError when there is nothing to time.
    Everything later is in the samples and properties: cancelled (too little memory) or failed.
    """
    image = make_image(layout, options, host, subjects, reporter, sizes=SIZES, first_index=first_index)
    memory_mib = max(cell.memory_mib for cell in image.cells) + OVERHEAD_MIB
    words = functools.partial(machine_words, image, emulator, memory_mib)
    session = _Session(image, on_sample)
    reason = memory_shortage(memory_mib, "linux", "tcg")
    log = layout.logs / f"emulated-{host.name}.log"
    if reason is not None:
        session.end("cancelled", f"the emulated {host.name} {reason}")
    else:
        with reporter.step(f"teardown of {len(image.cells)} guests on an emulated {host.name}") as step:
            try:
                _boot(session, words, log, options.timeout, step)
            except HarnessError as error:
                session.end("failed", error.cause)
        if session.failed_machine:
            reporter.warn(f"emulated {host.name}: {session.failed_machine}; its console is in {log}.console")
            for line in session.console.last_lines()[-8:]:
                reporter.warn(f"  {line}")
    return EmulatedRun(
        facts=EmulatedHost(
            host=host.name,
            kernel=session.kernel or image.release,
            cpus=CPUS,
            memory_mib=memory_mib,
            accel="tcg",
            boot_s=session.boot_s,
            seconds=session.seconds,
            properties=tuple(session.properties[name] for name in sorted(session.properties)),
        ),
        samples=tuple(session.samples[cell.index] for cell in image.cells),
    )


class _Session:
    """Records as they come in → samples and properties; at the end every cell has one."""

    def __init__(self, image: Image, on_sample: Callable[[Sample], None] | None) -> None:
        self.image = image
        self.console = ConsoleReader()
        self.samples: dict[int, Sample] = {}
        self.properties: dict[str, Property] = {}
        self.kernel = ""
        self.boot_s: float | None = None
        self.seconds: float | None = None
        self.failed_machine = ""
        self.done = False
        self._cells = {cell.index: cell for cell in image.cells}
        self._on_sample = on_sample
        self._began = time.monotonic()

    @property
    def count(self) -> tuple[int, int]:
        return (
            len(self.samples) + len(self.properties),
            len(self._cells) + len(self.image.properties),
        )

    def take(self, record: GuestRecord) -> None:
        if record.kernel:
            self.kernel = record.kernel
            self.boot_s = round(time.monotonic() - self._began, 3)
        elif record.index in self._cells and record.index not in self.samples:
            self._keep(sample_from(self._cells[record.index], record))
        elif record.property in self.image.properties:
            self._tell(record.property, "failed" if record.error else "ok", record.error, record.detail)
        self.done = self.done or record.done

    def end(self, outcome: str, reason: str) -> None:
        """Give everything that has not been heard of this ``outcome``."""
        self.seconds = round(time.monotonic() - self._began, 3)
        lost = "its report was lost on the console" if self.done else reason
        for cell in self.image.cells:
            if cell.index not in self.samples:
                self._keep(sample_of(cell, outcome=outcome, reason=lost, started=utc_now("milliseconds")))
        for name in self.image.properties:
            if name not in self.properties:
                self._tell(name, outcome, lost)
        if not self.done and outcome == "failed":
            self.failed_machine = reason

    def _keep(self, sample: Sample) -> None:
        self.samples[sample.index] = sample
        if self._on_sample is not None:
            self._on_sample(sample)

    def _tell(self, name: str, outcome: str, reason: str, detail: str = "") -> None:
        self.properties[name] = Property(name=name, outcome=outcome, reason=reason, detail=detail)


def sample_from(cell: Cell, record: GuestRecord) -> Sample:
    """The sample that ``record`` makes of ``cell``; the same faults count as here (sample.fault)."""
    seen = {
        name: getattr(record, name) for name in ("start_s", "populated_mib", "load1", "mem_available_mib")
    }
    seen["started"] = utc_now("milliseconds")
    if record.error or record.exit_s is None:
        reason = record.error or "the report has no figures"
        return sample_of(cell, outcome="failed", reason=reason, **seen)
    measured = Measured(
        exit_s=record.exit_s,
        reclaim_s=None if record.stuck else record.reclaim_s,
        helpers=record.helpers,
        exit_status=record.exit_status,
        stuck=record.stuck,
    )
    reason = fault(cell, measured) or ""
    figures = {name: getattr(measured, name) for name in ("exit_s", "reclaim_s", "helpers", "exit_status")}
    return sample_of(cell, outcome="failed" if reason else "ok", reason=reason, **seen, **figures)


def _boot(
    session: _Session, words: Callable[[int], list[str]], log: Path, timeout_s: float, step: Step
) -> None:
    """Run the machine until it is done; raises what ``spawn`` raises."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        with theirs:
            child = stack.enter_context(
                spawn(words(theirs.fileno()), pages="thp", pass_fds=(theirs.fileno(),), log=log)
            )
        sink = stack.enter_context(log.with_name(f"{log.name}.console").open("wb"))

        def read(limit_s: float) -> bytes | None:
            """More of the console; empty at its end, None when the limit has passed."""
            ready, _, _ = select.select([ours], [], [], max(0.0, limit_s))
            if not ready:
                return None
            try:
                data = ours.recv(65536)
            except ConnectionError:
                return b""
            # A full disk must not stop the machine, nor the machine fill the disk.
            with contextlib.suppress(OSError):
                if sink.tell() < LARGEST_LOG:
                    sink.write(data)
                    sink.flush()
            return data

        watch = stack.enter_context(end_in_shortage(child))
        reason = _follow(session, read, child, timeout_s, step)
        session.end("failed", watch.reason or reason)


def _follow(
    session: _Session,
    read: Callable[[float], bytes | None],
    child: Child,
    timeout_s: float,
    step: Step,
) -> str:
    """Feed the console to ``session`` until the machine is done; else why it will never be."""
    limit_s = BOOT_LIMIT_S
    deadline = time.monotonic() + limit_s
    dying = False
    while not session.done:
        data = read(deadline - time.monotonic())
        if not data and dying:
            return f"the emulated machine's kernel died: {session.console.panic}"
        if data is None:
            what = "no report" if session.kernel else "did not boot"
            return f"the emulated machine was ended: {what} in {limit_s:g} s"
        if not data:
            child.has_ended(timeout_s=5)
            said = " ".join(child.last_lines()[-1:])
            return f"the emulated machine ended{': ' if said else ' before it was done'}{said}"
        records = session.console.feed(data)
        for record in records:
            session.take(record)
            limit_s = 2 * timeout_s + SILENCE_S
            deadline = time.monotonic() + limit_s
            step.update(*session.count, record.property or "")
        if session.console.panic and not dying:
            dying = True  # more lines follow, then QEMU ends: panic=-1, -no-reboot
            deadline = time.monotonic() + DYING_S
    return ""
