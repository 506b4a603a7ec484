"""Facts about the machine, for the results."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from harness.report.model import HostFacts


def host_facts(root: Path = Path("/")) -> HostFacts:
    """What can be read without rights; what a machine lacks is an empty word or 0."""
    meminfo = _text(root / "proc/meminfo")
    return HostFacts(
        kernel=platform.release(),
        machine=platform.machine(),
        distribution=_match(r'^PRETTY_NAME="?([^"\n]*)', _text(root / "etc/os-release")),
        # "model name" on x86, "processor 0" on s390x
        cpu=_match(r"^(?:model name|processor 0)\s*:\s*(.+)$", _text(root / "proc/cpuinfo")),
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=int(_match(r"^MemTotal:\s*(\d+)", meminfo) or 0) // 1024,
        swap_mib=int(_match(r"^SwapTotal:\s*(\d+)", meminfo) or 0) // 1024,
        thp=_match(r"\[(\w+)\]", _text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
    )


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
