"""Row 9: QEMU without its helper, which was killed, works in full."""

import os
import re
import signal
import time
from pathlib import Path

import msgspec

from harness.errors import GuestError, HarnessError
from harness.properties import bpf, status
from harness.properties.bench import Bench, Running, Surrounding, soon
from harness.properties.configurations import SANITIZED, Rebuild
from harness.properties.outcome import Cancelled, Failed, Parts

PLUGGED = 256 << 20
"""Bytes of each additional memory backend, which QEMU does not touch."""
SMALL = 1 << 20
CPU_S = 0.4
BUSY = 0.5
"""Share of a CPU that a QEMU with stopped vCPUs may want."""


def helper_killed(bench: Bench, parts: Parts) -> None:
    """Row 9."""
    bench.require_option()
    # Freed memory is overwritten, so that QEMU cannot use it unnoticed (mallopt(3), M_PERTURB).
    overwritten = Surrounding(environment={"MALLOC_PERTURB_": "165"})
    with bench.start(*slots(bench), memory_mib=64, surrounding=overwritten) as running:
        before = running.warnings()
        with parts.part("reaped"):
            plug(running, "before", bench.task.binary.target)
            os.kill(running.helper(), signal.SIGKILL)
            if not soon(lambda: not running.helpers() and not status.zombies_below(running.pid)):
                raise Failed("a zombie remains" if status.zombies_below(running.pid) else "it does not end")
        with parts.part("QEMU continues"):
            running.execute("query-status")
        with parts.part("one warning"):
            soon(lambda: running.warnings() > before)
            time.sleep(0.2)  # a second one would follow now
            count = running.warnings() - before
            if count != 1:
                raise Failed(f"QEMU prints {count or 'no'} warnings")
        with parts.part("QEMU does not keep a CPU busy") as figures:
            figures["busy"] = busy = busy_share(running.pid)
            if busy > BUSY:
                raise Failed(f"QEMU uses {busy:.0%} of a CPU while the guest is stopped")
        with parts.part("memory is plugged and unplugged"):
            exercise(running, bench.task.binary.target)
        with parts.part("later teardown is synchronous"):
            ended = running.end_by(signal.SIGTERM)
            if ended.helpers:
                raise Failed(f"{ended.helpers} processes still shared the memory")
    with parts.part("QEMU does not wait for a helper that is traced"):
        _check_traced(bench)
    with parts.part("the same under the address sanitizer"):
        _check_sanitized(bench)


def _check_traced(bench: Bench) -> None:
    """Kill a helper that is traced: until its tracer has waited for it, its parent cannot (ptrace(2))."""
    with bench.start() as running:
        helper = running.helper()
        try:
            bpf.seize(helper)
        except OSError as error:
            raise Cancelled(f"cannot trace the helper: {error.strerror}") from error
        try:
            os.kill(helper, signal.SIGKILL)
            soon(lambda: running.warnings() > 0)
            try:
                running.execute("query-status")
            except GuestError as error:
                raise Failed(f"QEMU waits for the tracer: {error.cause}") from error
        finally:
            os.waitpid(helper, bpf.WALL)
        if not soon(lambda: not status.zombies_below(running.pid)):
            raise Failed("a zombie remains")


def _check_sanitized(bench: Bench) -> None:
    """Kill the helper of a QEMU whose sources of the feature are compiled with ASan, and use its memory."""
    built = Rebuild(bench, SANITIZED).link()
    binary = msgspec.structs.replace(bench.task.binary, path=str(built))
    surrounding = Surrounding(environment={"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"})
    with bench.start(*slots(bench), binary=binary, surrounding=surrounding) as running:
        target = bench.task.binary.target
        try:
            plug(running, "before", target)
            os.kill(running.helper(), signal.SIGKILL)
            soon(lambda: not running.helpers() and running.warnings() > 0, 5)
            exercise(running, target)
            running.end_by(signal.SIGTERM)
        except (Failed, HarnessError) as problem:
            report = re.search(r"ERROR: AddressSanitizer: (.*)", running.log())
            if report:
                raise Failed(f"AddressSanitizer: {report[1]}") from problem
            raise


def slots(bench: Bench) -> tuple[str, ...]:
    """Return the arguments of a guest that runs without a disk, and to which memory can be added."""
    if bench.task.binary.target != "x86_64-softmmu":
        # The firmware of s390x ends in a disabled wait, which QEMU takes for a panic.
        return ("-action", "panic=none")
    return ("-m", "slots=8,maxmem=8G")


def plug(running: Running, name: str, target: str) -> None:
    """Add a memory backend, and on x86_64 a DIMM that uses it. Raises GuestError."""
    running.execute("object-add", qom_type="memory-backend-ram", id=f"m-{name}", size=PLUGGED)
    if target == "x86_64-softmmu":
        running.execute("device_add", driver="pc-dimm", id=f"d-{name}", memdev=f"m-{name}")


def exercise(running: Running, target: str) -> None:
    """Add and remove memory, run and stop the guest. Raises Failed if QEMU does not do all of it."""
    try:
        for number in range(2):
            # Removed at once, because only the guest's operating system can release a DIMM.
            for size in (PLUGGED, SMALL):
                running.execute("object-add", qom_type="memory-backend-ram", id=f"b{number}", size=size)
                running.execute("object-del", id=f"b{number}")
            plug(running, f"after{number}", target)
        running.execute("cont")
        running.execute("query-status")
        running.execute("stop")
        answer = running.execute("query-memory-devices")
    except GuestError as error:
        raise Failed(f"QEMU does not work in full any more: {error.cause}") from error
    if target == "x86_64-softmmu" and len(answer) != 3:
        raise Failed(f"QEMU has {len(answer)} DIMMs, not 3")


def busy_share(pid: int) -> float:
    """Return the share of a CPU that the busiest thread of a process wants: it runs, or waits for a CPU."""

    def wanted_s() -> dict[str, float]:
        # Nanoseconds on a CPU and on a run queue (Linux, scheduler/sched-stats.rst).
        texts = {task.name: (task / "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()}
        return {name: sum(map(int, text.split()[:2])) * 1e-9 for name, text in texts.items()}

    before, began = wanted_s(), time.monotonic()
    time.sleep(CPU_S)
    passed_s = time.monotonic() - began
    return max(after - before.get(name, after) for name, after in wanted_s().items()) / passed_s
