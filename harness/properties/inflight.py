"""Row 18: writes in flight when QEMU is killed are over when its helper has ended.

The kernel waits for requests of aio=native on behalf of the last user of an address space (exit_aio()), which
is the helper. The disk is slowed down by a control group, so that QEMU is killed long before the last block.
"""

import contextlib
import mmap
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import GuestError
from harness.guest.spawn import wait_pidfd
from harness.properties.bench import Bench, Running, Surrounding
from harness.properties.outcome import Cancelled, Failed, Parts, arranged
from harness.properties.tails import ms

MIB = 1 << 20
WRITTEN = 16 * MIB
RATE = 8 * MIB
"""Bytes that the disk writes in a second."""
PATTERN = 0xCD
"""What the command aio_write of qemu-io(1) writes."""
SUBMITTED_S = 0.2
LEFT_S = 0.5
"""A write that is over so soon was not slowed down."""
LIMIT_S = 30.0
BLOCK = 4096
UNSUPPORTED = re.compile(
    r"not supported in this build|invalid aio option|does not accept value|Invalid parameter"
)


def io_over(bench: Bench, parts: Parts) -> None:
    """Row 18."""
    bench.require_option()
    for aio in ("native", "threads"):
        with parts.part(f"aio={aio}: over when the helper ends") as figures:
            measure(bench, aio, figures)
            if (late_s := figures["landed_s"] - figures["helper_s"]) > 0:
                raise Failed(f"a block arrives {ms(late_s)} after the helper's end")
    with parts.part("aio=io_uring: measured, no process waits for it") as figures:
        measure(bench, "io_uring", figures)


def measure(bench: Bench, aio: str, figures: dict[str, float]) -> None:
    """Kill QEMU during a write of 16 MiB. Raises Cancelled without a disk that can be slowed down.

    ``figures`` get the seconds after the signal until QEMU's exit, the end of its helper, and the arrival of
    the last block.
    """
    image = bench.work / "image"
    image.write_bytes(bytes(WRITTEN))
    try:
        with image.open("rb") as stream:
            os.fsync(stream.fileno())
        with slow_disk(image) as group:
            figures |= _killed(bench, aio, image, group)
    finally:
        image.unlink(missing_ok=True)
    if figures["landed_s"] < LEFT_S:
        raise Cancelled(f"the disk was not slowed down: 16 MiB were written after {ms(figures['landed_s'])}")


def _killed(bench: Bench, aio: str, image: Path, group: Path) -> dict[str, float]:
    name = str(image).replace(",", ",,")
    drive = f"if=none,id=d0,file={name},format=raw,cache=none,aio={aio}"
    try:
        with (
            arranged(),
            bench.start("-drive", drive, surrounding=Surrounding(cgroup=str(group))) as running,
            running.helper_pidfd() as helper,
        ):
            running.execute("human-monitor-command", command_line=f'qemu-io d0 "aio_write 0 {WRITTEN}"')
            time.sleep(SUBMITTED_S)
            return _watch(running, helper, image)
    except GuestError as error:
        if UNSUPPORTED.search("\n".join((error.cause, *error.details))):
            raise Cancelled(f"the build has no aio={aio}") from error
        raise


def _watch(running: Running, helper: int, image: Path) -> dict[str, float]:
    """Kill QEMU, and record each event when it has happened. Raises Failed if one does not happen."""
    began = time.monotonic()
    running.signal(signal.SIGKILL)
    seen: dict[str, float] = {}
    with _last_block(image) as landed:
        events: dict[str, Callable[[], bool]] = {
            "exit": lambda: wait_pidfd(running.pidfd, 0),
            "helper": lambda: wait_pidfd(helper, 0),
            "landed": landed,
        }
        # In this order: a block that is missing after the helper's end is found to be missing.
        while len(seen) < len(events) and time.monotonic() - began < LIMIT_S:
            for event, holds in events.items():
                if event not in seen and holds():
                    seen[event] = time.monotonic() - began
                    if event == "helper" and landed():
                        seen["landed"] = min(seen.get("landed", seen[event]), seen[event])
            time.sleep(0.002)
    if len(seen) < len(events):
        raise Failed(f"after {LIMIT_S:.0f} s, this has not happened: {', '.join(set(events) - set(seen))}")
    return {f"{event}_s": seconds for event, seconds in seen.items()}


@contextlib.contextmanager
def _last_block(image: Path) -> Iterator[Callable[[], bool]]:
    """Yield a function that reads the last block from the disk, not from the page cache."""
    descriptor = os.open(image, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, BLOCK) as buffer:

            def landed() -> bool:
                os.preadv(descriptor, [buffer], WRITTEN - BLOCK)
                return buffer[0] == PATTERN

            yield landed
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def slow_disk(image: Path) -> Iterator[Path]:
    """Yield a control group, v1 or v2, in which the disk of ``image`` writes RATE bytes in a second.

    Raises Cancelled if there is no such disk or controller, or no permission.
    """
    disk = _disk_of(image)
    top = Path("/sys/fs/cgroup")
    old = (top / "blkio").is_dir()
    folder = (top / "blkio" if old else top) / f"properties-{os.getpid()}"
    try:
        if not old:
            (top / "cgroup.subtree_control").write_text("+io", encoding="ascii")
        folder.mkdir()
    except OSError as error:
        raise Cancelled(f"cannot create a control group for the disk: {error.strerror}") from error
    try:
        name, text = ("blkio.throttle.write_bps_device", "{} {}") if old else ("io.max", "{} wbps={}")
        try:
            # Without the file, the kernel lacks the controller; it refuses to create one.
            (folder / name).write_text(text.format(disk, RATE), encoding="ascii")
        except OSError as error:
            raise Cancelled(f"cannot slow the disk {disk} down: {name}: {error.strerror}") from error
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _disk_of(path: Path) -> str:
    """Return major and minor number of the whole disk that a file is on. Raises Cancelled."""
    device = path.stat().st_dev
    entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not entry.exists():
        raise Cancelled(f"{path.parent} is not on a disk of its own that can be slowed down")
    entry = entry.resolve()
    if (entry / "partition").exists():
        entry = entry.parent
    return (entry / "dev").read_text(encoding="ascii").strip()
