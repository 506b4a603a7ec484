"""Binaries, tasks and rows for tests."""

from harness.bench import Subject
from harness.properties.model import PropertyRow, Task


def make_binary(variant="patched", target="x86_64-softmmu", words=("-async-teardown",), path="/q"):
    return Subject(variant=variant, target=target, path=str(path), options=words)


def make_task(row=1, **fields):
    return Task(
        **{
            "index": 1,
            "row": row,
            "binary": make_binary(),
            "reference": None,
            "firmware": (),
            "memory_mib": 16384,
            "timeout_s": 10.0,
            **fields,
        }
    )


def make_row(row=1, variant="patched", outcome="pass", expected="pass", **fields):
    return PropertyRow(
        **{
            "row": row,
            "title": "t",
            "variant": variant,
            "target": "x86_64-softmmu",
            "outcome": outcome,
            "expected": expected,
            **fields,
        }
    )
