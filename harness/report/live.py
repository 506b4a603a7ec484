"""Progress of a run: the medians so far on a terminal, one line a round in a log."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from harness.figures import NONE, format_seconds
from harness.options import format_size
from harness.progress import Reporter
from harness.teardown.model import MATRIX_FIELDS, Sample
from harness.teardown.runner import Hooks
from harness.teardown.statistics import by_place, median, values_of

SHOWN = 16
"""Largest number of cells shown on a terminal together with the progress bar."""


def live_hooks(reporter: Reporter) -> Hooks:
    """Show the medians so far on the step of a round, and note each round in one line."""
    return Hooks(
        show=lambda step, samples: step.show(live_table(samples)),
        on_round=lambda made: reporter.note(round_line(made)),
    )


def live_table(samples: Sequence[Sample]) -> Table:
    """Render the medians of exit and reclaim so far, by cell and variant; cells beyond SHOWN are omitted."""
    places = by_place(samples, "teardown")
    variants = list(dict.fromkeys(variant for each in places.values() for variant in each))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("target", "memory", "pages", "trigger", "n"):
        table.add_column(name, no_wrap=True)
    for variant in variants:
        table.add_column(f"{variant}\nexit", justify="right", no_wrap=True)
        table.add_column("\nreclaim", justify="right", no_wrap=True)
    for place, sides in list(places.items())[:SHOWN]:
        named = dict(zip(MATRIX_FIELDS, place, strict=True))
        figures = [
            format_seconds(median(values_of(sides.get(variant, ()), latency)))
            for variant in variants
            for latency in ("exit", "reclaim")
        ]
        table.add_row(
            named["target"].removesuffix("-softmmu"),
            format_size(named["memory_mib"]),
            f"{named['backend']} {named['pages']}",
            named["trigger"],
            str(max(map(len, sides.values()), default=0)),
            *figures,
        )
    return table


def round_line(samples: Sequence[Sample]) -> str:
    """Summarise a round in one line: each variant's exit at the largest size, and problems."""
    guests = [sample for sample in samples if sample.kind == "teardown"]
    largest = max((sample.memory_mib for sample in guests), default=0)
    parts = [
        f"{variant} {_middle(sample for sample in guests if _is(sample, variant, largest))}"
        for variant in dict.fromkeys(sample.variant for sample in guests)
    ]
    bad = sum(sample.outcome == "failed" for sample in samples)
    loaded = sum(sample.loaded for sample in samples)
    notes = [f"{bad} failed"] if bad else []
    notes += [f"{loaded} under foreign load"] if loaded else []
    return f"  exit at {format_size(largest)}: {', '.join([*parts, *notes])}" if guests else "  no guests"


def _is(sample: Sample, variant: str, memory_mib: int) -> bool:
    return (sample.variant, sample.memory_mib, sample.outcome) == (variant, memory_mib, "ok")


def _middle(samples: Iterable[Sample]) -> str:
    values = values_of(samples, "exit")
    return format_seconds(median(values)) if values else NONE
