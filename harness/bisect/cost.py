"""What building the commits of a series costs: estimated before, compared with a cold build afterwards.

A build of many files measures the seconds of a compile step on this machine, with and without ccache. They
are stored in the user's cache for the estimate of the next run.
"""

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from harness.build import Build
from harness.check import Bisect, CommitBuild
from harness.errors import HarnessError
from harness.figures import counted
from harness.jsonfile import load, write_json
from harness.layout import Layout

COLD = 0.05
"""Greatest share of cache hits in a build from scratch, in which targets share equal generated sources."""
ENOUGH = 200
"""Least number of compiler calls that measure a rate."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a compile step, of all jobs together. The defaults are those of 2 idle CPUs."""

    cold_s: float = 0.6
    warm_s: float = 0.06
    measured: bool = False
    """Whether a build on this machine has measured one of them."""


def read_rates(layout: Layout) -> Rates:
    """Return the rates that earlier builds have measured."""
    return load(layout.cache / "rates" / "compile.json", Rates) or Rates()


def measure_rates(layout: Layout, build: Build) -> None:
    """Store the rate of ``build``, if it compiled enough files in one way."""
    if build.reused or build.cache is None:
        return
    calls = build.cache.hits + build.cache.misses
    rates = read_rates(layout)
    if calls < ENOUGH:
        return
    step_s = round(build.compile_s / calls, 4)
    if build.cache.hits <= COLD * calls:
        rates = msgspec.structs.replace(rates, cold_s=step_s, measured=True)
    elif build.cache.misses <= COLD * calls:
        rates = msgspec.structs.replace(rates, warm_s=step_s, measured=True)
    else:
        return
    with contextlib.suppress(HarnessError):  # a cache that cannot be written is not an error
        write_json(layout.cache / "rates" / "compile.json", rates)


def estimate(base: int, commits: Sequence[int], compilers: Sequence[str], rates: Rates) -> str:
    """Return one line: compile steps of the base and of the commits after it, and the time that they take.

    The least time is that of a base that ccache has completely.
    """
    total = sum(commits)
    low = len(compilers) * (base * rates.warm_s + total * rates.cold_s)
    high = len(compilers) * (base + total) * rates.cold_s
    number = counted(len(commits), "commit")
    source = "measured here" if rates.measured else "assumed, not measured here yet"
    return (
        f"estimate: {base:,} compile steps for the base and {total:,} for {number}, with "
        f"{' and '.join(compilers)}: {_minutes(low)} to {_minutes(high)} ({rates.cold_s:.2f} s a step, "
        f"{rates.warm_s:.2f} s from ccache; {source})"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def cost_of(rows: Iterable[CommitBuild]) -> Bisect | None:
    """Compare the cost of all commits with that of the base, if the base was compiled from scratch."""
    rows = list(rows)
    if not rows:
        return None
    base = rows[0]
    calls = base.cache_hits + base.cache_misses
    cold = calls > 0 and base.cache_hits <= COLD * calls
    total = sum(row.seconds for row in rows)
    return Bisect(
        cold_s=base.seconds if cold else 0.0,
        all_s=round(total, 1),
        ratio=round(total / base.seconds, 2) if cold and base.seconds else 0.0,
    )
