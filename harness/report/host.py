"""Facts about the machine, for the results."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from harness.report.model import HostFacts
from harness.teardown.state import cpu_model, find, mitigations, text_of, thp_mode


def host_facts(root: Path = Path("/")) -> HostFacts:
    """Return the facts that need no privileges; a missing fact is an empty string or 0."""
    meminfo = text_of(root / "proc/meminfo")
    return HostFacts(
        kernel=platform.release(),
        machine=platform.machine(),
        distribution=find(r'^PRETTY_NAME="?([^"\n]*)', text_of(root / "etc/os-release")),
        cpu=cpu_model(root),
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=int(find(r"^MemTotal:\s*(\d+)", meminfo) or 0) // 1024,
        swap_mib=int(find(r"^SwapTotal:\s*(\d+)", meminfo) or 0) // 1024,
        thp=thp_mode(root),
        mitigations=mitigations(root),
        governor=text_of(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
    )
