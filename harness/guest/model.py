"""What a guest is, and the QEMU command line that makes it. Pure: nothing is started or read here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What differs between guest architectures. A new one is a few lines of data.

    ``debian`` is Debian's name for it and ``kernel`` the meta package of a kernel for virtual machines.
    ``firmware`` are Debian packages and the files of them that QEMU asks for. ``proof`` are the words that
    send the firmware's first output to the character device ``proof``: output means that instructions run.
    """

    name: str
    machine: str
    debian: str
    kernel: str
    firmware: dict[str, tuple[str, ...]]
    proof: tuple[str, ...]


ARCHITECTURES = {
    "x86_64": Architecture(
        name="x86_64",
        machine="q35",
        debian="amd64",
        kernel="linux-image-cloud-amd64",
        firmware={"seabios": ("usr/share/seabios/bios-256k.bin",)},
        # SeaBIOS writes its log to port 0x402 (SeaBIOS manual, "Debugging").
        proof=("-device", "isa-debugcon,iobase=0x402,chardev=proof"),
    ),
    "s390x": Architecture(
        name="s390x",
        machine="s390-ccw-virtio",
        debian="s390x",
        kernel="linux-image-s390x",
        firmware={"qemu-system-data": ("usr/share/qemu/s390-ccw.img",)},
        proof=("-device", "sclpconsole,chardev=proof"),
    ),
}


def architecture_of(target: str) -> Architecture:
    """The architecture of ``target`` (such as ``s390x-softmmu``). Raises OptionError."""
    name = target.removesuffix("-softmmu")
    if name not in ARCHITECTURES:
        known = " ".join(f"{known}-softmmu" for known in ARCHITECTURES)
        raise OptionError(f"guests of target {target!r} cannot be started", f"choose from: {known}")
    return ARCHITECTURES[name]


def check_targets(targets: Iterable[str]) -> None:
    """Raise OptionError unless guests of all ``targets`` can be started."""
    for target in targets:
        architecture_of(target)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """One guest. ``firmware`` are folders for ``-L``; ``options`` are more words for QEMU, such as those
    that switch a feature on. ``accel`` is ``kvm`` or ``tcg``; ``pages`` is ``4k`` (no transparent huge pages
    in the whole process) or ``thp`` (as the machine is set)."""

    binary: Path
    target: str
    memory_mib: int
    backend: str = "ram"
    pages: str = "4k"
    accel: str = "tcg"
    payload: str = "paused"
    firmware: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()


_BACKENDS = {"ram": "memory-backend-ram", "memfd": "memory-backend-memfd,share=on"}


def command_line(guest: Guest, *, qmp_fd: int, threads: int) -> tuple[str, ...]:
    """QEMU's words for ``guest``; its QMP is on the connected socket ``qmp_fd``.

    All memory is allocated before the monitor answers, by ``threads`` threads (prealloc: QEMU manual,
    "memory-backend-ram"), and the vCPUs stay stopped (-S). Raises OptionError for a guest it cannot describe.
    """
    architecture = architecture_of(guest.target)
    if guest.payload != "paused":
        raise OptionError(f"payload {guest.payload!r} is not known", "use -Dpayload=paused")
    if guest.backend not in _BACKENDS:
        raise OptionError(f"backend {guest.backend!r} is not known", f"choose from: {' '.join(_BACKENDS)}")
    size = f"{guest.memory_mib}M"
    return (
        *common_words(guest.binary, architecture, guest.accel, guest.firmware),
        *("-m", size),
        *("-object", f"{_BACKENDS[guest.backend]},id=mem,size={size},prealloc=on,prealloc-threads={threads}"),
        *("-machine", "memory-backend=mem"),
        *("-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        "-S",
        *guest.options,
    )


def proof_command_line(
    binary: Path, target: str, accel: str, firmware: tuple[Path, ...], *, proof_fd: int
) -> tuple[str, ...]:
    """A tiny guest that runs its firmware at once and sends the firmware's output to ``proof_fd``."""
    architecture = architecture_of(target)
    return (
        *common_words(binary, architecture, accel, firmware),
        *("-m", "128M", "-no-reboot"),
        *("-chardev", f"socket,id=proof,fd={proof_fd}"),
        *architecture.proof,
    )


def common_words(
    binary: Path, architecture: Architecture, accel: str, firmware: tuple[Path, ...]
) -> tuple[str, ...]:
    """What every guest has: no devices, no windows, no configuration of the user's."""
    return (
        str(binary),
        *("-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-machine", architecture.machine, "-accel", accel),
        *(word for folder in firmware for word in ("-L", str(folder))),
    )
