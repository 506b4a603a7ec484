"""Cycles and rows for tests."""

from harness.cycles.model import Cycle, CycleRow


def make_cycle(**fields):
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


def make_row(*reasons, variant="patched", **fields):
    return CycleRow(
        variant=variant,
        target="x86_64-softmmu",
        cycle=make_cycle(**fields),
        outcome="fail" if reasons else "pass",
        reasons=reasons,
    )
