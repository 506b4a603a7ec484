"""How long does the end of a process take if another one keeps the descriptor of its memory open?

    python -m tests.experiments.kept --mib 2048 --rounds 5

A process fills memory that it does not map: a memfd that it writes to, or a guest_memfd of KVM, as the
private memory of a confidential guest. It is killed. Without a keeper, its exit frees the memory. With one,
that of the keeper does. docs/reclaim.md has the figures.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import random
import select
import signal
import statistics
import struct
import sys
import time

KVM_CREATE_VM, KVM_CREATE_GUEST_MEMFD = 0xAE01, 0xC040AED4  # linux/kvm.h
FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h
CHUNK = 1 << 20
KINDS = ("memfd", "guest_memfd")


def fill(kind: str, mib: int) -> int:
    """Return the descriptor of ``mib`` MiB of memory that exists and is not mapped. Raises OSError."""
    if kind == "memfd":
        memory = os.memfd_create("experiment")
        zeros = bytes(CHUNK)
        for number in range(mib):
            os.pwrite(memory, zeros, number * CHUNK)
        return memory
    machine = fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC), KVM_CREATE_VM, 0)
    # struct kvm_create_guest_memfd: size, flags, reserved[6]
    request = bytearray(struct.pack("8Q", mib * CHUNK, *[0] * 7))
    memory = int(fcntl.ioctl(machine, KVM_CREATE_GUEST_MEMFD, request))
    # fallocate(2): guest_memfd demands that the size stays.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(memory, FALLOC_FL_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(mib * CHUNK)):
        raise OSError(ctypes.get_errno(), "fallocate")
    return memory


def own(kind: str, mib: int, writer: int, *, keep: bool) -> None:
    """Create the memory and a keeper, report the pid of the keeper, and wait."""
    memory = fill(kind, mib)
    me = os.pidfd_open(os.getpid())
    keeper = os.fork() if keep else 0
    if keep and not keeper:
        # Only the memory stays open: the machine of KVM and the pipe are the owner's.
        os.closerange(0, memory)
        os.closerange(memory + 1, me)
        os.closerange(me + 1, 1 << 16)
        select.select([me], [], [])
        return
    os.write(writer, struct.pack("i", keeper))
    signal.pause()


def start(kind: str, mib: int, *, keep: bool) -> tuple[int, int]:
    """Start the process, and with ``keep`` a keeper. Return their pids; 0 for no keeper. Raises OSError."""
    reader, writer = os.pipe()
    owner = os.fork()
    if not owner:
        try:
            own(kind, mib, writer, keep=keep)
        finally:
            os._exit(0)
    os.close(writer)
    answer = os.read(reader, 4)
    os.close(reader)
    if not answer:
        os.waitpid(owner, 0)
        raise OSError(f"{kind} cannot be created")
    return owner, struct.unpack("i", answer)[0]


def measure(kind: str, mib: int, *, keep: bool) -> tuple[float, float]:
    """Return the milliseconds from SIGKILL until the process is gone, and until its memory is."""
    owner, keeper = start(kind, mib, keep=keep)
    ends = [os.pidfd_open(pid) for pid in (owner, keeper) if pid]
    time.sleep(0.1)
    began = time.monotonic()
    os.kill(owner, signal.SIGKILL)
    passed = []
    for end in ends:
        select.select([end], [], [])
        passed.append((time.monotonic() - began) * 1000)
        os.close(end)
    os.waitpid(owner, 0)
    return passed[0], passed[-1]


def main() -> None:
    """Print medians of interleaved rounds, after one round that is not counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cells = [(kind, keep) for kind in KINDS for keep in (False, True)]
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {cell: [] for cell in cells}
    for number in range(options.rounds + 1):
        for kind, keep in random.sample(cells, len(cells)):
            try:
                times = measure(kind, options.mib, keep=keep)
            except OSError as error:
                times = (float("nan"), float("nan"))
                sys.stdout.write(f"{kind}: {error}\n")
            if number:
                found[kind, keep].append(times)
    load = os.getloadavg()[0]
    sys.stdout.write(f"{options.mib} MiB, medians of {options.rounds} rounds, ms; load {load:.1f}\n")
    for (kind, keep), rows in found.items():
        exit_ms = statistics.median(row[0] for row in rows)
        memory_ms = statistics.median(row[1] for row in rows)
        name = f"{kind:12} {'kept' if keep else 'not kept':9}"
        sys.stdout.write(f"{name} exit {exit_ms:8.2f}  memory {memory_ms:8.2f}\n")


if __name__ == "__main__":
    main()
