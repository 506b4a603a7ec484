"""Two concurrent runs."""

import re
from collections.abc import Generator

from tests.faults.bench import Bench, Tried, case, first, judge
from tests.faults.kills import strike
from tests.faults.world import WORDS, Running, marked


@case("two-runs")
def two_runs(bench: Bench) -> Generator[Tried]:
    """two runs at once in one checkout, and in two checkouts with one cache: both are correct, and progress
    names the process that a run waits for; if the holder of a lock is killed, the waiting run continues"""
    with bench.world() as world:
        world.server.seconds = 2.0
        one = world.start("teardown", *WORDS)
        one.wait_for("fetching ")
        two = world.start("teardown", *WORDS)
        waits = _waits(two, world.mark, "which holds this checkout")
        ended = [one.finish(), two.finish()]
        yield Tried(
            name="in one checkout", reason=first(*(judge(each, 0) for each in ended), waits, world.problems())
        )
        if bench.quick:
            return
        one = world.start("teardown", *WORDS)
        one.wait_for("warm-up")
        two = world.start("teardown", *WORDS)
        waits = _waits(two, world.mark, "which holds this checkout")
        strike(world, one.process.pid, "worker")
        one.finish()
        ended = [two.finish()]
        yield Tried(name="the holder is killed", reason=first(judge(ended[0], 0), waits, world.problems()))
    with bench.two_worlds() as (near, far):
        near.server.seconds = 10.0  # the second run must start during the download
        one = near.start("teardown", *WORDS)
        one.wait_for("fetching ")
        two = far.start("teardown", *WORDS)
        waits = _waits(two, near.mark, "which holds the download of pin 7.2")
        ended = [one.finish(), two.finish()]
        lines = one.lines + two.lines
        measuring = any("which holds the right to time guests" in line for line in lines)
        yield Tried(
            name="in two checkouts with one cache",
            reason=first(
                *(judge(each, 0) for each in ended),
                waits,
                "" if measuring else "both runs timed guests at once",
                "" if near.server.asked == 1 else f"{near.server.asked} downloads",
                near.problems(),
                far.problems(),
            ),
        )


def _waits(running: Running, mark: str, text: str) -> str:
    """Return the problem if progress does not report that the run waits for a living run, else ""."""
    if not running.wait_for(text, limit_s=60):
        return f"does not report a wait: {' / '.join(line.strip() for line in running.lines[-3:])}"
    line = next(line for line in running.lines if text in line)
    holder = re.match(r"waiting for process (\d+),", line)
    if not holder:
        return f"does not report the process that it waits for: {line.strip()}"
    return "" if int(holder[1]) in marked(mark) else f"waits for {holder[1]}, which is not one of the runs"
