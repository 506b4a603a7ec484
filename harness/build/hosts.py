"""The machines that binaries are built for, as data. A new one is an entry of ``HOSTS``, and a choice of the
option ``hosts`` in meson_options.txt.
"""

from __future__ import annotations

from dataclasses import dataclass

LIBRARIES = (
    "libc6-dev",
    "libfdt-dev",
    "libglib2.0-dev",
    "libpixman-1-dev",
    "libseccomp-dev",
    "zlib1g-dev",
)
"""Debian's packages of what QEMU links with, here and on every host (needs.py has the native ones)."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """Where the binaries run, and how a compiler for it is called.

    ``native`` has no Debian architecture: it is this machine, with its own compiler and libraries.
    """

    name: str
    debian: str = ""
    """Debian's name of the architecture, whose packages make the sysroot."""
    triplet: str = ""
    """GNU's name, which compiler and library folders carry (Debian wiki, "Multiarch/Tuples")."""
    machine: str = ""
    """``e_machine`` of its binaries, as pyelftools spells it (elf(5))."""
    cpu_family: str = ""
    """meson's name of the architecture (meson reference tables, "CPU families")."""
    endian: str = "little"
    target: str = ""
    """QEMU's target that emulates it."""
    kernel: str = ""
    """Debian's meta package of its kernel; empty when no kernel of it is booted here."""
    libraries: tuple[str, ...] = LIBRARIES
    switches: tuple[str, ...] = ()
    """More words for QEMU's configure."""

    @property
    def is_cross(self) -> bool:
        """Whether a cross compiler and a sysroot are needed, and the binaries do not run here."""
        return bool(self.triplet)

    @property
    def cross_prefix(self) -> str:
        """What the names of compiler and binutils begin with."""
        return f"{self.triplet}-" if self.triplet else ""

    @property
    def compiler_package(self) -> str:
        """Debian's package of the C compiler."""
        return f"gcc-{self.triplet.replace('_', '-')}" if self.triplet else "gcc"

    @property
    def binutils_package(self) -> str:
        """Debian's package of linker and archiver."""
        return f"binutils-{self.triplet.replace('_', '-')}" if self.triplet else "binutils"


HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host(name="native"),
        Host(
            name="s390x",
            debian="s390x",
            triplet="s390x-linux-gnu",
            machine="EM_S390",
            cpu_family="s390x",
            endian="big",
            target="s390x-softmmu",
            kernel="linux-image-s390x",
        ),
        Host(
            name="aarch64",
            debian="arm64",
            triplet="aarch64-linux-gnu",
            machine="EM_AARCH64",
            cpu_family="aarch64",
            target="aarch64-softmmu",
        ),
    )
}
