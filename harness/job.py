"""Run tests through avocado's Job API in a separate process: avocado replaces streams, loggers and signal
handlers of its process, and reads the user's configuration.

    python -m harness.job PLAN

PLAN is a JSON file (a Plan). Each finished test is one line of JSON (an Event) on standard output; avocado
itself is silent. SIGTERM and SIGINT stop the running test, which ends its guest, and then the job.
``run_plan`` starts that process and passes the results on.
"""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import msgspec

from harness.errors import HarnessError
from harness.layout import Layout
from harness.process import Finished, run

KEPT_JOBS = 3
Board = TypeVar("Board")


class JobItem(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the test. It gets ``task`` as JSON, as avocado's parameter of that name."""

    index: int
    name: str
    task: Any


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan: ``test`` is avocado's reference, ``jobs`` the folder for avocado's own files, ``timeout_s`` the
    limit for one test in seconds."""

    test: str
    jobs: str
    timeout_s: int
    items: tuple[JobItem, ...]


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A finished test. ``whiteboard`` is the text that it wrote to its whiteboard."""

    index: int
    status: str = ""
    whiteboard: str = ""
    reason: str = ""

    @property
    def no_result(self) -> str:
        """Why it has no result, in one line."""
        if not self.status:
            return "avocado reported no result for it"
        reason = " ".join(self.reason.split()) or "no reason given"
        return f"the test ended with {self.status} and no result: {reason}"


class _Watcher:
    """Receiver of avocado's result events, like a plugin (avocado.core.plugin_interfaces.ResultEvents)."""

    name = "harness"

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self.obj = self  # avocado's dispatchers call the methods of extension.obj

    def pre_tests(self, job: Any) -> None: ...

    def post_tests(self, job: Any) -> None: ...

    def start_test(self, result: Any, state: dict[str, Any]) -> None: ...

    def test_progress(self, progress: bool = False) -> None: ...

    def end_test(self, result: Any, state: dict[str, Any]) -> None:  # noqa: ARG002 - avocado's signature
        event = JobEvent(
            index=_index(str(state["name"])),
            status=str(state.get("status", "")),
            whiteboard=str(state.get("whiteboard") or ""),
            reason=str(state.get("fail_reason") or ""),
        )
        os.write(self._stream, msgspec.json.encode(event) + b"\n")


def _index(name: str) -> int:
    """Return the index of the item, the first part of the variant's id (after the semicolon of ``name``)."""
    return int(name.rpartition(";")[2].split("-", 1)[0])


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # avocado ends the test meanwhile
    raise KeyboardInterrupt


def configuration(plan: JobPlan) -> dict[str, Any]:
    """Return avocado's settings: one test at a time, in order, without system information."""
    return {
        "resolver.references": [plan.test],
        "run.results_dir": plan.jobs,
        "run.max_parallel_tasks": 1,
        "run.dict_variants": [
            {
                "id": f"{item.index}-{item.name}",
                "driver": os.getpid(),
                "task": msgspec.json.encode(item.task).decode(),
            }
            for item in plan.items
        ],
        "run.dict_variants.variant_id_keys": ["id"],
        "task.timeout.running": plan.timeout_s,
        "sysinfo.collect.enabled": False,
        "core.show": [],
    }


def run_plan(
    layout: Layout,
    test: str,
    items: tuple[JobItem, ...],
    board: type[Board],
    on_result: Callable[[JobEvent, Board | None], None],
    *,
    timeout_s: int,
    error: type[HarnessError],
) -> None:
    """Run ``test`` once for each of ``items``, one at a time. Call ``on_result`` once for each, as it ends.

    It gets what the test wrote to its whiteboard, a ``board``, or None.
    ``timeout_s`` is avocado's limit for one test in seconds; a test's own limits, which name the cause, must
    be lower. Other lines of the program go only to ``avocado.log``. Raises ``error`` if no test ran.
    """
    home = layout.build / "avocado"
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"plan-{os.getpid()}.json"
    plan = JobPlan(test=test, jobs=str(home / "jobs"), timeout_s=timeout_s, items=items)
    file.write_bytes(msgspec.json.encode(plan))
    missing = [item.index for item in items]

    def take(line: str) -> None:
        try:
            event = msgspec.json.decode(line, type=JobEvent)
        except msgspec.MsgspecError:
            return
        made: Board | None = None
        with contextlib.suppress(msgspec.MsgspecError):
            made = msgspec.json.decode(event.whiteboard, type=board)
        missing.remove(event.index)
        on_result(event, made)

    try:
        finished = _run_job(layout, home, file, take)
    finally:
        file.unlink(missing_ok=True)
        _prune(home / "jobs")
    if len(missing) == len(items):
        raise error(
            f"avocado ran no test (status {finished.returncode})",
            "read the lines above and the log",
            details=tuple(finished.output.splitlines()[-10:]),
            log=layout.logs / "avocado.log",
        )
    for index in missing:
        on_result(JobEvent(index=index), None)


def _run_job(layout: Layout, home: Path, file: Path, on_line: Callable[[str], None]) -> Finished:
    package = Path(__file__).resolve().parent.parent
    log = layout.logs / "avocado.log"
    log.unlink(missing_ok=True)
    return run(
        [sys.executable, "-m", "harness.job", file],
        cwd=layout.files,
        env={
            # avocado reads its configuration and folders from here, not from the user's home or /etc.
            "HOME": str(home),
            "VIRTUAL_ENV": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            # Compile once, regardless of PYTHONDONTWRITEBYTECODE: each test is a new interpreter.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(home / "pycache"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH")))),
        },
        log=log,
        on_line=on_line,
        check=False,
    )


def _prune(jobs: Path) -> None:
    """Remove avocado's files, except those of the last few jobs."""
    folders = sorted(jobs.glob("job-*"), key=lambda folder: folder.stat().st_mtime)
    for folder in folders[:-KEPT_JOBS]:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv: list[str]) -> int:
    """Run the plan and return avocado's exit status."""
    stream = os.dup(sys.stdout.fileno())
    signal.signal(signal.SIGTERM, _stop)
    plan = msgspec.json.decode(Path(argv[0]).read_bytes(), type=JobPlan)
    # The import reads avocado's configuration.
    from avocado.core.job import Job  # noqa: PLC0415
    from avocado.core.suite import TestSuite  # noqa: PLC0415

    settings = configuration(plan)
    suite = TestSuite.from_config(settings, name=Path(plan.test).stem)
    with Job(settings, [suite]) as job:
        job.result_events_dispatcher.extensions.append(_Watcher(stream))
        return int(job.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
