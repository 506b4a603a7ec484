"""``report.md``: plain text of 72 columns for a cover letter or a merge request."""

import textwrap
from collections.abc import Iterable, Sequence

from harness.figures import NONE, format_ratio, format_seconds
from harness.options import format_size
from harness.report.headline import (
    extrapolations,
    floor_lines,
    guests,
    headline,
    left_out_line,
    load_line,
    sample_words,
)
from harness.teardown.model import MATRIX_FIELDS, Comparison
from harness.teardown.results import TeardownResults
from harness.teardown.statistics import by_place, median, values_of

WIDTH = 72
MARKS = {"better": "+", "same": "=", "worse": "-", "not enough data": "?"}


def report_text(results: TeardownResults) -> str:
    """Render the report. No line exceeds 72 columns, unless a single word does."""
    host = results.host
    parts = [
        "Teardown of guests with and without asynchronous teardown",
        "=" * 57,
        "",
        *_paragraphs(headline(results)),
        *_paragraphs(extrapolations(results)),
        *_table(results),
        *_restarts(results),
        *_paragraphs(floor_lines(results)),
        *_gates(results),
        *_wrap(
            f"Medians of {sample_words(results)} in random order (seed {results.seed}) after a discarded "
            f"warm-up, on {host.cpus} CPUs ({host.cpu}), {host.memory_mib // 1024} GiB, {host.distribution}, "
            f"Linux {host.kernel}. {load_line(results)}".strip()
        ),
        *_wrap(left_out_line(results)),
        "",
        "To reproduce:",
        "",
        *_wrap(results.command, indent="    "),
        "",
    ]
    if not results.complete:
        parts[2:2] = ["The run was stopped before its end.", ""]
    return "\n".join(parts)


def _table(results: TeardownResults) -> Iterable[str]:
    """Yield a row for each cell and variant; columns with a single value are omitted."""
    rows = guests(results.rows)
    fields = [
        field
        for field in MATRIX_FIELDS
        if field == "memory_mib" or (field != "accel" and len({getattr(row, field) for row in rows}) > 1)
    ]
    by_key = {
        (*row.place, row.variant, row.latency): row
        for row in reversed(results.comparisons)  # the first of a key is the one with base
    }
    cells = (field.removesuffix("_mib") for field in fields)
    lines: list[tuple[str, ...]] = [(*cells, "variant", "exit", "ratio", "reclaim", "ratio", "")]
    for place, sides in by_place(results.rows, "teardown").items():
        for variant, samples in sides.items():
            exit_, reclaim = (by_key.get((*place, variant, latency)) for latency in ("exit", "reclaim"))
            lines.append(
                (
                    *(_word(place, field) for field in fields),
                    variant[:10],
                    format_seconds(median(values_of(samples, "exit"))),
                    _ratio(exit_),
                    format_seconds(median(values_of(samples, "reclaim"))),
                    _ratio(reclaim),
                    f"{_mark(exit_)}{_mark(reclaim)}",
                )
            )
    yield from _columns(lines, left=len(fields) + 1)
    yield ""
    yield from _wrap(
        "Ratios are relative to the reference (base, if the run has it). The last column has the verdicts "
        "on exit and reclaim: + better, - worse, = same, ? not enough data; 5 % for all verdicts (Holm)."
    )
    yield ""


def _restarts(results: TeardownResults) -> Iterable[str]:
    for row in results.comparisons:
        if row.latency == "restart" and row.ratio is not None:
            target = row.target.removesuffix("-softmmu")
            place = f"{target} {format_size(row.memory_mib)} {row.backend} {row.pages}"
            yield from _wrap(
                f"Restart, {place}: {row.reference} {format_seconds(row.reference_s)}, {row.variant} "
                f"{format_seconds(row.variant_s)}, ratio {format_ratio(row.ratio)}: {row.verdict}."
            )
            yield ""


def _gates(results: TeardownResults) -> Iterable[str]:
    """Yield a paragraph a gate: the number of passes, and the cells without one."""
    shown = [gate for gate in results.gates if gate.outcome != "skip"]
    for name in dict.fromkeys(gate.gate for gate in shown):
        mine = [gate for gate in shown if gate.gate == name]
        passed = sum(gate.outcome == "pass" for gate in mine)
        yield from _wrap(f"Gate: {name}: {passed} of {len(mine)} pass")
        for gate in mine:
            if gate.outcome != "pass":
                yield from _wrap(f"{gate.outcome} at {gate.place}: {gate.reason}", indent="    ")
    if shown:
        yield ""


def _columns(lines: Sequence[tuple[str, ...]], *, left: int) -> Iterable[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield " ".join(cells).rstrip()
        if number == 0:
            yield " ".join("-" * width for width in widths).rstrip()


def _word(place: tuple[object, ...], field: str) -> str:
    value = place[MATRIX_FIELDS.index(field)]
    return format_size(int(str(value))) if field == "memory_mib" else str(value).removesuffix("-softmmu")


def _ratio(row: Comparison | None) -> str:
    return NONE if row is None else format_ratio(row.ratio)


def _mark(row: Comparison | None) -> str:
    return " " if row is None else MARKS[row.verdict]


def _paragraphs(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        name = text.split(":", maxsplit=1)[0]
        # A name of a target keeps its case at the start of a sentence.
        yield from _wrap(text if any(map(str.isdigit, name)) else text[0].upper() + text[1:])
        yield ""


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
