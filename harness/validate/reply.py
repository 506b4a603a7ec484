"""The results as a plain-text reply to the series.

A person reads, shortens and sends it; the harness never sends mail. Lines have less than 76 columns, except
for quotations.
"""

import textwrap
from collections.abc import Sequence

from harness.check import Finding, ValidateResults
from harness.figures import counted
from harness.validate.gather import (
    base_failures,
    base_words,
    gathered,
    has_run,
    none_run,
    patch_of,
    place_words,
    proof_lines,
    skipped_lines,
    stages_not_run,
    unsteady_lines,
)
from harness.validate.table import compiled_line, count_findings, verdict_words, was_built

WIDTH = 72


def reply(results: ValidateResults) -> str:
    """Return the mail: headers, findings by patch, builds and tests, and the command that repeats the run."""
    series = results.series
    first = series.patches[0] if series.patches else None
    ids = (series.cover_message_id, *(patch.message_id for patch in series.patches))
    to = next(filter(None, ids), "")
    tag = f"PATCH{' RFC' if series.rfc else ''}{f' v{series.version}' if series.version > 1 else ''}"
    own = first.label if first and not series.cover_sha256 and first.subject == series.title else ""
    count = f" {own or f'0/{series.total}'}" if series.total > 1 else ""
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
    findings = gathered(results)
    for number in sorted({finding.patch for finding in findings}):
        lines += _patch(results, findings, number)
    lines += _footer(results)
    return "\n".join(lines).rstrip() + "\n"


def _opening(results: ValidateResults) -> str:
    where = base_words(results) if results.options.get("source") else f"QEMU {results.pin}"
    where += " (with the feature removed)" if results.base == "base" else ""
    match results.verdict:
        case "clean":
            unbuilt = "" if was_built(results.builds) else " Nothing was compiled or tested."
            found = f"has only {counts}" if (counts := count_findings(results)) else "has no findings"
            return f"Thanks for the series. It applies to {where} and {found}.{unbuilt}"
        case "apply":
            if any(finding.rule in ("apply-fails", "apply-fuzz") for finding in results.findings):
                return (
                    f"Thanks for the series. It does not apply to {where}; please rebase it. Details below."
                )
            return f"Thanks for the series. It cannot be applied to {where} as it was sent. Details below."
        case "build":
            return f"Thanks for the series. It applies to {where}, but some of its commits do not build."
        case "tests":
            return f"Thanks for the series. It applies to {where} and builds, but tests fail with it."
        case "infrastructure":
            return (
                f"The series could not be judged completely on {where}. This is not the series' fault. "
                "The findings so far are below."
            )
    return f"Thanks for the series. It was checked on {where}; please fix the findings below."


def _patch(results: ValidateResults, findings: Sequence[Finding], number: int) -> list[str]:
    patch = patch_of(results, number)
    mine = [finding for finding in findings if finding.patch == number]
    listed = [finding for finding in mine if finding.severity != "note"] or mine
    if patch is None:
        lines = ["The series as a whole:", ""]
    else:
        lines = [f"> [{patch.label or f'{number}/{results.series.total}'}] {patch.subject}", ""]
    for finding in listed:
        lines += _finding(finding)
    if notes := len(mine) - len(listed):
        lines += [f"  ({counted(notes, 'further note')} in the report)", ""]
    return lines


def _finding(finding: Finding) -> list[str]:
    place = place_words(finding)
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    word = "" if finding.severity == "warning" else f"{finding.severity}: "
    lines = textwrap.wrap(
        f"{word}{place}{': ' if place else ''}{finding.message}{times} [{finding.rule}]",
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines += [f"    {line}" for line in finding.snippet[:8]]
    lines += textwrap.wrap(finding.remedy, WIDTH, initial_indent="  => ", subsequent_indent="     ")
    return [*lines, ""]


def _footer(results: ValidateResults) -> list[str]:
    lines = ["--", *_wrap(f"The series {verdict_words(results)}.")]
    builds = [row for row in results.builds if row.patch]
    if builds:
        good = sum(row.outcome == "ok" for row in builds)
        hosts = ", ".join(dict.fromkeys(row.where for row in builds))
        lines += _wrap(f"Built: {good} of {len(builds)} commits, for {hosts}.")
    if results.compiled is not None and results.compiled.changed:
        lines += _wrap(f"{compiled_line(results.compiled)}.")
    tests = {row.name for row in results.tests if row.patch and has_run(row)}
    if tests:
        lines += _wrap(f"QEMU's own tests run: {', '.join(sorted(tests))}.")
    for line in filter(None, (none_run(results), base_failures(results))):
        lines += _wrap(f"{line[0].upper()}{line[1:]}.")
    for line in (*unsteady_lines(results), *proof_lines(results)):
        lines += _wrap(f"{line}.")
    for line in skipped_lines(results):
        lines += _wrap(f"Not run: {line}.")
    for stage in stages_not_run(results):
        lines += _wrap(f"Not run: {stage.name}: {stage.reason}.")
    lines += _wrap(f"Base: {base_words(results)}. {results.machine}.")
    return [*lines, f"To repeat: {results.command}", f"Series: sha256 {results.series.sha256}"]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
