"""The devices of guests that are timed: a device set for QEMU's configure, smaller than its own.

About 40 % of the files that QEMU's default configuration compiles are devices that these guests do not have.
"""

from collections.abc import Iterable
from pathlib import Path

from harness.build.configure import Configure
from harness.errors import StorageError

GUESTS, ALL = "guests", "all"
NAME = "harness-guests"
SETS = {
    # The firmware's first output is read from isa-debugcon (harness.guest.model).
    "x86_64-softmmu": ("Q35", "ISA_DEBUG"),
    "s390x-softmmu": ("S390_CCW_VIRTIO",),
}
"""Target → symbols of Kconfig: its machine, which selects what it needs itself, and optional devices."""
CALLER, CALLED = Path("hw", "acpi", "cxl.c"), "cxl_fmws_get_all_sorted"
CXL = ("PXB", "PCIE_PORT", "CXL", "CXL_MEM_DEVICE")
"""What Q35 needs besides, where the tables of ACPI, which it selects, call a function of CXL without a stub.

10.2 does not link without it. QEMU's Kconfig does not state it.
"""
NO_DEVICES = "--without-default-devices"
SWITCHES = (NO_DEVICES, "--enable-trace-backends=nop")
"""With trace points, generated headers name the variant's folder, and variants share fewer files."""


def devices_of(wanted: str, targets: Iterable[str], configure: Configure) -> str:
    """Return the devices of a build: GUESTS if they are wanted and known for all ``targets``, else ALL."""
    known = set(targets) <= set(SETS) and all(map(configure.knows, SWITCHES))
    return GUESTS if wanted == GUESTS and known else ALL


def device_switches(targets: Iterable[str]) -> tuple[str, ...]:
    """Return the switches that, with SWITCHES, give ``targets`` the devices of SETS."""
    return tuple(f"--with-devices-{target.removesuffix('-softmmu')}={NAME}" for target in targets)


def add_device_sets(source: Path, targets: Iterable[str]) -> None:
    """Create the files below ``source`` that ``device_switches`` name.

    git ignores them (info/exclude of the tree). An existing file keeps its time. Raises StorageError.
    """
    for target in targets:
        file = source / "configs" / "devices" / target / f"{NAME}.mak"
        try:
            text = "".join(f"CONFIG_{symbol}=y\n" for symbol in _symbols(source, target))
            if not file.is_file() or file.read_text(encoding="ascii") != text:
                file.write_text(text, encoding="ascii")
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot write {file}: {error}", "free some disk space") from error


def _symbols(source: Path, target: str) -> tuple[str, ...]:
    caller = source / CALLER
    needs_cxl = "Q35" in SETS[target] and caller.is_file() and CALLED in caller.read_text(errors="replace")
    return (*SETS[target], *(CXL if needs_cxl else ()))
