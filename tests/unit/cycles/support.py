"""Cycles and rows for tests."""

from typing import Any

from harness.cycles.model import Cycle, CycleRow


def make_cycle(**fields: Any) -> Cycle:
    return Cycle(
        **{
            "number": 1,
            "life": "paused",
            "trigger": "sigterm",
            "scope": "process",
            "helper": "let be",
            "confinement": "none",
            "victim": "qemu",
            "backend": "ram",
            "accel": "tcg",
            "memory_mib": 64,
            "moment": 0.5,
            **fields,
        }
    )


def make_row(*reasons: str, variant: str = "patched", **fields: Any) -> CycleRow:
    return CycleRow(
        variant=variant,
        target="x86_64-softmmu",
        cycle=make_cycle(**fields),
        outcome="fail" if reasons else "pass",
        reasons=reasons,
    )
