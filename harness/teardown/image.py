"""Kernel and initramfs of an emulated host, with all binaries to time."""

import dataclasses
import hashlib
import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Subject
from harness.build.elf import library_closure, read_elf
from harness.build.hosts import HOSTS, Host
from harness.build.programs import build_programs
from harness.build.sysroot import ensure_sysroot
from harness.errors import OptionError
from harness.guest.accel import Accel
from harness.guest.firmware import Firmware, fetch_firmware
from harness.guest.initramfs import CONSOLE, ArchiveEntry, directory, file, symlink, write_initramfs
from harness.guest.kernel import fetch_kernel
from harness.guest.model import ARCHITECTURES, command_line
from harness.guest.spelling import respell
from harness.jsonfile import storing
from harness.layout import Layout
from harness.options import Options
from harness.process import run
from harness.progress import Reporter
from harness.source.packages import fetch_packages, unpack_packages
from harness.teardown.model import Cell
from harness.teardown.sample import guest_of
from harness.teardown.scenario import design

TRIGGERS = ("sigterm", "sigkill", "sigabrt", "quit")
"""The triggers that guest/programs/measure.c supports."""
FIRMWARE = Path("/firmware")
ROUNDS = 5
"""Default number of rounds. There is no budget, because one boot runs all rounds."""
QMP_FD = 3
"""Descriptor of QEMU's QMP socket, opened by measure.c."""

SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
"""The options that libvirt uses."""

PROPERTIES: dict[str, tuple[str, ...]] = {
    "clone": (),
    "signals": (),
    "stack": (),
    "seccomp": SANDBOX,
    "threads": SANDBOX,
    "runas": ("-runas", "nobody"),
    "chroot": ("-chroot", "/var/empty"),
    "daemonize": ("-daemonize", "-pidfile", "/tmp/qemu.pid"),  # noqa: S108 - on the emulated host
}
"""Properties that can differ by architecture: name in property.c → additional options of QEMU."""

CONSOLES = {"s390x": ("ttysclp0", ("-device", "sclpconsole,chardev=console"))}
"""Architecture → Linux's name of its console, and QEMU's options for it. Other hosts cannot be timed."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A bootable image. It runs ``cells`` in this order, then ``properties``."""

    kernel: Path
    release: str
    initramfs: Path
    machine: str
    console: str
    console_words: tuple[str, ...]
    firmware: tuple[str, ...]
    cells: tuple[Cell, ...]
    properties: tuple[str, ...]


def can_run(host: Host) -> bool:
    """Return whether ``host`` can be emulated to run its binaries."""
    return host.target.removesuffix("-softmmu") in CONSOLES


def emulated_accel(host: Host) -> Accel:
    """Return the accelerator of guests on an emulated ``host``."""
    return Accel(target=host.target, name="tcg", reason="an emulated host has no KVM")


def refuse_hosts(options: Options) -> None:
    """Raise OptionError for a host whose binaries can be built but not timed."""
    for host in (HOSTS[name] for name in options.hosts):
        if host.is_cross and not can_run(host):
            raise OptionError(
                f"-Dhosts={host.name}: the harness can build for this host, but not emulate it",
                f"run nox -s build -- -Dhosts={host.name}, or choose from: native {' '.join(CONSOLES)}",
            )
        if host.is_cross and host.target not in options.targets:
            raise OptionError(
                f"-Dhosts={host.name} times guests of {host.target}, which is not in -Dtargets",
                f"add {host.target} to -Dtargets=",
            )


def plan_cells(
    options: Options, host: Host, subjects: Sequence[Subject], *, sizes: tuple[int, ...], first_index: int
) -> tuple[Cell, ...]:
    """Return the cells of ``host``: paused guests of its own architecture, of ``sizes`` MiB unless -Dmemory
    is given.

    Raises OptionError if there is nothing to time.
    """
    triggers = tuple(trigger for trigger in options.triggers if trigger in TRIGGERS)
    mine = dataclasses.replace(
        options,
        hosts=(host.name,),
        targets=(host.target,),
        memory_mib=options.memory_mib if options.has("memory") else sizes,
        payload=("paused",),
        triggers=triggers,
        restart="none",
    )
    here = [subject for subject in subjects if (subject.host, subject.target) == (host.name, host.target)]
    if not here or not triggers:
        raise OptionError(
            f"there is nothing to time on an emulated {host.name}",
            f"include {host.target} in -Dtargets=, and one of {' '.join(TRIGGERS)} in -Dtriggers=",
        )
    accels = {(host.target, "paused"): emulated_accel(host)}
    matrix = design(mine, here, accels, Firmware(folders=(FIRMWARE,)), seed=options.seed)
    cells: list[Cell] = []
    for turn in range(1, (options.rounds or ROUNDS) + 1):
        cells += itertools.chain(*matrix.round(turn, first_index + len(cells)))
    return tuple(cells)


def init_script(cells: Sequence[Cell], properties: Sequence[tuple[str, Cell]]) -> str:
    """Return init as a shell script: ``measure sample`` for each cell, then each property, then power off."""
    lines = [
        "#!/bin/sh",
        "export PATH=/bin",
        "mount -t proc proc /proc",
        "mount -t sysfs sysfs /sys",
        "mount -t devtmpfs devtmpfs /dev",
        "mount -t tmpfs tmpfs /tmp",
        # Kernel messages must not interrupt a record. Emergencies are still shown.
        "echo 1 > /proc/sys/kernel/printk",
        'printf \'\\036{"kernel": "%s"}\\n\' "$(uname -r)"',
    ]
    for cell in cells:
        head = ("sample", str(cell.index), cell.trigger, cell.pages, str(cell.memory_mib))
        words = (*head, str(int(cell.timeout_s)), "--", *qemu_arguments(cell))
        lines.append(shlex.join(["/bin/measure", *words]))
    for name, cell in properties:
        more = respell(PROPERTIES[name], Path(cell.binary))
        words = ("property", name, "20", "--", *qemu_arguments(cell), *more)
        lines.append(shlex.join(["/bin/measure", *words]))
    lines += ["printf '\\036{\"done\": true}\\n'", "poweroff -f", ""]
    return "\n".join(lines)


def qemu_arguments(cell: Cell) -> tuple[str, ...]:
    """Return the command line of ``cell`` on the emulated host: the native one with the paths of the host."""
    there = dataclasses.replace(guest_of(cell), binary=place_of(cell.variant, cell.target))
    return command_line(there, qmp_fd=QMP_FD, threads=2)


def place_of(variant: str, target: str) -> Path:
    """Return the path of a binary on the emulated host."""
    return Path("/qemu") / variant / f"qemu-system-{target.removesuffix('-softmmu')}"


def make_image(
    layout: Layout,
    options: Options,
    host: Host,
    subjects: Sequence[Subject],
    reporter: Reporter,
    *,
    sizes: tuple[int, ...],
    first_index: int,
) -> Image:
    """Fetch, build and pack the files that the emulated ``host`` needs.

    Raises OptionError, FetchError, VerifyError, ConfigureError, CompileError, StorageError.
    """
    cells = plan_cells(options, host, subjects, sizes=sizes, first_index=first_index)
    tried = next((cell for cell in cells if cell.variant == "patched" and cell.helper), None)
    properties = [(name, tried) for name in PROPERTIES] if tried else []
    architecture = host.target.removesuffix("-softmmu")
    kernel = fetch_kernel(layout, reporter, host.target)
    firmware = fetch_firmware(layout, reporter, [host.target])
    entries = _entries(layout, host, cells, firmware, reporter)
    entries.append(file("init", init_script(cells, properties).encode(), 0o755))
    console, words = CONSOLES[architecture]
    return Image(
        kernel=kernel.image,
        release=kernel.release,
        initramfs=write_initramfs(layout.build / "emulated" / f"{host.name}.cpio", entries),
        machine=ARCHITECTURES[architecture].machine,
        console=console,
        console_words=words,
        firmware=tuple(str(folder) for folder in firmware.folders),
        cells=cells,
        properties=tuple(name for name, _ in properties),
    )


def _entries(
    layout: Layout, host: Host, cells: Sequence[Cell], firmware: Firmware, reporter: Reporter
) -> list[ArchiveEntry]:
    """Return all files except init."""
    sysroot = ensure_sysroot(host, layout, reporter)
    programs = build_programs(layout, reporter, ["measure"], host=host.name)
    binaries = {place_of(cell.variant, cell.target): Path(cell.binary) for cell in cells}
    libraries = library_closure(binaries.values(), sysroot.library_folders)
    interpreters = {elf.interpreter for binary in binaries.values() if (elf := read_elf(binary))} - {""}
    stripped = {
        place: _strip(layout, host, binary, f"{place.parent.name}-{place.name}")
        for place, binary in binaries.items()
    }
    return [
        CONSOLE,
        *(directory(name) for name in ("proc", "sys", "dev", "tmp", "var/empty")),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
        file("etc/group", b"root:x:0:\nnogroup:x:65534:\n"),
        file("bin/busybox", _busybox(layout, host, reporter), 0o755),
        *(symlink(f"bin/{name}", "busybox") for name in ("sh", "mount", "uname", "poweroff", "printf")),
        file("bin/measure", programs["measure"], 0o755),
        *(file(_below_root(place), data, 0o755) for place, data in stripped.items()),
        *(
            file(f"lib/{host.triplet}/{name}", path.resolve(), 0o755)
            for name, path in libraries.items()
            if f"/lib/{host.triplet}/{name}" not in interpreters
        ),
        *(
            file(_below_root(Path(name)), (sysroot.path / _below_root(Path(name))).resolve(), 0o755)
            for name in sorted(interpreters)
        ),
        *(
            file(_below_root(FIRMWARE / path.name), path)
            for folder in firmware.folders
            for path in sorted(folder.iterdir())
            if path.name in _wanted(host)
        ),
    ]


def _wanted(host: Host) -> set[str]:
    files = ARCHITECTURES[host.target.removesuffix("-softmmu")].firmware.values()
    return {Path(name).name for names in files for name in names}


def _below_root(path: Path) -> str:
    return str(path).lstrip("/")


def _strip(layout: Layout, host: Host, binary: Path, name: str) -> Path:
    """Remove debug information from ``binary``: it would fill the memory of the emulated host."""
    target = layout.build / "emulated" / f"{host.name}-{name}"
    with storing(f"create {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
    run([f"{host.cross_prefix}strip", "-o", target, binary], timeout_s=120)
    return target


def _busybox(layout: Layout, host: Host, reporter: Reporter) -> Path:
    """Fetch Debian's static busybox for the architecture of ``host``."""
    name = "busybox-static"
    deb = fetch_packages(layout, reporter, [name], architecture=host.debian)[name]
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()[:16]
    folder = unpack_packages([deb], layout.cache / "sysroots" / f"busybox-{host.name}-{digest}")
    return next(path for path in (folder / "bin/busybox", folder / "usr/bin/busybox") if path.is_file())
