"""Row 7, faults during the start: the helper is killed, or one of its system calls refused, at each step."""

import json
import os
import platform
import sys
import time
from pathlib import Path

from harness.errors import GuestError
from harness.machine import text_of
from harness.properties import sandbox, status
from harness.properties.bench import Bench, Running, soon
from harness.properties.confinement import SANDBOX_FOR_RUNAS
from harness.properties.outcome import NAMED, Cancelled, Failed, Parts, arranged

TRACER = Path(__file__).with_name("tracer.py")
START_LIMIT_S = 20.0
"""A QEMU that is not ready after this time, with a fault, hangs."""
SETTLED_S = 0.3
MOST_STEPS = 60


def faults(bench: Bench, parts: Parts, *, confined: bool) -> None:
    """Add a part for each kind of fault. ``confined``: with -runas and -sandbox, which needs root."""
    words = ("-runas", "nobody", "-sandbox", SANDBOX_FOR_RUNAS) if confined else ()
    calls: list[str] = []
    with parts.part("calls of the helper until QEMU is ready"):
        calls = _undisturbed(bench, words)
    for action, text in (("kill", "helper killed before"), ("refuse", "refused to the helper:")):
        if not calls:
            return
        with parts.part(f"{text} each call until QEMU is ready") as figures:
            figures["steps"] = float(len(calls))
            if action == "refuse" and platform.machine() != "x86_64":
                raise Cancelled(f"refusing a call is not implemented for {platform.machine()}")
            for step, call in enumerate(calls, start=1):
                # Killed while it waits, when it is ready, it only has to be missed (row 9).
                _check_fault(bench, words, step, action, f"{text} {call}", ready=step == len(calls))


def _undisturbed(bench: Bench, words: tuple[str, ...]) -> list[str]:
    """Return the calls of the helper until QEMU is ready and it waits. Raises Cancelled, Failed."""
    report = bench.work / "calls"
    report.unlink(missing_ok=True)
    with arranged(), bench.start(*words, memory_mib=16, prefix=_tracer(report, 0, "none")) as running:
        running.helper()
        running.execute("query-status")
        time.sleep(SETTLED_S)
        numbers = [int(line) for line in report.read_text(encoding="ascii").split()]
    if not numbers:
        raise Cancelled("no system call of the helper is seen")
    names = sandbox.numbers().names
    return [names.get(number, f"call {number}") for number in numbers[:MOST_STEPS]]


def _tracer(report: Path, step: int, action: str) -> tuple[str, ...]:
    settings = json.dumps({"step": step, "action": action, "report": str(report)})
    return (sys.executable, "-I", "-S", str(TRACER), settings)


def _check_fault(
    bench: Bench, words: tuple[str, ...], step: int, action: str, what: str, *, ready: bool
) -> None:
    """Raise Failed if QEMU goes on without a working helper, or ends without an error about it."""
    report = bench.work / "disturbed"
    report.unlink(missing_ok=True)
    prefix = _tracer(report, step, action)
    try:
        with bench.start(*words, memory_mib=16, prefix=prefix, timeout_s=START_LIMIT_S) as running:
            if ready:
                _wait_for_fault(report, step)
            _check_goes_on(running, what, ready=ready)
    except GuestError as error:
        text = "\n".join(error.details)
        if "with status 1" not in error.cause:
            raise Failed(f"{what}: {error.cause}") from error
        if not NAMED.search(text):
            raise Failed(
                f"{what}: QEMU's error does not name asynchronous teardown: {error.cause}"
            ) from error


def _wait_for_fault(report: Path, step: int) -> None:
    """Wait until the helper has made its last call, which may be after QEMU's monitor is there."""
    if not soon(lambda: len(text_of(report).splitlines()) >= step, START_LIMIT_S):
        raise Cancelled(f"the helper did not make call {step} again within {START_LIMIT_S:.0f} s")
    time.sleep(SETTLED_S)


def _check_goes_on(running: Running, what: str, *, ready: bool) -> None:
    running.execute("query-status")
    helpers = running.helpers()
    if not helpers and ready and soon(lambda: running.warnings() > 0):
        return
    if len(helpers) != 1:
        raise Failed(f"{what}: QEMU goes on with {len(helpers) or 'no'} helpers")
    try:
        check_ready(running)
        found = status.differences(status.confinement(running.pid), status.confinement(helpers[0]))
    except Failed as failed:
        raise Failed(f"{what}: QEMU goes on, and {failed}") from failed
    if found:
        raise Failed(f"{what}: QEMU goes on, and the helper has {found[0]}")


def check_ready(running: Running) -> None:
    """Raise Failed if the helper has not finished its setup when the monitor has answered."""
    helper = running.helper()
    name, wanted = status.fields(helper).get("Name"), f"cleanup/{running.pid}"[:15]
    if name != wanted:
        raise Failed(f"the helper's name is {name} when the monitor answers, not {wanted}")
    shared = status.shared_descriptors(running.pid, helper)
    if shared:
        raise Failed(f"the helper still has {len(shared)} descriptors of QEMU when the monitor answers")
    if os.getsid(helper) != helper:
        raise Failed("the helper is in QEMU's session when the monitor answers")
