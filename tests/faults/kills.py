"""kill -9 at random instants of a run, and the run after it."""

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
"""Stage → the beginning of its first line, and its approximate duration in seconds."""
EARLY = ("fetch", "import", "checkout", "apply", "configure", "compile", "compile again")
VICTIMS = ("worker", "guard", "everything")
GONE_S = 5.0
"""Seconds that processes may outlive a killed guard."""


@case("kill")
def kill(bench: Bench) -> Generator[Tried]:
    """kill -9 of the worker, of the guard, or of all processes at random instants of each stage of teardown:
    no process remains, and the next run recovers and is correct"""
    draw = random.Random(bench.seed)
    stages = list(STAGES)
    if bench.quick:
        stages = ["import", "compile"]
    plan = [(stages[number % len(stages)], VICTIMS[number % len(VICTIMS)]) for number in range(bench.kills)]
    # Late stages share a world with finished builds; early ones start from scratch.
    with bench.world() as built:
        for stage, victim in plan:
            fraction = draw.random()
            if stage in EARLY:
                with bench.world() as world:
                    yield _kill_once(world, stage, victim, fraction, quick=bench.quick)
            else:
                yield _kill_once(built, stage, victim, fraction, quick=bench.quick)


def _kill_once(world: World, stage: str, victim: str, fraction: float, *, quick: bool) -> Tried:
    words, seconds = STAGES[stage]
    world.server.seconds = 0.5 if stage == "fetch" else 0.0
    name, remains = kill_in(world, words, seconds * fraction, victim)
    again = world.run("build", *WORDS) if quick else world.teardown()
    problem = first(remains, judge(again, 0), world.problems(built_only=quick))
    return Tried(name=f"{victim} in {stage}{name}", reason=problem)


def kill_in(world: World, words: str, seconds: float, victim: str) -> tuple[str, str]:
    """Kill a teardown ``seconds`` after its line with ``words``. Return the step, and any problem."""
    running = world.start("teardown", *WORDS)
    if not running.wait_for(words, limit_s=world.limit_s):
        return "", f"the run did not reach this stage: {running.finish().tail()}"
    time.sleep(seconds)
    return _kill(world, running, victim)


def kill_after(world: World, seconds: float, victim: str) -> tuple[str, str] | None:
    """Kill a teardown ``seconds`` after its start, like kill_in. Return None if it succeeds before that."""
    running = world.start("teardown", *WORDS)
    try:
        code = running.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return _kill(world, running, victim)
    ended = running.finish()
    return None if code == 0 else (" before it was killed", judge(ended, 0))


def _kill(world: World, running: Running, victim: str) -> tuple[str, str]:
    at = stage_under_way(running.lines)
    name = f" ({at}, {time.monotonic() - running.began:.2f} s)"
    strike(world, running.process.pid, victim)
    # A running guard ends all other processes before it ends. Without it, the kernel ends them at once.
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(60)
    gone = wait_until(lambda: not marked(world.mark), GONE_S)
    remains = "" if gone else f"processes remain: {list(marked(world.mark).values())[:3]}"
    if remains:
        kill_marked(world.mark)
    running.finish(60)
    return name, remains


def strike(world: World, guard: int, victim: str) -> None:
    """Send SIGKILL to the guard of a run, to its worker, or to all its processes."""
    if victim == "everything":
        kill_marked(world.mark)
        return
    target = guard
    if victim == "worker":
        children = Path(f"/proc/{guard}/task/{guard}/children")
        target = int((children.read_text().split() or [str(guard)])[0])
    try:
        os.kill(target, signal.SIGKILL)
    except ProcessLookupError:
        return
