"""Time cross-built QEMUs on an emulated host: the machine that they are built for, emulated by a native QEMU.

One boot runs all cells of a host. It uses Debian's kernel, and an initramfs with busybox, the cross-built
QEMUs, the libraries that they need, and guest/programs/measure.c. That program does the work of watch.py and
reports over the console. Each cell gives a sample, even if the host fails.
"""

import contextlib
import functools
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Subject
from harness.build.hosts import Host
from harness.errors import HarnessError
from harness.guest.console import LARGEST_LOG
from harness.guest.memory import memory_shortage
from harness.guest.model import TB_MIB
from harness.guest.shortage import end_in_shortage
from harness.guest.spawn import Child, spawn
from harness.jsonfile import utc_now
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter, Step
from harness.teardown.image import Image, make_image
from harness.teardown.model import Cell, EmulatedHost, Property, Sample, sample_of
from harness.teardown.records import ConsoleReader, GuestRecord
from harness.teardown.sample import fault
from harness.teardown.watch import Measured

CPUS = 2
OVERHEAD_MIB = 1024
"""Memory of the emulated host in addition to its largest guest: kernel, initramfs, QEMU, page tables."""
BOOT_LIMIT_S = 120.0
SILENCE_S = 30.0
"""Time limit of a record, in addition to twice -Dtimeout (once to start, once to end)."""
DYING_S = 2.0
"""Time for the kernel to print the rest of its panic message."""
SIZES = (128, 1024)
"""MiB of the guests, unless -Dmemory is given."""


@dataclass(frozen=True, kw_only=True)
class EmulatedRun:
    """Samples and facts of one emulated host."""

    facts: EmulatedHost
    samples: tuple[Sample, ...]


def machine_arguments(image: Image, emulator: Path, memory_mib: int, fd: int) -> list[str]:
    """Return QEMU's command line for the emulated host; its console is the connected socket ``fd``."""
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
    """Boot ``host`` under ``emulator``, a native QEMU, and time ``subjects`` on it.

    Raises the errors of fetching kernel, firmware and packages, and OptionError if there is nothing to time.
    Later errors give samples and properties that are cancelled (too little memory) or failed.
    """
    image = make_image(layout, options, host, subjects, reporter, sizes=SIZES, first_index=first_index)
    memory_mib = max(cell.memory_mib for cell in image.cells) + OVERHEAD_MIB
    words = functools.partial(machine_arguments, image, emulator, memory_mib)
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
            reporter.warn(f"emulated {host.name}: {session.failed_machine}; console: {log}.console")
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
    """Records → samples and properties. At the end each cell has a sample."""

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
            self._set(record.property, "failed" if record.error else "ok", record.error, record.detail)
        self.done = self.done or record.done

    def end(self, outcome: str, reason: str) -> None:
        """Give each cell and property without a record this ``outcome``."""
        self.seconds = round(time.monotonic() - self._began, 3)
        lost = "the record is missing or damaged on the console" if self.done else reason
        for cell in self.image.cells:
            if cell.index not in self.samples:
                self._keep(sample_of(cell, outcome=outcome, reason=lost, started=utc_now("milliseconds")))
        for name in self.image.properties:
            if name not in self.properties:
                self._set(name, outcome, lost)
        if not self.done and outcome == "failed":
            self.failed_machine = reason

    def _keep(self, sample: Sample) -> None:
        self.samples[sample.index] = sample
        if self._on_sample is not None:
            self._on_sample(sample)

    def _set(self, name: str, outcome: str, reason: str, detail: str = "") -> None:
        self.properties[name] = Property(name=name, outcome=outcome, reason=reason, detail=detail)


def sample_from(cell: Cell, record: GuestRecord) -> Sample:
    """Convert ``record`` to a sample of ``cell``. It fails as a native sample would (sample.fault)."""
    fields = {
        name: getattr(record, name) for name in ("start_s", "populated_mib", "load1", "mem_available_mib")
    }
    fields["started"] = utc_now("milliseconds")
    if record.error or record.exit_s is None:
        reason = record.error or "the record has no figures"
        return sample_of(cell, outcome="failed", reason=reason, **fields)
    measured = Measured(
        exit_s=record.exit_s,
        reclaim_s=None if record.stuck else record.reclaim_s,
        helpers=record.helpers,
        exit_status=record.exit_status,
        stuck=record.stuck,
    )
    reason = fault(cell, measured) or ""
    figures = {name: getattr(measured, name) for name in ("exit_s", "reclaim_s", "helpers", "exit_status")}
    return sample_of(cell, outcome="failed" if reason else "ok", reason=reason, **fields, **figures)


def _boot(
    session: _Session, words: Callable[[int], list[str]], log: Path, timeout_s: float, step: Step
) -> None:
    """Run the emulated host until it is done. Raises the errors of ``spawn``."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        with theirs:
            child = stack.enter_context(
                spawn(words(theirs.fileno()), pages="thp", pass_fds=(theirs.fileno(),), log=log)
            )
        sink = stack.enter_context(log.with_name(f"{log.name}.console").open("wb"))

        def read(limit_s: float) -> bytes | None:
            """Read from the console: empty at its end, None after the time limit."""
            ready, _, _ = select.select([ours], [], [], max(0.0, limit_s))
            if not ready:
                return None
            try:
                data = ours.recv(65536)
            except ConnectionError:
                return b""
            # A full disk must not stop the host, and the host must not fill the disk.
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
    """Feed the console to ``session`` until the host is done. Return the reason if it ends before that."""
    limit_s = BOOT_LIMIT_S
    deadline = time.monotonic() + limit_s
    dying = False
    while not session.done:
        data = read(deadline - time.monotonic())
        if not data and dying:
            return f"the kernel of the emulated host panicked: {session.console.panic}"
        if data is None:
            problem = "no record" if session.kernel else "did not boot"
            return f"the emulated host was killed: {problem} within {limit_s:g} s"
        if not data:
            child.has_ended(timeout_s=5)
            line = " ".join(child.last_lines()[-1:])
            return f"the emulated host ended{': ' if line else ' before it was done'}{line}"
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
