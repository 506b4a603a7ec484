"""The results of a cycles run as a table."""

from collections import Counter
from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.cycles.model import LIVES
from harness.cycles.record import SHOWN, CyclesResults

SEVERAL = 2


def render_cycles(results: CyclesResults) -> RenderableType:
    """Render cycles and failures by kind of life, a block a binary, then memory, reports, reasons."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("variant", "QEMU is ended"):
        table.add_column(name)
    for name in ("cycles", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for count in results.counts:
        style = "red" if count.failed else ""
        table.add_row(
            count.variant,
            f"{count.life}: {LIVES[count.life]}",
            str(count.cycles),
            Text(str(count.failed), style=style),
        )
    head = Text(f"Start/stop cycles, seed {results.seed}")
    return Group(head, Text(""), table, Text(""), *_memory(results), *_reports(results), *_reasons(results))


def _memory(results: CyclesResults) -> Iterable[RenderableType]:
    for one in results.memory:
        verdict = "was not freed" if one.leaked else "was freed"
        yield Text(
            f"{one.variant}: memory {verdict}: {one.before_mib:g} MiB before, {one.after_mib:g} after, "
            f"peak {one.peak_mib:g} ({one.source}, tolerance {one.tolerance_mib:g})",
            style="red" if one.leaked else "",
        )


def _reports(results: CyclesResults) -> Iterable[RenderableType]:
    for variant in dict.fromkeys(row.variant for row in results.rows):
        found = [report for row in results.rows if row.variant == variant for report in row.reports]
        if found:
            ours = sum(report.ours for report in found)
            yield Text(
                f"{variant}: sanitizer reports: {ours} name files of the series, {len(found) - ours} others"
            )
            others = Counter(report.summary for report in found if not report.ours)
            for summary, count in others.most_common(SHOWN):
                yield Text(f"  {count} x {summary}", style="dim")


def _reasons(results: CyclesResults) -> Iterable[RenderableType]:
    reasons: dict[tuple[str, str], list[int]] = {}
    for one in results.failures:
        for reason in one.reasons:
            reasons.setdefault((one.variant, reason), []).append(one.number)
    for (variant, reason), numbers in sorted(reasons.items(), key=lambda item: -len(item[1])):
        times = f"{len(numbers)} cycles" if len(numbers) >= SEVERAL else "1 cycle"
        yield Text(f"{variant}: {reason} ({times}, such as {numbers[0]})", style="yellow")
