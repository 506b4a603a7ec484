"""Describe a guest and generate its QEMU command line. This module starts and reads nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Settings of a guest architecture.

    ``debian`` is Debian's name for it. ``firmware`` lists Debian packages and the files in them that QEMU
    requires. ``proof`` are arguments that send the firmware's first output to the character device ``proof``:
    output proves that instructions run.
    ``console`` are arguments that make the character device ``console`` a console with input that needs no
    kernel module; ``terminal`` is its name in the guest's Linux.
    """

    name: str
    machine: str
    debian: str
    firmware: dict[str, tuple[str, ...]]
    proof: tuple[str, ...]
    console: tuple[str, ...]
    terminal: str


ARCHITECTURES = {
    "x86_64": Architecture(
        name="x86_64",
        machine="q35",
        debian="amd64",
        firmware={
            "seabios": ("usr/share/seabios/bios-256k.bin",),
            "qemu-system-data": ("usr/share/qemu/linuxboot_dma.bin",),  # -kernel
        },
        # SeaBIOS writes its log to port 0x402 (SeaBIOS manual, "Debugging").
        proof=("-device", "isa-debugcon,iobase=0x402,chardev=proof"),
        console=("-device", "isa-serial,chardev=console"),
        terminal="ttyS0",
    ),
    "s390x": Architecture(
        name="s390x",
        machine="s390-ccw-virtio",
        debian="s390x",
        firmware={"qemu-system-data": ("usr/share/qemu/s390-ccw.img",)},
        proof=("-device", "sclpconsole,chardev=proof"),
        console=("-device", "sclpconsole,chardev=console"),
        terminal="ttysclp0",
    ),
}


def architecture_of(target: str) -> Architecture:
    """Return the architecture of ``target``, such as ``s390x-softmmu``. Raises OptionError."""
    name = target.removesuffix("-softmmu")
    if name not in ARCHITECTURES:
        known = " ".join(f"{known}-softmmu" for known in ARCHITECTURES)
        raise OptionError(f"guests of target {target!r} cannot be started", f"choose from: {known}")
    return ARCHITECTURES[name]


def check_targets(targets: Iterable[str]) -> None:
    """Raise OptionError if guests of any of ``targets`` cannot be started."""
    for target in targets:
        architecture_of(target)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """One guest. ``firmware`` are folders for ``-L``; ``options`` are additional arguments for QEMU.

    ``accel`` is ``kvm`` or ``tcg``; ``pages`` is ``4k`` (transparent huge pages are disabled for the process)
    or ``thp`` (the machine's setting).
    """

    binary: Path
    target: str
    memory_mib: int
    backend: str = "ram"
    pages: str = "4k"
    accel: str = "tcg"
    payload: str = "paused"
    firmware: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    kernel: Path | None = None
    initrd: Path | None = None

    @property
    def runs_linux(self) -> bool:
        return self.payload in LINUX


LINUX = ("linux", "linux-busy")
"""Payloads that boot ``kernel`` with ``initrd``; the vCPUs of ``linux-busy`` never sleep."""
PAYLOADS = ("paused", *LINUX)
MAX_VCPUS = 8
TB_MIB = 128
"""Size of TCG's buffer for translated code; QEMU's default is up to 1 GiB."""

TMPFS = Path("/dev/shm")  # noqa: S108 - QEMU unlinks its file at once
_BACKENDS = {
    "ram": "memory-backend-ram",
    "memfd": "memory-backend-memfd,share=on",
    # QEMU creates a file in this folder and unlinks it at once (QEMU manual, "memory-backend-file").
    "file": f"memory-backend-file,mem-path={TMPFS},share=on",
    "hugetlb": "memory-backend-memfd,hugetlb=on,share=on",
}


def command_line(guest: Guest, *, qmp_fd: int, threads: int, console_fd: int = -1) -> tuple[str, ...]:
    """Return QEMU's command line for ``guest``. QMP is on the socket ``qmp_fd``; the vCPUs are stopped (-S).

    Payload ``paused``: ``threads`` threads allocate all memory before the monitor answers (prealloc: QEMU
    manual, "memory-backend-ram"). Other payloads: memory is allocated when the guest touches it; the guest
    has ``threads`` vCPUs, at most 8, and its console is on the socket ``console_fd``.
    Raises OptionError for an unknown payload or backend, or a missing kernel.
    """
    architecture = architecture_of(guest.target)
    if guest.payload not in PAYLOADS:
        raise OptionError(f"unknown payload {guest.payload!r}", f"choose from: {' '.join(PAYLOADS)}")
    if guest.backend not in _BACKENDS:
        raise OptionError(f"unknown backend {guest.backend!r}", f"choose from: {' '.join(_BACKENDS)}")
    size = f"{guest.memory_mib}M"
    prealloc = "" if guest.runs_linux else f",prealloc=on,prealloc-threads={threads}"
    return (
        *common_words(guest.binary, architecture, _accel(guest), guest.firmware),
        *("-m", size),
        *("-object", f"{_BACKENDS[guest.backend]},id=mem,size={size}{prealloc}"),
        *("-machine", "memory-backend=mem"),
        *("-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        "-S",
        *(_linux_words(guest, architecture, threads, console_fd) if guest.runs_linux else ()),
        *guest.options,
    )


def _accel(guest: Guest) -> str:
    # QEMU uses one thread for each vCPU (MTTCG) where that is correct: for both targets on x86_64.
    return f"tcg,tb-size={TB_MIB}" if guest.runs_linux and guest.accel == "tcg" else guest.accel


def _linux_words(guest: Guest, architecture: Architecture, threads: int, console_fd: int) -> tuple[str, ...]:
    """Return the arguments that boot Linux.

    A panic ends QEMU: panic=-1 reboots at once (kernel-parameters.txt), and -no-reboot exits.
    """
    if guest.kernel is None or guest.initrd is None:
        raise OptionError(f"payload {guest.payload} needs a kernel and an initramfs", "specify both")
    words = [f"console={architecture.terminal}", "panic=-1", "quiet", "loglevel=4"]
    if guest.payload == "linux-busy":
        words.append("harness.busy=1")
    return (
        *("-smp", str(min(threads, MAX_VCPUS)), "-no-reboot"),
        *("-chardev", f"socket,id=console,fd={console_fd}", *architecture.console),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-append", " ".join(words)),
    )


def proof_command_line(
    binary: Path, target: str, accel: str, firmware: tuple[Path, ...], *, proof_fd: int
) -> tuple[str, ...]:
    """Return the command line of a tiny guest whose firmware runs at once and prints to ``proof_fd``."""
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
    """Return the common arguments of all guests: no default devices, no window, no user configuration."""
    return (
        str(binary),
        *("-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-machine", architecture.machine, "-accel", accel),
        *(word for folder in firmware for word in ("-L", str(folder))),
    )
