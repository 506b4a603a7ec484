"""The state of the machine that goes with each sample."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from harness.guest import available_mib

UNAFFECTED = ("Not affected",)


def host_state() -> dict[str, object]:
    """Fields of a Sample: load, memory and settings at this instant, and what the machine is."""
    return {
        "load1": round(os.getloadavg()[0], 2),
        "mem_available_mib": available_mib(),
        "thp": thp_mode(),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "mitigations": mitigations(),
    }


def thp_mode(root: Path = Path("/")) -> str:
    """When the kernel uses transparent huge pages: always, madvise or never; empty if it has none."""
    return find(r"\[(\w+)\]", text_of(root / "sys/kernel/mm/transparent_hugepage/enabled"))


def cpu_model(root: Path = Path("/")) -> str:
    """The processor's name: "model name" on x86, "processor 0" on s390x."""
    return find(r"^(?:model name|processor 0)\s*:\s*(.+)$", text_of(root / "proc/cpuinfo"))


def mitigations(root: Path = Path("/")) -> str:
    """What the kernel does about each fault that the processor has (Linux, admin-guide/hw-vuln).

    Only the measure's name, such as ``spectre_v2: Retpolines``: the rest goes with processor and kernel.
    """
    folder = root / "sys/devices/system/cpu/vulnerabilities"
    told = []
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        text = text_of(file).strip()
        if text and text not in UNAFFECTED:
            measure = re.split(r"[;,]", text.removeprefix("Mitigation: "))[0].strip()
            told.append(f"{file.name}: {measure}")
    return "; ".join(told)


def find(pattern: str, text: str) -> str:
    """The first group of the first match of ``pattern``, else nothing."""
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""


def text_of(path: Path) -> str:
    """What the file holds; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
