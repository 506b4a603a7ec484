"""Start QEMU with populated guest memory (guest stage).

The input is a Guest, which specifies binary, firmware and memory. The output is a Machine for a ``with``
block; its processes end with the block, the thread or the process.
"""

from harness.guest.accel import Accel, probe_accel
from harness.guest.boot import Boot, prepare_boot
from harness.guest.firmware import Firmware, fetch_firmware
from harness.guest.kernel import Kernel, fetch_kernel
from harness.guest.machine import Machine, connect, start
from harness.guest.memory import available_mib, memory_shortage, needed_mib, swapped_out_mib
from harness.guest.model import LINUX, Guest, check_targets, command_line

__all__ = [
    "LINUX",
    "Accel",
    "Boot",
    "Firmware",
    "Guest",
    "Kernel",
    "Machine",
    "available_mib",
    "check_targets",
    "command_line",
    "connect",
    "fetch_firmware",
    "fetch_kernel",
    "memory_shortage",
    "needed_mib",
    "prepare_boot",
    "probe_accel",
    "start",
    "swapped_out_mib",
]
