"""The avocado job of a run, as a program of its own: avocado replaces streams, loggers and signal handlers of
the process it runs in, and reads the user's configuration.

    python -m harness.teardown.job PLAN

PLAN is a JSON file (a Plan). Each finished test is one line of JSON (an Event) on standard output; avocado
itself is silent. SIGTERM and SIGINT stop the running test, which ends its guest, and then the job.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from harness.teardown.model import Cell


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: ``test`` is avocado's reference, ``jobs`` the folder for avocado's own files."""

    test: str
    jobs: str
    timeout_s: int
    cells: tuple[Cell, ...]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A test that has ended. ``whiteboard`` is what it wrote there."""

    index: int
    status: str
    whiteboard: str
    reason: str


class _Watcher:
    """avocado's result events, as a plugin has them (avocado.core.plugin_interfaces.ResultEvents)."""

    name = "harness"

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self.obj = self  # avocado's dispatchers call the methods of extension.obj

    def pre_tests(self, job: Any) -> None: ...

    def post_tests(self, job: Any) -> None: ...

    def start_test(self, result: Any, state: dict[str, Any]) -> None: ...

    def test_progress(self, progress: bool = False) -> None: ...

    def end_test(self, result: Any, state: dict[str, Any]) -> None:  # noqa: ARG002 - avocado's signature
        event = Event(
            index=_index(str(state["name"])),
            status=str(state.get("status", "")),
            whiteboard=str(state.get("whiteboard") or ""),
            reason=str(state.get("fail_reason") or ""),
        )
        os.write(self._stream, msgspec.json.encode(event) + b"\n")


def _index(name: str) -> int:
    """The cell's index: the variant's id, after the semicolon of a test's name, starts with it."""
    return int(name.rpartition(";")[2].split("-", 1)[0])


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: avocado ends the test meanwhile
    raise KeyboardInterrupt


def configuration(plan: Plan) -> dict[str, Any]:
    """avocado's settings: one test at a time, in order, no collecting of system information."""
    return {
        "resolver.references": [plan.test],
        "run.results_dir": plan.jobs,
        "run.max_parallel_tasks": 1,
        "run.dict_variants": [
            {
                "id": f"{cell.index}-{cell.name}",
                "cell": msgspec.json.encode(cell).decode(),
                "driver": os.getpid(),
            }
            for cell in plan.cells
        ],
        "run.dict_variants.variant_id_keys": ["id"],
        "task.timeout.running": plan.timeout_s,
        "sysinfo.collect.enabled": False,
        "core.show": [],
    }


def main(argv: list[str]) -> int:
    """Run the plan; avocado's exit status."""
    stream = os.dup(sys.stdout.fileno())
    signal.signal(signal.SIGTERM, _stop)
    plan = msgspec.json.decode(Path(argv[0]).read_bytes(), type=Plan)
    # Reads avocado's configuration when imported.
    from avocado.core.job import Job  # noqa: PLC0415
    from avocado.core.suite import TestSuite  # noqa: PLC0415

    settings = configuration(plan)
    suite = TestSuite.from_config(settings, name="teardown")
    with Job(settings, [suite]) as job:
        job.result_events_dispatcher.extensions.append(_Watcher(stream))
        return int(job.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
