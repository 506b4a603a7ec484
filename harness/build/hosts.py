"""Machines that binaries are built for.

To add one, add an entry to ``HOSTS`` and a choice to the option ``hosts`` in meson_options.txt.
"""

from dataclasses import dataclass

LIBRARIES = ("libc6-dev", "libfdt-dev", "libglib2.0-dev", "libpixman-1-dev", "libseccomp-dev", "zlib1g-dev")
"""Debian packages of the libraries that QEMU is linked with, for every host (needs.py: the native ones)."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine that binaries run on, and the names of its compiler and libraries.

    ``native`` is this machine, with its own compiler and libraries; most of its fields are empty.
    """

    name: str
    debian: str = ""
    """Debian's name of the architecture; its packages form the sysroot."""
    triplet: str = ""
    """GNU's name, used for the compiler and library folders (Debian wiki, "Multiarch/Tuples")."""
    machine: str = ""
    """``e_machine`` of its binaries, as spelt by pyelftools (elf(5))."""
    cpu_family: str = ""
    """meson's name of the architecture (meson reference tables, "CPU families")."""
    endian: str = "little"
    target: str = ""
    """QEMU target that emulates it."""
    libraries: tuple[str, ...] = LIBRARIES
    switches: tuple[str, ...] = ()
    """Additional switches for QEMU's configure."""

    @property
    def is_cross(self) -> bool:
        """Whether binaries require a cross compiler and a sysroot, and do not run on this machine."""
        return bool(self.triplet)

    @property
    def cross_prefix(self) -> str:
        """Prefix of the names of compiler and binutils."""
        return f"{self.triplet}-" if self.triplet else ""

    @property
    def compiler_package(self) -> str:
        """Debian package of the C compiler."""
        return f"gcc-{self.triplet.replace('_', '-')}" if self.triplet else "gcc"


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
