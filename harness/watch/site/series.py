"""The page of a series: its versions next to each other, and everything about the newest one."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from harness.figures import NONE, format_duration, shown
from harness.report.pages import LISTED, Section
from harness.validate.page import fit_words, sections
from harness.validate.placement import Shown, place_findings
from harness.validate.table import verdict_line
from harness.watch.model import Given, Series, Version
from harness.watch.site.listing import count_words, date_of, fit_line, judged_run, outcome_of, tag_of

VERSIONS = 50
"""Maximum number of versions in the table."""
COVER = 20_000
"""Maximum number of characters of the cover letter."""


def series_page(series: Series) -> dict[str, Any]:
    """Return what the template of the page of ``series`` renders."""
    newest = series.versions[0]
    run = judged_run(newest)
    results = run.results if run else None
    diffs = {patch.number: patch.diff for patch in newest.contents.patches}
    cover = newest.contents.cover
    return {
        "series": series,
        "newest": newest,
        "tag": tag_of(newest),
        "outcome": outcome_of(newest),
        "verdict": verdict_line(results) if results else "",
        "counts": count_words(run),
        "facts": list(_facts(series, newest)),
        "place": run.place if run and is_url(run.place) else "",
        "versions": _versions(series.versions),
        "findings": place_findings(results, diffs) if results else Shown(patches=(), left_out=0),
        "sections": (*(sections(results) if results else ()), _given(newest.contents.given)),
        "notes": list(_notes(newest)),
        "cover": cover if len(cover) <= COVER else f"{cover[:COVER]}\n…",
        "results": results,
    }


def is_url(text: str) -> bool:
    """Return whether ``text`` may be a link: an address of http or https."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text


def _facts(series: Series, newest: Version) -> Iterator[tuple[str, str]]:
    run = judged_run(newest)
    yield "number", f"{series.id}, for qemu-harness watch mail"
    yield "author", series.author
    yield "version", f"{tag_of(newest)}; known versions: {len(series.versions)}"
    yield "patches", f"{len(newest.contents.patches)} of {newest.total}"
    yield "sent", date_of(newest.sent)
    yield "arrived", date_of(newest.arrived)
    yield "Message-Id", newest.message_id or NONE
    if run and run.results:
        yield "base", run.base or f"{run.results.base} of {run.results.pin}"
        yield "judged", f"{run.finished}, in {format_duration(run.seconds)}"
        yield "machine", run.results.machine
        yield "to repeat", run.results.command


def _notes(newest: Version) -> Iterator[str]:
    """Yield what a reader has to know before the verdict."""
    run = judged_run(newest)
    if newest.state != "done":
        yield f"This version is {newest.state}" + (f": {newest.reason}" if newest.reason else "")
    if newest.runs and newest.runs[0] is not run and newest.runs[0].reason:
        yield f"The last run failed: {newest.runs[0].reason}"
    if run and run.sha256 != newest.contents.sha256:
        yield "Mails of this version came after the run, which judged the series without them"
    if missing := newest.contents.missing:
        yield f"Patches that have not arrived: {shown(missing, 20)}"
    damaged = [patch.number for patch in newest.contents.patches if not patch.diff]
    if damaged:
        yield f"{len(damaged)} patches have no diff that can be read, the first is {damaged[0]}"


def _versions(versions: Sequence[Version]) -> Section:
    return Section(
        id="versions",
        title="Versions",
        headings=(
            *("version", "sent", "result", "fit", "errors", "warnings", "notes", "builds", "tests"),
            *("time", "title"),
        ),
        rows=[_version(version) for version in versions[:VERSIONS]],
        outcomes=(2,),
        left_out=max(0, len(versions) - VERSIONS),
    )


def _version(version: Version) -> tuple[str, ...]:
    run = judged_run(version)
    results = run.results if run else None
    head = (tag_of(version), date_of(version.sent), outcome_of(version))
    if run is None or results is None:
        return (*head, *[NONE] * 7, version.title)
    builds = [row.outcome for row in results.builds if row.patch]
    tests = [row.outcome for row in results.tests if row.patch and row.outcome != "skipped"]
    return (
        *head,
        fit_line(fit_words(results)),
        *(str(count) for count in (run.errors, run.warnings, run.notes)),
        *(f"{words.count('ok')} of {len(words)} ok" if words else NONE for words in (builds, tests)),
        format_duration(run.seconds),
        version.title,
    )


def _given(given: Sequence[Given]) -> Section:
    return Section(
        id="replies",
        title="Trailers and objections",
        none="No reply has a trailer or an objection.",
        headings=("patch", "line", "from", "kind"),
        rows=[
            (
                one.patch or "all",
                one.text,
                one.sender if one.is_own else f"{one.sender}, for another person",
                "objection" if one.objects else "trailer",
            )
            for one in sorted(given, key=lambda one: not one.objects)[:LISTED]
        ],
        outcomes=(3,),
        left_out=max(0, len(given) - LISTED),
    )
