"""A run of validate as the plain-text mail that a person or a bot would answer the series with.

It is meant to be read, cut down and sent by a person; nothing here sends it. Lines stay below 76 columns but
for what is quoted.
"""

from __future__ import annotations

import textwrap

from harness.check import Finding, ValidateResults
from harness.validate.table import verdict_line

WIDTH = 72


def reply(results: ValidateResults) -> str:
    """The mail, headers first, then what was found by patch, then what was tried and how to do it again."""
    series = results.series
    first = series.patches[0] if series.patches else None
    to = next((patch.message_id for patch in series.patches if patch.message_id), "")
    tag = f"PATCH{' RFC' if series.rfc else ''}{f' v{series.version}' if series.version > 1 else ''}"
    count = f" 0/{series.total}" if series.total > 1 else ""
    lines = [
        f"Subject: Re: [{tag}{count}] {series.title}",
        *([f"In-Reply-To: <{to}>", f"References: <{to}>"] if to else []),
        *([f"To: {first.author}"] if first else []),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        *_wrap(_opening(results)),
        "",
    ]
    for number in sorted({finding.patch for finding in results.findings}):
        lines += _patch(results, number)
    lines += _tried(results)
    return "\n".join(lines).rstrip() + "\n"


def _opening(results: ValidateResults) -> str:
    where = f"QEMU {results.pin}" + (" (the feature taken out)" if results.base == "base" else "")
    match results.verdict:
        case "clean":
            return f"Thanks for the series. It applies to {where}, and nothing was found to mend."
        case "apply":
            return f"Thanks for the series. It does not apply to {where}; please rebase it. Details below."
        case "build":
            return f"Thanks for the series. It applies to {where}, but not each commit of it builds."
        case "tests":
            return f"Thanks for the series. It applies to {where} and builds, but makes tests fail."
        case "infrastructure":
            return (
                f"The series could not be judged whole on {where}, through no fault of its own. "
                "What was found so far is below."
            )
    return f"Thanks for the series. It was put on {where}; some things to mend are below."


def _patch(results: ValidateResults, number: int) -> list[str]:
    patch = next((one for one in results.series.patches if one.number == number), None)
    mine = [finding for finding in results.findings if finding.patch == number]
    worth = [finding for finding in mine if finding.severity != "note"] or mine
    if patch is None:
        lines = ["The series as a whole:", ""]
    else:
        lines = [f"> [{number}/{results.series.total}] {patch.subject}", ""]
    for finding in worth:
        lines += _finding(finding)
    left = len(mine) - len(worth)
    if left:
        lines += [f"  ({left} further remark{'s' if left > 1 else ''} in the report)", ""]
    return lines


def _finding(finding: Finding) -> list[str]:
    place = (
        f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: " if finding.file else ""
    )
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    word = "" if finding.severity == "warning" else f"{finding.severity}: "
    told = f"{word}{place}{finding.message}{times} [{finding.rule}]"
    lines = textwrap.wrap(
        told,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines += [f"    {line}" for line in finding.snippet[:8]]
    lines += textwrap.wrap(finding.remedy, WIDTH, initial_indent="  => ", subsequent_indent="     ")
    return [*lines, ""]


def _tried(results: ValidateResults) -> list[str]:
    lines = ["--", *_wrap(f"{verdict_line(results)}.")]
    builds = [row for row in results.builds if row.patch]
    if builds:
        good = sum(row.outcome == "ok" for row in builds)
        hosts = ", ".join(dict.fromkeys(row.host for row in builds))
        lines += _wrap(f"Built: {good} of {len(builds)} commits, for {hosts}.")
    tests = {row.name for row in results.tests if row.outcome != "skipped"}
    if tests:
        lines += _wrap(f"QEMU's own tests run: {', '.join(sorted(tests))}.")
    for stage in results.stages:
        if stage.outcome in ("not run", "infrastructure"):
            lines += _wrap(f"Not run: {stage.name}: {stage.reason}.")
    lines += _wrap(f"Base: pin {results.pin}, {results.base}. {results.machine}.")
    return [*lines, f"Again with: {results.command}", f"Series: sha256 {results.series.sha256}"]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
