"""Row 16: memory that QEMU shares with other processes, such as a vhost-user device, keeps its content."""

import mmap
import os
import signal
from contextlib import ExitStack
from pathlib import Path

from harness.errors import GuestError
from harness.guest.hugepages import free_hugepages_mib, reserved
from harness.properties.bench import Bench, Running
from harness.properties.outcome import Cancelled, Failed, Parts

SIZES_MIB = (256, 48)
"""Enough for a helper to free memory in parallel, and too little for that."""
MIB = 1 << 20


def shared_memory(bench: Bench, parts: Parts) -> None:
    """Row 16. Another process, here this one, has the memory of the guest too."""
    bench.require_option()
    for backend in ("memfd", "file", "hugetlb"):
        for size in SIZES_MIB:
            for name, number in (("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
                with parts.part(f"{backend}, {size} MiB, {name}"), ExitStack() as stack:
                    if backend == "hugetlb":
                        try:
                            stack.enter_context(reserved(size))
                        except GuestError as error:
                            raise Cancelled(error.cause) from error
                    _check_content(bench, backend, size, number)
    with parts.part("file, not shared: QEMU's changes are dropped"):
        _check_private(bench)


def _end(running: Running, number: int) -> None:
    helpers = running.end_by(number, helper_limit_s=20)
    if not helpers.helpers or helpers.reclaim_s is None:
        raise Failed("no helper freed the memory")


def _check_content(bench: Bench, backend: str, size: int, number: int) -> None:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(bench.start(memory_mib=size, backend=backend))
        except GuestError as error:
            if backend == "hugetlb" and free_hugepages_mib() < size:
                raise Cancelled("another process released or took the reserved huge pages") from error
            raise
        descriptor = _open_memory(running.pid, size * MIB)
        try:
            with mmap.mmap(descriptor, size * MIB) as view:
                _stamp(view)
                _end(running, number)
                _compare(view, os.fstat(descriptor).st_size, size * MIB)
        finally:
            os.close(descriptor)


def _open_memory(pid: int, size: int) -> int:
    """Open the file that QEMU maps as guest memory: of all mapped files, the one of that size."""
    found = set()
    for entry in Path(f"/proc/{pid}/map_files").iterdir():
        low, high = (int(part, 16) for part in entry.name.split("-"))
        if high - low == size:
            found.add(entry)
    for entry in sorted(found):
        descriptor = os.open(entry, os.O_RDWR)
        if os.fstat(descriptor).st_size == size:
            return descriptor
        os.close(descriptor)
    raise Cancelled("the file that QEMU maps as guest memory is not found")


def _stamp(view: mmap.mmap) -> None:
    """Write another number to the start of each page, and to its end."""
    for page in range(0, len(view), mmap.PAGESIZE):
        stamp = (page ^ 0x5A5A_0000_A5A5).to_bytes(8, "little")
        view[page : page + 8] = stamp
        view[page + mmap.PAGESIZE - 8 : page + mmap.PAGESIZE] = stamp


def _compare(view: mmap.mmap, size: int, wanted: int) -> None:
    """Raise Failed unless the memory has its size and all numbers of _stamp."""
    if size != wanted:
        raise Failed(f"the memory has {size} bytes after QEMU's end, {wanted} before")
    for page in range(0, len(view), mmap.PAGESIZE):
        stamp = (page ^ 0x5A5A_0000_A5A5).to_bytes(8, "little")
        if view[page : page + 8] != stamp or view[page + mmap.PAGESIZE - 8 : page + mmap.PAGESIZE] != stamp:
            raise Failed(f"shared memory has another content after QEMU's end, first at {page / MIB:g} MiB")


def _check_private(bench: Bench) -> None:
    """A file that is mapped with share=off has its own content after QEMU's end."""
    path, size = bench.work / "image", 64 * MIB
    content = bytes(range(256)) * (size // 256)
    path.write_bytes(content)
    backend = f"memory-backend-file,id=other,share=off,size={size},mem-path={str(path).replace(',', ',,')}"
    try:
        with bench.start("-object", f"{backend},prealloc=on") as running:
            _end(running, signal.SIGKILL)
        if path.read_bytes() != content:
            raise Failed("the file has another content after QEMU's end")
    finally:
        path.unlink(missing_ok=True)
