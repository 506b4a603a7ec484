"""Verdicts of mutants, and the score of each module: the part of its mutants that some test notices."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

WORDS = r"[a-z]{2,}[,:;]? [a-z(]{2,}"
"""A text with words like these is prose, which worker.py leaves alone: what a user reads may be reworded."""
SURVIVED = ("survived", "no tests")


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One mutant, as worker.py reports it."""

    module: str
    name: str
    verdict: str
    """``killed``, ``survived``, ``timeout``, ``no tests`` or ``not run``."""
    seconds: float
    diff: str = ""
    """Of survivors."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The score of one module. Mutants that were not run do not count in it."""

    module: str
    mutants: int
    killed: int
    survived: int
    timeout: int
    no_tests: int
    not_run: int
    seconds: float
    """Time that the tests of the mutants took, added up over parallel runs."""

    @property
    def score(self) -> float | None:
        """Killed mutants in per cent of those run; a mutant that hangs counts as killed. None without any."""
        run = self.mutants - self.not_run
        return 100 * (self.killed + self.timeout) / run if run else None


def verdict_of(exit_code: int | None) -> str:
    """What an exit code in mutmut's results means: pytest's, one of mutmut's own, or minus a signal."""
    if exit_code is None:
        return "not run"
    # SIGXCPU ends a mutant that uses up its time, SIGKILL one that ignores that.
    known = {0: "survived", 5: "no tests", 33: "no tests", -24: "timeout", -9: "timeout", 36: "timeout"}
    return known.get(exit_code, "killed")


def rows_of(mutants: Iterable[Mutant]) -> list[Row]:
    """A row for each module, by name."""
    by_module: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_module.setdefault(mutant.module, []).append(mutant)
    return [_row(module, by_module[module]) for module in sorted(by_module)]


def _row(module: str, mutants: Sequence[Mutant]) -> Row:
    verdicts = Counter(mutant.verdict for mutant in mutants)
    return Row(
        module=module,
        mutants=len(mutants),
        killed=verdicts["killed"],
        survived=verdicts["survived"],
        timeout=verdicts["timeout"],
        no_tests=verdicts["no tests"],
        not_run=verdicts["not run"],
        seconds=round(sum(mutant.seconds for mutant in mutants), 1),
    )


def total_of(rows: Iterable[Row]) -> Row:
    """The sum of ``rows``."""
    counts: Mapping[str, float] = sum((Counter(_figures(row)) for row in rows), Counter())
    return Row(module="total", **{name: counts[name] for name in _FIGURES})  # type: ignore[arg-type]


_FIGURES = ("mutants", "killed", "survived", "timeout", "no_tests", "not_run", "seconds")


def _figures(row: Row) -> dict[str, float]:
    return {name: getattr(row, name) for name in _FIGURES}


def render_rows(rows: Sequence[Row]) -> str:
    """A table of plain text, with the total."""
    head = ("module", "mutants", "killed", "survived", "timeout", "no tests", "not run", "seconds", "score")
    lines = [head]
    for row in (*rows, total_of(rows)):
        score = "" if row.score is None else f"{row.score:.1f} %"
        lines.append((row.module, *(f"{value:g}" for value in _figures(row).values()), score))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + "\n"
        for line in lines
    )


def render_survivors(mutants: Iterable[Mutant]) -> str:
    """The diff of each mutant that no test noticed, by module."""
    return "".join(
        f"{mutant.name}: {mutant.verdict}\n{mutant.diff.rstrip()}\n\n"
        for mutant in sorted(mutants, key=lambda each: each.module)
        if mutant.verdict in SURVIVED
    )
