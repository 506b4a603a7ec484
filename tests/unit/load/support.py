"""Slices and rows for tests."""

from harness.cycles.judge import judge_memory
from harness.load.model import LoadRow, Remains, Slice


def make_row(**fields):
    return LoadRow(
        **{"trigger": "sigkill", "exit_s": 0.02, "reclaim_s": 0.03, "restart_s": 0.2, "helpers": 1, **fields}
    )


def make_remains(**fields):
    return Remains(**{"starts": 3, "left": (), "zombies": (), "fds_before": 5, "fds_after": 5, **fields})


def make_slice(*rows, variant="patched", kind="crowd", lost=0.0, **fields):
    return Slice(
        **{
            "variant": variant,
            "kind": kind,
            "number": 1,
            "accel": "tcg",
            "wall_s": 30.0,
            "memory": judge_memory(variant, "cgroup", 10.0, 10.0 + lost, peak_mib=900.0),
            "oom_kills": 0,
            "remains": (make_remains(), make_remains()),
            "rows": rows,
            **fields,
        }
    )
