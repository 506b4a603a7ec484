"""The results for a terminal: a line for each patch, the findings, the verdict."""

from collections import defaultdict
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.check import CommitBuild, CompiledFiles, Finding, ValidateResults
from harness.check.model import SEVERITIES
from harness.figures import counted
from harness.validate.gather import (
    base_failures,
    base_words,
    gathered,
    none_run,
    pin_words,
    place_words,
    proof_lines,
    skipped_lines,
    stages_not_run,
    unsteady_lines,
    why_not_built,
)

_STYLES = {"error": "red", "warning": "yellow", "note": "dim"}
_VERDICTS = {
    "clean": ("clean", "is clean", "bold green"),
    "findings": ("findings", "has findings to fix", "bold yellow"),
    "apply": ("does not apply", "does not apply", "bold red"),
    "build": ("does not build", "does not build at each commit", "bold red"),
    "tests": ("tests fail", "makes tests fail", "bold red"),
    "infrastructure": (
        "not judged",
        "could not be judged completely; this is not the series' fault",
        "bold magenta",
    ),
}
"""Each verdict in a list, in a sentence, and its style at a terminal."""
SHOWN = 3
"""Maximum lines of a snippet at a terminal; the files contain all of them."""


def render_validate(results: ValidateResults) -> RenderableType:
    """Format the whole run from the results."""
    parts: list[RenderableType] = [_heading(results), Text(), _patches(results)]
    if matrix := _matrix(results):
        parts += [Text(), matrix]
    findings = gathered(results)
    shown = [finding for finding in findings if finding.severity != "note"]
    notes = [finding for finding in findings if finding.severity == "note"]
    if shown or notes:
        parts.append(Text())
    parts += [line for finding in (*shown, *notes) for line in _finding(finding)]
    parts += [Text(), *_closing(results)]
    return Group(*parts)


def verdict_line(results: ValidateResults) -> str:
    """Return one line: the series, its verdict and the number of findings."""
    return f"{results.series.name} {verdict_words(results)}"


def verdict_words(results: ValidateResults) -> str:
    """Return the predicate of a sentence about the series: its verdict and the number of findings."""
    counts = count_findings(results)
    words = _VERDICTS[results.verdict][1]
    if results.verdict == "clean" and not was_built(results.builds):
        why = why_not_built(results)
        only = "has only these findings" if counts else "has no findings"
        words = f"{only} as it was read; nothing was compiled or tested{f' ({why})' if why else ''}"
    return f"{words}{f': {counts}' if counts else ''}"


def outcome(verdict: str, builds: Sequence[CommitBuild] | None) -> str:
    """Return ``verdict`` as lists show it. ``builds`` are None if the results cannot be read.

    A verdict that is not known is of another version of the harness.
    """
    if verdict == "clean" and builds is not None and not was_built(builds):
        return "no findings, not built"
    return _VERDICTS.get(verdict, _VERDICTS["infrastructure"])[0]


def was_built(builds: Sequence[CommitBuild]) -> bool:
    """Return whether any state with patches of the series was built."""
    return any(row.patch and row.outcome == "ok" for row in builds)


def count_findings(results: ValidateResults) -> str:
    """Return the number of findings of each severity, such as ``1 error, 2 notes``; empty without any."""
    found = gathered(results)
    return ", ".join(
        counted(number, level)
        for level in SEVERITIES
        if (number := sum(finding.severity == level for finding in found))
    )


def compiled_line(files: CompiledFiles) -> str:
    """Return one line: how many changed source files were compiled, and for which targets."""
    built = ", ".join((*files.targets, *files.programs, *files.switches))
    headers = ", ".join(
        f"{one.file} with {one.compiled} of {one.sources}" for one in files.headers if one.compiled
    )
    return (
        f"{files.compiled} of {files.changed} changed source files compiled{f' ({built})' if built else ''}"
        + (f"; of the sources that include a header: {headers}" if headers else "")
    )


def _heading(results: ValidateResults) -> Text:
    series = results.series
    tag = f"v{series.version}{' RFC' if series.rfc else ''}"
    count = f"{len(series.patches)} of {series.total} patches"
    return Text(
        f"{series.title} ({tag}, {count}) on {base_words(results)}\n"
        f"{results.machine}; sha256 {series.sha256[:16]}"
    )


def _patches(results: ValidateResults) -> Table:
    by_patch: dict[int, list[Finding]] = defaultdict(list)
    for finding in gathered(results):
        by_patch[finding.patch].append(finding)
    fits = {fit.patch: fit.kind for fit in results.fits if fit.pin == results.pin}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    table.add_column("patch", overflow="ellipsis", no_wrap=True, max_width=50)
    for name in ("applies", "builds", "tests"):
        table.add_column(name)
    for name in SEVERITIES:
        table.add_column(f"{name}s", justify="right")
    rows = [
        (0, "the series as a whole"),
        *((patch.number, patch.subject) for patch in results.series.patches),
    ]
    for number, title in rows:
        counts = [sum(finding.severity == level for finding in by_patch[number]) for level in SEVERITIES]
        table.add_row(
            str(number) if number else "",
            Text(title),
            fits.get(number, "" if number == 0 else "-"),
            _built(results, number),
            _tested(results, number),
            *(
                Text(str(count), style=_STYLES[level] if count else "dim")
                for level, count in zip(SEVERITIES, counts, strict=True)
            ),
        )
    return table


def _built(results: ValidateResults, number: int) -> str:
    rows = [row for row in results.builds if row.patch == number]
    if not rows:
        return ""
    bad = [row for row in rows if row.outcome != "ok"]
    return bad[0].outcome if bad else f"{sum(row.seconds for row in rows):.0f} s"


def _tested(results: ValidateResults, number: int) -> str:
    rows = [row for row in results.tests if row.patch == number and row.outcome != "skipped"]
    if not rows:
        return ""
    good = sum(row.outcome == "ok" for row in rows)
    return f"{good} of {len(rows)} ok"


def _matrix(results: ValidateResults) -> Table | None:
    pins = list(dict.fromkeys(fit.pin for fit in results.fits))
    if len(pins) < 2:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title_justify="left")
    table.add_column("applies to", justify="right")
    for pin in pins:
        table.add_column(pin_words(results, pin))
    for number in dict.fromkeys(fit.patch for fit in results.fits):
        cells = []
        for pin in pins:
            fit = next((one for one in results.fits if (one.pin, one.patch) == (pin, number)), None)
            cells.append("" if fit is None else f"{fit.kind}{' =' if fit.exact else ''}")
        table.add_row(str(number), *cells)
    table.caption = "= every file is identical to the one that the patch was made from"
    return table


def _finding(finding: Finding) -> list[Text]:
    place = f"{finding.patch or 'series'} {place_words(finding)}".rstrip()
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    lines = [
        Text.assemble(
            (f"{finding.severity:8}", _STYLES[finding.severity]),
            f"{place}: {finding.message}{times} ",
            (f"[{finding.rule}]", "dim"),
        )
    ]
    if finding.severity == "note":
        return lines
    lines += [Text(f"         | {line}", style="dim") for line in finding.snippet[:SHOWN]]
    return [*lines, Text(f"         {finding.remedy}", style="italic dim")]


def _closing(results: ValidateResults) -> Sequence[Text]:
    lines = [
        Text(f"{stage.name}: {stage.outcome}: {stage.reason}", style="yellow")
        for stage in stages_not_run(results)
    ]
    cost = results.bisect
    if cost is not None and cost.ratio:
        lines.append(
            Text(
                f"all commits took {cost.all_s:.0f} s, {cost.ratio:.2f} times the {cost.cold_s:.0f} s of one "
                "cold build"
            )
        )
    elif cost is not None:
        lines.append(Text(f"all commits took {cost.all_s:.0f} s; the base was not compiled from scratch"))
    if results.compiled is not None and results.compiled.changed:
        style = "yellow" if results.compiled.compiled < results.compiled.changed else ""
        lines.append(Text(compiled_line(results.compiled), style=style))
    lines += [Text(line, style="yellow") for line in (none_run(results), base_failures(results)) if line]
    lines += [Text(line) for line in proof_lines(results)]
    lines += [Text(line, style="yellow") for line in (*unsteady_lines(results), *skipped_lines(results))]
    return [*lines, Text(verdict_line(results), style=_VERDICTS[results.verdict][2])]
