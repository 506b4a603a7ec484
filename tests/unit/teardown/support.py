"""Cells and samples for tests."""

from harness.teardown.model import Cell, sample_of


def make_cell(**fields):
    return Cell(
        **{
            "variant": "base",
            "target": "x86_64-softmmu",
            "host": "native",
            "memory_mib": 1,
            "backend": "ram",
            "pages": "4k",
            "accel": "tcg",
            "payload": "paused",
            "trigger": "sigkill",
            "round": 1,
            "index": 1,
            "binary": "/qemu",
            "firmware": (),
            "options": (),
            "helper": False,
            "timeout_s": 10.0,
            **fields,
        }
    )


def make_sample(exit_s=0.1, reclaim_s=None, outcome="ok", reason="", **fields):
    reclaim_s = exit_s if reclaim_s is None else reclaim_s
    latencies = {"exit_s": exit_s, "reclaim_s": reclaim_s} if outcome == "ok" else {}
    more = {name: fields.pop(name) for name in ("restart_s", "loaded", "threads") if name in fields}
    return sample_of(make_cell(**fields), outcome=outcome, reason=reason, **latencies, **more)
