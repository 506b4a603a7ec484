"""The results as parts of a page; ``validate.html`` is the page that consists of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from harness.check import TestRow, ValidateResults
from harness.figures import NONE, format_duration, format_seconds, ranges_of
from harness.report.pages import LISTED, Section, environment
from harness.validate.gather import (
    base_failures,
    base_words,
    none_run,
    pin_words,
    proof_lines,
    skipped_lines,
    stages_not_run,
    unsteady_lines,
)
from harness.validate.placement import place_findings
from harness.validate.table import compiled_line, verdict_line

TEMPLATES = Path(__file__).with_name("templates")
Row = TypeVar("Row")
_WORST = ("not", "unknown", "3-way", "fuzz", "moved", "offsets", "clean", "already")


def page(results: ValidateResults) -> str:
    """Return ``validate.html``. Everything in it is escaped: texts of a series are not trusted."""
    return (
        environment(TEMPLATES)
        .get_template("validate.html.j2")
        .render(
            results=results,
            base=base_words(results),
            verdict=verdict_line(results),
            findings=place_findings(results, {}),
            sections=[one for one in sections(results) if one.rows or one.lines],
        )
    )


def sections(results: ValidateResults) -> tuple[Section, ...]:
    """Return the parts of a page that describe ``results``, without the findings."""
    return (
        _fits(results),
        _builds(results),
        Section(
            id="proofs",
            title="What the tests show",
            none="The series adds and changes no test, or its tests were not run on the base.",
            lines=tuple(proof_lines(results)),
        ),
        _tests(results),
        _coverage(results),
        _times(results),
        Section(
            id="undone",
            title="Not read, compiled or run",
            none="Everything was read, compiled and run.",
            lines=tuple(_undone(results)),
        ),
    )


def fit_words(results: ValidateResults) -> tuple[tuple[str, str], ...]:
    """Return each release with the worst fit of a patch, such as ``10.0`` and ``not``."""
    kinds: dict[str, set[str]] = {}
    for fit in results.fits:
        kinds.setdefault(fit.pin, set()).add(fit.kind)
    return tuple(
        (pin_words(results, pin), next(kind for kind in _WORST if kind in found))
        for pin, found in kinds.items()
    )


def _some(rows: Sequence[Row], is_good: Callable[[Row], bool]) -> tuple[list[Row], int]:
    """Return at most LISTED of ``rows``, those that are not good first, and the number of the others."""
    if len(rows) <= LISTED:
        return list(rows), 0
    return sorted(rows, key=is_good)[:LISTED], len(rows) - LISTED


def _is_good_test(row: TestRow) -> bool:
    return row.outcome in ("ok", "skipped")


def _fits(results: ValidateResults) -> Section:
    by_patch: dict[int, dict[str, str]] = {}
    for fit in results.fits:
        word = f"{fit.kind}, identical files" if fit.exact else fit.kind
        by_patch.setdefault(fit.patch, {})[fit.pin] = word
    pins = tuple(dict.fromkeys(fit.pin for fit in results.fits))
    rows = [(str(at), *(kinds.get(pin, NONE) for pin in pins)) for at, kinds in by_patch.items()]
    shown, left_out = _some(rows, lambda row: all(word.startswith("clean") for word in row[1:]))
    return Section(
        id="fits",
        title="Fit by release",
        none="No patch was applied.",
        headings=("patch", *(pin_words(results, pin) for pin in pins)),
        rows=shown,
        outcomes=range(1, len(pins) + 1),
        left_out=left_out,
    )


def _builds(results: ValidateResults) -> Section:
    shown, left_out = _some(results.builds, lambda row: row.outcome == "ok")
    return Section(
        id="builds",
        title="Builds",
        none="No commit was built.",
        headings=("patch", "for", "result", "time", "reason"),
        rows=[
            (str(row.patch or "base"), row.where, row.outcome, format_seconds(row.seconds), row.reason)
            for row in shown
        ],
        outcomes=(2,),
        left_out=left_out,
    )


def _tests(results: ValidateResults) -> Section:
    counts = Counter(row.outcome for row in results.tests)
    shown, left_out = _some(sorted(results.tests, key=_is_good_test), _is_good_test)
    return Section(
        id="tests",
        title="QEMU's own tests",
        none="No test was run.",
        lines=[", ".join(f"{count} {word}" for word, count in counts.most_common())] if counts else [],
        headings=("test", "suite", "patch", "result", "time", "reason"),
        rows=[
            (
                row.name,
                row.suite,
                str(row.patch or "base"),
                row.outcome,
                format_seconds(row.seconds),
                row.reason,
            )
            for row in shown
        ],
        outcomes=(3,),
        left_out=left_out,
    )


def _coverage(results: ValidateResults) -> Section:
    shown, left_out = _some(results.coverage, lambda row: not row.missing)
    return Section(
        id="coverage",
        title="Lines that no test ran",
        none="Coverage was not measured.",
        headings=("file", "patch", "added lines with code", "run by no test"),
        rows=[
            (row.file, str(row.patch), str(row.executable), ", ".join(ranges_of(row.missing)) or "none")
            for row in shown
        ],
        left_out=left_out,
    )


def _times(results: ValidateResults) -> Section:
    rows = [
        (row.name, str(row.outcome), format_duration(row.seconds)) for row in results.stages if row.seconds
    ]
    if cost := results.bisect:
        rows.append(("base and all commits", NONE, format_duration(cost.all_s)))
        if cost.cold_s:
            rows.append(("base, compiled without a cache", NONE, format_duration(cost.cold_s)))
    return Section(
        id="times",
        title="Time",
        none="No stage was timed.",
        headings=("stage", "result", "time"),
        rows=rows,
        outcomes=(1,),
    )


def _undone(results: ValidateResults) -> Iterator[str]:
    series = results.series
    if len(series.patches) < series.total:
        yield f"{len(series.patches)} of the {series.total} announced patches were read"
    if not results.complete:
        yield "the run was stopped before its end"
    for stage in stages_not_run(results):
        yield f"stage {stage.name}, {stage.outcome}: {stage.reason}"
    if results.compiled and results.compiled.compiled < results.compiled.changed:
        yield compiled_line(results.compiled)
    for pin in dict.fromkeys(fit.pin for fit in results.fits if fit.kind == "unknown"):
        yield f"release {pin}: its tree is not available"
    yield from filter(None, (none_run(results), base_failures(results)))
    yield from unsteady_lines(results)
    yield from list(skipped_lines(results))[:LISTED]
    if results.switched_off:
        yield f"rules that are switched off: {', '.join(results.switched_off)}"
