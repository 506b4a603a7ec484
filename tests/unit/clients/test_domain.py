"""harness.clients.domain: the XML for libvirt."""

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.clients.domain import NAMESPACE, by_feature, domain_xml
from harness.errors import OptionError
from tests.unit.clients.support import BASE, PATCHED, trial

RUN_WITH = ("-run-with", "async-teardown=on")


def parsed(binary=PATCHED, *, backend="ram", **more):
    arguments = {"version": "9.0.0"} | more
    return ET.fromstring(domain_xml(trial("libvirt destroy", binary, backend=backend), "d", **arguments))


def words(domain):
    return [each.get("value") for each in domain.iter(f"{{{NAMESPACE}}}arg")]


def test_domain_has_emulator_memory_and_option():
    domain = parsed(firmware=(Path("/f w"),), threads=2)
    assert domain.get("type") == "qemu"
    assert domain.findtext("devices/emulator") == "/q/patched"
    assert domain.findtext("memory") == "1024"
    allocation = domain.find("memoryBacking/allocation")
    assert allocation.attrib == {"mode": "immediate", "threads": "2"}
    assert words(domain) == ["-L", "/f w", "-async-teardown"]


def test_domain_without_the_option_has_no_arguments():
    assert words(parsed(BASE)) == []


def test_anonymous_memory_has_no_access_mode():
    # With an access mode, libvirt 9.0 creates a file on disk.
    assert parsed().find("memoryBacking/access") is None
    shared = parsed(backend="memfd").find("memoryBacking/access")
    assert shared.get("mode") == "shared"


def test_other_backends_are_refused():
    with pytest.raises(OptionError, match="hugetlb"):
        parsed(backend="hugetlb")


def test_text_is_escaped():
    odd = msgspec.structs.replace(PATCHED, path='/a&b/<q>"')
    assert parsed(odd).findtext("devices/emulator") == '/a&b/<q>"'


def test_pc_boots_a_disk_and_ibm_z_a_kernel():
    pc = parsed(image="/i", serial="/s")
    disk, port = pc.find("devices/disk/source"), pc.find("devices/serial/source")
    assert (disk.get("file"), port.get("path"), pc.find("os/kernel")) == ("/i", "/s", None)
    z = parsed(msgspec.structs.replace(BASE, target="s390x-softmmu"), image="/i", serial="/s")
    assert z.findtext("os/kernel") == "/i"
    assert z.find("devices/disk") is None
    assert z.find("devices/serial") is None


@pytest.mark.parametrize(
    ("version", "option", "expected"),
    [
        ("9.0.0", RUN_WITH, False),
        ("9.6.0", RUN_WITH, True),
        ("10.1.0", RUN_WITH, True),
        ("10.1.0", ("-async-teardown",), False),
        ("10.1.0", (), False),
    ],
)
def test_element_of_libvirt_is_used_if_it_exists(version, option, expected):
    assert by_feature(version, option) is expected
    domain = parsed(msgspec.structs.replace(PATCHED, options=option), version=version)
    assert (domain.find("features/async-teardown") is not None) is expected
    assert words(domain) == ([] if expected else list(option))
