"""The XML of a domain whose emulator is one of our binaries. Pure: nothing is started or read here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.clients.model import Trial
from harness.errors import OptionError
from harness.guest.model import architecture_of

NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
"""Of elements that libvirt hands to QEMU as they are (libvirt, "QEMU/KVM hypervisor driver")."""
KNOWS_FEATURE = (9, 6, 0)
"""The first libvirt with <features><async-teardown/>, for a QEMU with -run-with."""
SOURCES = {"ram": "anonymous", "memfd": "memfd"}
"""Memory backend → <memoryBacking><source type=…/>."""


def by_feature(version: str, words: Sequence[str]) -> bool:
    """Whether libvirt of ``version`` (as 9.0.0) can be asked for asynchronous teardown in its own words."""
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
    """A domain called ``name`` for libvirt of ``version``.

    Memory is allocated at once by ``threads`` threads. ``image`` is what it boots and ``serial`` the path of
    a UNIX socket that its serial port listens on (PCs only). Raises OptionError: a backend or target for
    which no domain is known.
    """
    if trial.backend not in SOURCES:
        raise OptionError(
            f"-Dbackends={trial.backend}: no domain is known for it", f"choose from: {' '.join(SOURCES)}"
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
        # With an access mode, libvirt would put anonymous memory into a file on disk.
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
    own_words = by_feature(version, binary.options)
    if own_words:
        ET.SubElement(features, "async-teardown", enabled="yes")
    _text(domain, "on_poweroff", "destroy")
    _devices(domain, binary.path, image if pc else "", serial if pc else "")
    words = [word for folder in firmware for word in ("-L", str(folder))]
    command = ET.SubElement(domain, f"{{{NAMESPACE}}}commandline")
    for word in [*words, *(() if own_words else binary.options)]:
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
