"""Run a bisection, keep its state, and write bisect.json."""

import contextlib
import hashlib
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import BisectError, CompileError, ConfigureError
from harness.figures import counted
from harness.jsonfile import load, write_json
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter, Step
from harness.regression.decide import ALPHA, Decision, Rule
from harness.regression.measure import CannotMeasureError, Measure, Place
from harness.regression.model import BisectedCommit, BisectResults
from harness.regression.search import Search, Term, open_search
from harness.results import Recorder
from harness.teardown.paired import Pair, effect_of, words_of
from harness.tree import Tree
from harness.tree.git import Git

STATE = "judged.json"
Build = Callable[[str, str], Place]
"""Builds a commit under a name: bad or candidate."""


def bisect_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / "bisect.json"


@dataclass(kw_only=True)
class Bisection:
    """A bisection.

    ``good`` is the build of the good end, ``build`` builds another commit, and ``most_pairs`` limits the
    pairs of samples of a commit.
    """

    layout: Layout
    options: Options
    reporter: Reporter
    tree: Tree
    search: Search
    folder: Path
    measure: Measure
    what: str
    good: Place
    build: Build
    most_pairs: int
    command: str

    @property
    def level(self) -> float:
        """The error of a comparison: ALPHA is shared by all. One of its two directions is wrong."""
        return 2 * ALPHA / (1 + math.ceil(math.log2(self.search.commits)))

    def title(self, commit: str) -> str:
        return Git(repository=self.tree.path).read("show", "--no-patch", "--format=%s", commit)


@contextlib.contextmanager
def open_bisection(  # noqa: PLR0917 - what the user asked for
    layout: Layout, tree: Tree, good: str, bad: str, command: str, reporter: Reporter
) -> Iterator[tuple[Search, Path]]:
    """Open the state of a bisection. Remove it at the end; the same command continues an interrupted one."""
    key = hashlib.sha256("\0".join((str(tree.path), good, bad, command)).encode()).hexdigest()[:12]
    folder = layout.build / "bisect" / key
    search = open_search(tree, folder / "git", good, bad)
    if judged := search.judged():
        reporter.note(f"continuing: {counted(judged, 'commit')} judged, {search.left()} left")
    try:
        yield search, folder
    except BaseException:
        if not (folder / STATE).exists():  # not even the ends are judged
            shutil.rmtree(folder)
        raise
    if not search.candidate:
        shutil.rmtree(folder)


def record_bisect(bisection: Bisection) -> BisectResults:
    """Find the first bad commit. Write bisect.json after each commit.

    Raises BisectError: the ends do not differ, or are the wrong way round; a command judges nothing. Raises
    the errors of a build for the two ends.
    """
    search, state = bisection.search, bisection.folder / STATE
    known = load(state, list[BisectedCommit]) or []

    def make(shared: dict[str, Any], _: bool) -> BisectResults:
        return BisectResults(
            **shared,
            source=str(bisection.tree.clone or bisection.tree.path),
            good=search.good,
            bad=search.bad,
            measure=bisection.what,
            unit=bisection.measure.unit,
            lower_is_better=bisection.measure.lower_is_better,
            first_bad=search.found,
            commits=tuple(recorder.rows),
            log=search.log,
        )

    recorder = Recorder[BisectedCommit, BisectResults](
        bisect_file(bisection.layout), bisection.options, command=bisection.command, make=make
    )
    with recorder:
        for row in known:
            recorder.take(row)

        def keep(row: BisectedCommit) -> None:
            recorder.take(row)
            recorder.save()
            write_json(state, recorder.rows)

        good = bisection.good
        if len(recorder.rows) < 2:
            recorder.rows.clear()
            for row in _ends(bisection, good):
                keep(row)
        while commit := search.candidate:
            left = search.left()
            steps = counted(max(1, math.ceil(math.log2(left))), "step")
            bisection.reporter.note(f"{left} commits are left, about {steps}: {commit[:12]}")
            row = _judge(bisection, good, commit, recorder.rows[1])
            # First git's state: a commit that is in both is judged once.
            search.mark(row.term, commit)  # type: ignore[arg-type]
            keep(row)
        return recorder.finish()


def _ends(bisection: Bisection, good: Place) -> tuple[BisectedCommit, BisectedCommit]:
    """Judge the two ends. Raises BisectError if the bad one is not worse."""
    search, began = bisection.search, time.monotonic()
    bad = bisection.build("bad", search.bad)
    first = BisectedCommit(commit=search.good, title=bisection.title(search.good), term="good")
    try:
        terms = [bisection.measure.judge(place) for place in (good, bad)]
        if terms == ["good", "bad"]:
            return first, _row(bisection, search.bad, "bad", [], None, began)
        if terms[0] is not None:
            raise BisectError(
                f"{bisection.measure.name} finds the good end {terms[0]}, and the bad end {terms[1]}",
                f"correct the command or the test, whose output is in {bisection.layout.logs}, or name other "
                "revisions",
            )
        pairs, decision = _compare(bisection, (good, bad))
    except CannotMeasureError as error:
        raise BisectError(
            f"the ends cannot be measured: {error}", "correct the guest, the test or the command"
        ) from error
    effect, unit = decision.effect, bisection.measure.unit
    words = words_of(effect.mean, relative=effect.relative, unit=unit)
    if decision.verdict != "worse":
        swapped = effect.high < 0
        raise BisectError(
            f"the bad end is {'better' if swapped else 'not clearly worse'} than the good one: {words} after "
            f"{len(pairs)} pairs of samples{_more(decision)}",
            "swap --good and --bad" if swapped else "name other revisions, a larger guest, or more --pairs",
        )
    bisection.reporter.note(f"the bad end is worse: {words}; a commit is worse by as much, or not at all")
    return first, _row(bisection, search.bad, "bad", pairs, decision, began)


def _judge(bisection: Bisection, good: Place, commit: str, end: BisectedCommit) -> BisectedCommit:
    began = time.monotonic()

    def skipped(reason: str) -> BisectedCommit:
        bisection.reporter.note(f"skipped: {reason}")
        seconds = round(time.monotonic() - began, 1)
        return BisectedCommit(
            commit=commit, title=bisection.title(commit), term="skip", reason=reason, seconds=seconds
        )

    try:
        place = bisection.build("candidate", commit)
    except (ConfigureError, CompileError) as error:
        return skipped(error.cause)
    try:
        if (term := bisection.measure.judge(place)) is not None:
            return _row(bisection, commit, term, [], None, began)
        pairs, decision = _compare(bisection, (good, place), end)
    except CannotMeasureError as error:
        return skipped(str(error))
    if decision.verdict == "given up":
        row = skipped(f"not decided after {len(pairs)} pairs of samples{_more(decision)}")
        return msgspec.structs.replace(row, pairs=tuple(pairs))
    return _row(bisection, commit, "bad" if decision.verdict == "worse" else "good", pairs, decision, began)


def _row(  # noqa: PLR0917 - the fields of the row
    bisection: Bisection,
    commit: str,
    term: Term,
    pairs: list[Pair],
    decision: Decision | None,
    began: float,
) -> BisectedCommit:
    effect = decision.effect if decision else None
    finite = effect is not None and math.isfinite(effect.low)
    return BisectedCommit(
        commit=commit,
        title=bisection.title(commit),
        term=term,
        pairs=tuple(pairs),
        effect=effect.mean if effect else None,
        low=effect.low if effect and finite else None,
        high=effect.high if effect and finite else None,
        relative=effect.relative if effect else True,
        seconds=round(time.monotonic() - began, 1),
    )


def _compare(
    bisection: Bisection, places: tuple[Place, Place], end: BisectedCommit | None = None
) -> tuple[list[Pair], Decision]:
    """Take pairs of samples until it is decided whether the effect is that of the bad end, or zero.

    Without ``end``, whether it is above zero. Raises CannotMeasureError.
    """
    measure, pairs, full = bisection.measure, list[Pair](), 0.0
    with bisection.reporter.step(f"comparing {places[1].name} with good") as step:
        measure.sample(places, 0)  # warm-up: it fills caches
        if end:
            # A comparison that ends when its effect is clear overestimates it more often than not.
            known = effect_of(
                end.pairs, lower_is_better=measure.lower_is_better, miss=ALPHA, relative=end.relative
            )
            full = known.mean - known.error
        rule = Rule(
            lower_is_better=measure.lower_is_better,
            level=bisection.level,
            full=full,
            relative=end.relative if end else True,
        )
        while True:
            good, other = measure.sample(places, len(pairs) + 1)
            pairs.append((good, other))
            decision = rule.decide(pairs, bisection.most_pairs)
            if end and decision.effect.relative != end.relative:
                raise CannotMeasureError("a sample is not above 0, but those of the ends are")
            _show(step, pairs, decision, bisection)
            if decision.verdict != "open":
                return pairs, decision


def _more(decision: Decision) -> str:
    """Return how many more pairs would decide, for a message."""
    if math.isinf(decision.more):
        return "; no number of pairs is likely to decide"
    return f"; about {decision.more:.0f} more are likely to decide" if decision.more else ""


def _show(step: Step, pairs: list[Pair], decision: Decision, bisection: Bisection) -> None:
    effect = decision.effect
    words = words_of(effect.mean, relative=effect.relative, unit=bisection.measure.unit)
    step.update(len(pairs), bisection.most_pairs, f"{words}, {decision.verdict}")
