"""Facts about the machine that a run is made on, for the results."""

import os
import platform
import re
from pathlib import Path
from typing import Annotated

import msgspec

from harness.jsonfile import about

UNAFFECTED = ("Not affected",)


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a run was made on."""

    kernel: Annotated[str, about("release of the running kernel")]
    machine: Annotated[str, about("architecture, such as x86_64")]
    distribution: Annotated[str, about("PRETTY_NAME of os-release")]
    cpu: Annotated[str, about("model name of the processor")]
    cpus: Annotated[int, about("processors that this run could use")]
    memory_mib: Annotated[int, about("memory in MiB")]
    swap_mib: Annotated[int, about("swap in MiB")]
    thp: Annotated[str, about("transparent huge pages: always, madvise or never")]
    governor: Annotated[str, about("frequency governor of the first processor; empty if there is none")]
    mitigations: str = ""
    """mitigations of the kernel for processor vulnerabilities, by name"""

    @property
    def summary(self) -> str:
        """Distribution, kernel, processors and memory."""
        gib = self.memory_mib // 1024
        return f"{self.distribution}, Linux {self.kernel}, {self.cpus} CPUs, {gib} GiB"


def host_facts(root: Path = Path("/")) -> HostFacts:
    """Return the facts that need no privileges; a missing fact is an empty string or 0."""
    return HostFacts(
        kernel=platform.release(),
        machine=platform.machine(),
        distribution=find(r'^PRETTY_NAME="?([^"\n]*)', text_of(root / "etc/os-release")),
        cpu=cpu_model(root),
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=number_in(root / "proc/meminfo", r"^MemTotal:\s*(\d+)") // 1024,
        swap_mib=number_in(root / "proc/meminfo", r"^SwapTotal:\s*(\d+)") // 1024,
        thp=thp_mode(root),
        mitigations=mitigations(root),
        governor=text_of(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
    )


def thp_mode(root: Path = Path("/")) -> str:
    """Return the mode of transparent huge pages: always, madvise or never; empty if the kernel has none."""
    return find(r"\[(\w+)\]", text_of(root / "sys/kernel/mm/transparent_hugepage/enabled"))


def cpu_model(root: Path = Path("/")) -> str:
    """Return the name of the processor: "model name" on x86, "processor 0" on s390x."""
    return find(r"^(?:model name|processor 0)\s*:\s*(.+)$", text_of(root / "proc/cpuinfo"))


def mitigations(root: Path = Path("/")) -> str:
    """Return the kernel's mitigation of each vulnerability of the processor (Linux, admin-guide/hw-vuln).

    Only the name, such as ``spectre_v2: Retpolines``: the details follow from processor and kernel.
    """
    folder = root / "sys/devices/system/cpu/vulnerabilities"
    found = []
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        text = text_of(file).strip()
        if text and text not in UNAFFECTED:
            measure = re.split(r"[;,]", text.removeprefix("Mitigation: "))[0].strip()
            found.append(f"{file.name}: {measure}")
    return "; ".join(found)


def find(pattern: str, text: str) -> str:
    """Return the first group of the first match of ``pattern``, or an empty string."""
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""


def number_in(path: Path, pattern: str) -> int:
    """Return the number in the first group of ``pattern`` in the file; 0 if there is none."""
    return int(find(pattern, text_of(path)) or 0)


def text_of(path: Path) -> str:
    """Return the content of the file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
