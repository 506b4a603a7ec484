"""The results of a bisection; docs/results.md is generated from them."""

from typing import Annotated

import msgspec

from harness.jsonfile import about
from harness.results import Results


class BisectedCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit that was judged."""

    commit: Annotated[str, about("commit id")]
    title: Annotated[str, about("first line of its message")]
    term: Annotated[str, about("good, bad or skip: the command of git bisect")]
    reason: Annotated[str, about("why it was skipped; empty if it was not")] = ""
    pairs: tuple[tuple[float, float], ...] = ()
    """samples of the good revision and of this commit, in turns; none if an exit status judged"""
    effect: float | None = None
    """how much worse it is: logarithm of the ratio, or the difference if a sample is not above 0"""
    low: Annotated[float | None, about("lower end of the interval of the effect")] = None
    high: Annotated[float | None, about("upper end of that interval")] = None
    relative: Annotated[bool, about("whether the effect is a logarithm of a ratio")] = True
    seconds: Annotated[float, about("seconds that its build and its samples took")] = 0.0


class BisectResults(Results, frozen=True, kw_only=True):
    """A bisection."""

    source: Annotated[str, about("the clone")]
    good: Annotated[str, about("commit id of --good")]
    bad: Annotated[str, about("commit id of --bad")]
    measure: Annotated[str, about("the metric, or the command of --run")]
    unit: Annotated[str, about("unit of the samples")]
    lower_is_better: Annotated[bool, about("whether a smaller sample is better")]
    first_bad: tuple[str, ...]
    """the first bad commit; several if skipped commits hide it; none until it is found"""
    commits: Annotated[tuple[BisectedCommit, ...], about("the judged commits in order, first the two ends")]
    log: Annotated[str, about("log for git bisect replay")]
