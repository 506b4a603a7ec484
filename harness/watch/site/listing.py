"""Series as entries of lists: names of their pages, the words of their verdicts, lists divided into pages."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from harness.figures import NONE, counted
from harness.validate.page import fit_words
from harness.validate.table import outcome
from harness.watch.model import Run, Series, Version

PAGE = 100
"""Number of series on a page. The first page of a list has up to twice as many, so that others stay."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A series in lists, in the feed and in the index for searches."""

    id: int
    changed: int
    page: str
    """Name of its page, without its ending."""
    title: str
    author: str
    message_id: str
    tag: str
    """Version, such as ``RFC v2``."""
    patches: int
    sent: str
    arrived: str
    finished: str
    outcome: str
    counts: str
    """Findings by severity, such as ``1 error, 2 notes``."""
    fits: tuple[tuple[str, str], ...]
    """Releases, each with the worst fit of a patch."""
    sections: tuple[str, ...]

    @property
    def fit(self) -> str:
        """The releases and fits in words."""
        return fit_line(self.fits)


def listed_of(series: Series) -> Listed:
    """Return ``series`` as an entry."""
    newest = series.versions[0]
    first = min(series.versions, key=lambda version: version.id)
    run = judged_run(newest)
    return Listed(
        id=series.id,
        changed=series.changed,
        page=page_name(f"{first.message_id} {series.id}"),
        title=series.title,
        author=series.author.partition(" <")[0] or series.author,
        message_id=newest.message_id,
        tag=tag_of(newest),
        patches=newest.total,
        sent=newest.sent,
        arrived=newest.arrived,
        finished=run.finished if run else "",
        outcome=outcome_of(newest),
        counts=count_words(run),
        fits=fit_words(run.results) if run and run.results else (),
        sections=series.sections,
    )


def judged_run(version: Version) -> Run | None:
    """Return the newest run with results; None without one."""
    return next((run for run in version.runs if run.results), None)


def outcome_of(version: Version) -> str:
    """Return the verdict of the newest run of ``version`` in words, or the state of the version."""
    if version.state != "done" or not version.runs:
        return "not judged" if version.state == "failed" else version.state
    run = version.runs[0]
    return outcome(run.verdict, run.results.builds if run.results else None)


def count_words(run: Run | None) -> str:
    """Return the numbers of findings by severity; empty without any."""
    counts = ((run.errors, "error"), (run.warnings, "warning"), (run.notes, "note")) if run else ()
    return ", ".join(counted(count, word) for count, word in counts if count)


def fit_line(fits: Sequence[tuple[str, str]]) -> str:
    """Return releases and fits in words, such as ``9.2 does not apply, 10.0 offsets``."""
    words = {"not": "does not apply", "already": "contains it", "unknown": "not tried"}
    return ", ".join(f"{pin} {words.get(kind, kind)}" for pin, kind in fits) or NONE


def tag_of(version: Version) -> str:
    """Return the version as in a subject, such as ``RFC v2``."""
    return f"{'RFC ' if version.rfc else ''}v{version.number}"


def page_name(key: str) -> str:
    """Return a name of a file for ``key``: readable, safe, at most 51 characters, with a digest."""
    words = re.sub(r"[^a-z0-9]+", "-", key.lower()[:200])[:40].strip("-")
    return f"{words or 'x'}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def date_of(text: str) -> str:
    """Return the day of an ISO 8601 time, or ``no valid date``."""
    return text[:10] if moment(text) else "no valid date"


def moment(text: str) -> str:
    """Return an ISO 8601 time as RFC 3339 in UTC, to the second; empty if it is not valid."""
    try:
        read = datetime.fromisoformat(text)
        utc = read.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return ""
    return f"{utc.isoformat(timespec='seconds')}Z" if read.tzinfo else ""


def paged(rows: Sequence[Listed]) -> Iterator[tuple[int, Sequence[Listed]]]:
    """Divide ``rows``, newest first, into pages, and yield the number of each: the first one has 0.

    Other pages are numbered from the oldest, so that a new series changes one page.
    """
    others = max(0, len(rows) // PAGE - 1)
    yield 0, rows[: len(rows) - others * PAGE]
    for number in range(others, 0, -1):
        end = len(rows) - (number - 1) * PAGE
        yield number, rows[end - PAGE : end]
