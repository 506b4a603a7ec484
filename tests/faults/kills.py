"""kill -9 at random instants of a run, and the run after it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, stage_under_way
from tests.faults.world import WORDS, World, kill_marked, marked, wait_until

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


@case("kill")
def kill(bench: Bench) -> Iterator[Tried]:
    """kill -9 of the worker, of the guard, or of everything at once at random instants of each stage of
    teardown; nothing may be left running, and the run after it must recover and be right"""
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
                    yield _kill_once(world, stage, whom, fraction)
            else:
                yield _kill_once(built, stage, whom, fraction)


def _kill_once(world: World, stage: str, whom: str, fraction: float) -> Tried:
    words, seconds = STAGES[stage]
    world.server.seconds = 0.5 if stage == "fetch" else 0.0
    running = world.start("teardown", *WORDS)
    name = f"{whom} in {stage}"
    if not running.wait_for(words, limit_s=120):
        ended = running.finish()
        return Tried(name=name, reason=f"never came to {stage}: {ended.tail()}")
    time.sleep(seconds * fraction)
    at = stage_under_way(running.lines)
    name += f" ({at}, {time.monotonic() - running.began:.2f} s)"
    strike(world, running.process.pid, whom)
    running.finish(60)
    gone = wait_until(lambda: not marked(world.mark), 30)
    left = "" if gone else f"processes are left: {list(marked(world.mark).values())[:3]}"
    if left:
        kill_marked(world.mark)
    # A run's results are whole or not there, also right after the kill.
    if stage in EARLY:
        again = world.run("build", *WORDS)
        problem = first(judge(again, 0), world.problems(built_only=True))
    else:
        again = world.teardown()
        problem = first(judge(again, 0), world.problems())
    return Tried(name=name, reason=first(left, problem))


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
