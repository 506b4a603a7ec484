"""The XML of a domain that uses one of our binaries. This module does no I/O."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.clients.model import Trial
from harness.errors import OptionError
from harness.guest.model import architecture_of

NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
"""Namespace of elements that libvirt passes to QEMU unchanged (libvirt, "QEMU/KVM hypervisor driver")."""
KNOWS_FEATURE = (9, 6, 0)
"""The first libvirt with <features><async-teardown/>, which needs a QEMU with -run-with."""
SOURCES = {"ram": "anonymous", "memfd": "memfd"}
"""Memory backend → <memoryBacking><source type=…/>."""


def by_feature(version: str, words: Sequence[str]) -> bool:
    """Return whether libvirt of ``version`` (such as 9.0.0) has an element for the arguments ``words``."""
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    return words[:1] == ("-run-with",) and numbers >= KNOWS_FEATURE


def domain_xml(
    trial: Trial,
    name: str,
    *,
    version: str,
    firmware: Sequence[Path] = (),
    threads: int = 1,
    image: str = "",
    serial: str = "",
) -> str:
    """Return the XML of the domain ``name`` for libvirt of ``version``.

    ``threads`` threads allocate all memory at the start. The domain boots ``image``. ``serial`` is the path
    of a UNIX socket for the serial port (PCs only). Raises OptionError for an unsupported backend or target.
    """
    if trial.backend not in SOURCES:
        raise OptionError(
            f"-Dbackends={trial.backend} is not supported for domains", f"choose from: {' '.join(SOURCES)}"
        )
    binary = trial.binary
    architecture = architecture_of(binary.target)
    ET.register_namespace("qemu", NAMESPACE)
    domain = ET.Element("domain", type="kvm" if trial.accel == "kvm" else "qemu")
    _text(domain, "name", name)
    _text(domain, "memory", str(trial.memory_mib), unit="MiB")
    backing = ET.SubElement(domain, "memoryBacking")
    ET.SubElement(backing, "source", type=SOURCES[trial.backend])
    if trial.backend == "memfd":
        # Only for memfd: with an access mode, libvirt would put anonymous memory into a file on disk.
        ET.SubElement(backing, "access", mode="shared")
    ET.SubElement(backing, "allocation", mode="immediate", threads=str(threads))
    _text(domain, "vcpu", "1")
    system = ET.SubElement(domain, "os")
    _text(system, "type", "hvm", arch=architecture.name, machine=architecture.machine)
    pc = architecture.name == "x86_64"
    if image and not pc:
        _text(system, "kernel", image)
    features = ET.SubElement(domain, "features")
    if pc:
        ET.SubElement(features, "acpi")
    has_element = by_feature(version, binary.options)
    if has_element:
        ET.SubElement(features, "async-teardown", enabled="yes")
    _text(domain, "on_poweroff", "destroy")
    _devices(domain, binary.path, image if pc else "", serial if pc else "")
    words = [word for folder in firmware for word in ("-L", str(folder))]
    command = ET.SubElement(domain, f"{{{NAMESPACE}}}commandline")
    for word in [*words, *(() if has_element else binary.options)]:
        ET.SubElement(command, f"{{{NAMESPACE}}}arg", value=word)
    return ET.tostring(domain, encoding="unicode")


def _devices(domain: ET.Element, emulator: str, disk: str, serial: str) -> None:
    devices = ET.SubElement(domain, "devices")
    _text(devices, "emulator", emulator)
    if disk:
        drive = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(drive, "driver", name="qemu", type="raw")
        ET.SubElement(drive, "source", file=disk)
        ET.SubElement(drive, "target", dev="sda", bus="sata")
    if serial:
        port = ET.SubElement(devices, "serial", type="unix")
        ET.SubElement(port, "source", mode="bind", path=serial)
        ET.SubElement(port, "target", port="0")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
