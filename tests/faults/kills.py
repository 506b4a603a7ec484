"""kill -9 at random instants of a run, and the run after it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, stage_under_way
from tests.faults.world import WORDS, Running, World, kill_marked, marked, wait_until

STAGES: dict[str, tuple[str, float]] = {
    "fetch": ("fetching ", 0.5),
    "import": ("importing ", 0.4),
    "checkout": ("checking out ", 0.4),
    "apply": ("applying ", 0.3),
    "configure": ("configure 7.2 patched", 0.15),
    "compile": ("compile 7.2 base", 0.5),
    "compile again": ("compile 7.2 patched", 0.4),
    "guest": ("warm-up", 6.0),
    "sample": ("round 1", 5.0),
    "report": ("report …", 1.5),
}
"""What a stage's first line begins with, and about how many seconds there are to kill it in."""
EARLY = ("fetch", "import", "checkout", "apply", "configure", "compile", "compile again")
WHOM = ("worker", "guard", "everything")
GONE_S = 5.0
"""How long what was started may outlive a guard that was killed."""


@case("kill")
def kill(bench: Bench) -> Generator[Tried]:
    """kill -9 of the worker, of the guard, or of all processes at random instants of each stage of teardown:
    no process remains, and the next run recovers and is correct"""
    draw = random.Random(bench.seed)
    stages = list(STAGES)
    if bench.quick:
        stages = ["import", "compile"]
    plan = [(stages[number % len(stages)], WHOM[number % len(WHOM)]) for number in range(bench.kills)]
    # Late stages share a world that is built already, early ones begin from nothing.
    with bench.world() as built:
        for stage, whom in plan:
            fraction = draw.random()
            if stage in EARLY:
                with bench.world() as world:
                    yield _kill_once(world, stage, whom, fraction, quick=bench.quick)
            else:
                yield _kill_once(built, stage, whom, fraction, quick=bench.quick)


def _kill_once(world: World, stage: str, whom: str, fraction: float, *, quick: bool) -> Tried:
    words, seconds = STAGES[stage]
    world.server.seconds = 0.5 if stage == "fetch" else 0.0
    name, left = kill_in(world, words, seconds * fraction, whom)
    again = world.run("build", *WORDS) if quick else world.teardown()
    problem = first(left, judge(again, 0), world.problems(built_only=quick))
    return Tried(name=f"{whom} in {stage}{name}", reason=problem)


def kill_in(world: World, words: str, seconds: float, whom: str) -> tuple[str, str]:
    """Kill a teardown ``seconds`` after its line with ``words``: where that was, and what is wrong."""
    running = world.start("teardown", *WORDS)
    if not running.wait_for(words, limit_s=world.limit_s):
        return "", f"never came to it: {running.finish().tail()}"
    time.sleep(seconds)
    return _kill(world, running, whom)


def kill_after(world: World, seconds: float, whom: str) -> tuple[str, str] | None:
    """Kill a teardown ``seconds`` after its begin, as kill_in; None when it ends well before that."""
    running = world.start("teardown", *WORDS)
    try:
        code = running.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return _kill(world, running, whom)
    ended = running.finish()
    return None if code == 0 else (" before it was killed", judge(ended, 0))


def _kill(world: World, running: Running, whom: str) -> tuple[str, str]:
    at = stage_under_way(running.lines)
    name = f" ({at}, {time.monotonic() - running.began:.2f} s)"
    strike(world, running.process.pid, whom)
    # A guard that lives ends the rest before it ends; without it the kernel does, at once.
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(60)
    gone = wait_until(lambda: not marked(world.mark), GONE_S)
    left = "" if gone else f"processes are left: {list(marked(world.mark).values())[:3]}"
    if left:
        kill_marked(world.mark)
    running.finish(60)
    return name, left


def strike(world: World, guard: int, whom: str) -> None:
    """SIGKILL to a run's guard, its worker, or all that it has started."""
    if whom == "everything":
        kill_marked(world.mark)
        return
    target = guard
    if whom == "worker":
        children = Path(f"/proc/{guard}/task/{guard}/children")
        target = int((children.read_text().split() or [str(guard)])[0])
    try:
        os.kill(target, signal.SIGKILL)
    except ProcessLookupError:
        return
