"""Guests that power themselves off: a few instructions without an operating system."""

from dataclasses import dataclass
from pathlib import Path

from harness.properties.outcome import Cancelled

_X86 = bytes.fromhex(
    "fa"  # cli
    "ba f8 03"  # mov dx, 0x3f8      COM1, transmit (16550 data sheet)
    "b0 52"  # mov al, 'R'
    "ee"  # out dx, al
    "ba fd 03"  # mov dx, 0x3fd      line status
    "ec"  # in al, dx
    "a8 01"  # test al, 1            received a byte?
    "74 f8"  # jz -8                 no: poll again
    "ba 04 06"  # mov dx, 0x604      PM1a control: SeaBIOS maps ICH9's power management at 0x600
    "b8 00 20"  # mov ax, 0x2000     SLP_EN with SLP_TYP 0, which is S5 (ACPI 4.8.3.2; QEMU hw/acpi/core.c)
    "ef"  # out dx, ax
    "f4 eb fd"  # hlt; jmp -3
)
_S390X = bytes.fromhex(
    "a7 18 00 00"  # lhi %r1, 0      address of the only CPU
    "ae 01 00 05"  # sigp %r0, %r1, 5   stop: when the last CPU stops, the machine shuts down
    "a7 f4 00 00"  # j .
)
_S390X_START = 0x200
DISK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PowerOff:
    """A guest. ``words`` are QEMU's arguments. With ``has_serial``, it sends a byte when it is ready, and
    powers off when it receives one. Else it powers off as soon as it runs."""

    words: tuple[str, ...]
    has_serial: bool


def boot_sector() -> bytes:
    """Return a bootable disk for a PC: a boot sector, padded to a valid geometry."""
    return (_X86.ljust(510, b"\0") + b"\x55\xaa").ljust(DISK_BYTES, b"\0")


def s390x_image() -> bytes:
    """Return an image for ``-kernel``: QEMU's start PSW, short, at 0 (hw/s390x/ipl.c), and the code."""
    psw = (0x00080000).to_bytes(4, "big") + (0x80000000 | _S390X_START).to_bytes(4, "big")
    return psw.ljust(_S390X_START, b"\0") + _S390X


def guest_that_powers_off(target: str, folder: Path, *, serial_fd: int) -> PowerOff:
    """Return the guest for ``target``, with its image in ``folder``. Raises Cancelled if there is none."""
    image = folder / f"poweroff-{target}.img"
    if target == "x86_64-softmmu":
        image.write_bytes(boot_sector())
        # A comma in a value is doubled (QEMU manual, "-blockdev").
        disk = f"driver=file,node-name=disk,filename={str(image).replace(',', ',,')}"
        return PowerOff(
            words=(
                *("-blockdev", disk, "-device", "ide-hd,drive=disk"),
                *("-chardev", f"socket,id=serial,fd={serial_fd}", "-device", "isa-serial,chardev=serial"),
            ),
            has_serial=True,
        )
    if target == "s390x-softmmu":
        image.write_bytes(s390x_image())
        return PowerOff(words=("-kernel", str(image)), has_serial=False)
    raise Cancelled(f"the harness has no guest that powers off for {target}")
