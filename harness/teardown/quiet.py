"""Wait for a quieter machine before a run: other work on its CPUs makes samples slower and noisier."""

import contextlib
import time
from collections import Counter
from pathlib import Path

from harness.progress import Reporter
from harness.teardown.cpu import LOADED_CPUS, Load

LIMIT_S = 60.0
WINDOW_S = 1.0
"""Time over which the load is measured."""
KTHREADD = "2"
"""Parent of the kernel's own threads, which work for others."""
NAMED = 3
"""Largest number of programs that are named."""


def wait_for_quiet(reporter: Reporter, *, limit_s: float = LIMIT_S, proc: Path = Path("/proc")) -> None:
    """Wait until other work keeps at most LOADED_CPUS CPUs busy, for at most ``limit_s``, and report it."""
    began = time.monotonic()
    foreign, names = _foreign(proc)
    if foreign <= LOADED_CPUS:
        return
    reporter.note(f"other work keeps {_words(foreign, names)}: waiting for at most {limit_s:.0f} s")
    with reporter.step("waiting for a quieter machine") as step:
        while foreign > LOADED_CPUS and (spent := time.monotonic() - began) < limit_s:
            step.update(spent, limit_s, _words(foreign, names))
            foreign, names = _foreign(proc)
    if foreign > LOADED_CPUS:
        reporter.warn(f"the machine is not quiet: {_words(foreign, names)}; the verdicts take more samples")


def _words(foreign: float, names: list[str]) -> str:
    busy = f"{foreign:.1f} CPUs busy"
    return f"{busy} ({', '.join(names)})" if names else busy


def _foreign(proc: Path) -> tuple[float, list[str]]:
    """Return the CPUs that other work keeps busy now, and the names of the programs that use them most."""
    load, before = Load.now(proc), _ticks(proc)
    time.sleep(WINDOW_S)
    foreign = load.foreign_cpus(Load.now(proc))
    used: Counter[str] = Counter()
    for (pid, name), ticks in _ticks(proc).items():
        used[name] += ticks - before.get((pid, name), ticks)
    return foreign, [name for name, ticks in used.most_common(NAMED) if ticks > 0]


def _ticks(proc: Path) -> dict[tuple[str, str], int]:
    """Return the clock ticks that each process has used, by pid and name (proc(5), /proc/PID/stat)."""
    found = {}
    for entry in proc.iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit():
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                fields = text.rpartition(")")[2].split()
                name = text[text.index("(") + 1 : text.rindex(")")]
                if fields[1] != KTHREADD:
                    found[entry.name, name] = int(fields[11]) + int(fields[12])
    return found
