"""What the watch has done, and how long the queue takes."""

import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from harness.check import CommitBuild
from harness.errors import OptionError
from harness.figures import counted, format_duration
from harness.jsonfile import UNREADABLE
from harness.validate.reply import reply
from harness.validate.table import outcome
from harness.watch.store import Store, unpack

_RECENT = 50
"""Runs whose mean duration is that of the next ones."""
_SHORTEST = 0.01
"""Durations are stored with two decimals."""
_OTHERS = {
    "waiting": "waiting for missing patches",
    "replaced": "replaced by a newer version",
    "left out": "left out",
    "elsewhere": "for another project",
    "refused": "refused",
}


class _Builds(msgspec.Struct):
    """The part of ValidateResults that states what was built."""

    builds: tuple[CommitBuild, ...]


def status_lines(store: Store) -> Iterator[str]:
    """Yield what is queued, running and done, and the reasons of failures of the harness."""
    counts = dict(map(tuple, store.rows("SELECT state, count(*) FROM version GROUP BY state")))
    recent = "SELECT seconds FROM run WHERE state = 'done' AND place = '' ORDER BY id DESC LIMIT ?"
    seconds = [row[0] for row in store.rows(recent, _RECENT)]
    mean = max(_SHORTEST, sum(seconds) / len(seconds)) if seconds else 0.0
    queued = counts.get("queued", 0)
    if not mean:
        yield f"queued: {queued}; how long that takes is unknown before the first run"
    else:
        each = f"{format_duration(mean)} each, the mean of {counted(len(seconds), 'run')}"
        takes = f", about {format_duration(queued * mean)}" if queued else ""
        yield f"queued: {queued}{takes} ({each}: {86400 / mean:.0f} a day)"
    running = (
        "SELECT series, title, number, started, place FROM run JOIN version ON version.id = run.version"
        " WHERE run.state = 'running' ORDER BY run.id"
    )
    yield f"running: {counts.get('running', 0)}"
    for row in store.rows(running):
        yield f"  {row['series']}: {row['title']} (v{row['number']}), since {row['started']} {row['place']}"
    kinds = ", ".join(f"{words} {count}" for words, count in sorted(_outcomes(store).items()))
    yield f"done: {counts.get('done', 0)}{f' ({kinds})' if kinds else ''}"
    yield f"failed by the harness: {counts.get('failed', 0)}"
    failed = "SELECT series, title, number, reason FROM version WHERE state = 'failed' ORDER BY id"
    for row in store.rows(failed):
        yield f"  {row['series']}: {row['title']} (v{row['number']}): {row['reason']}"
    for state, text in _OTHERS.items():
        if counts.get(state):
            yield f"{text}: {counts[state]}"


def _outcomes(store: Store) -> Counter[str]:
    """Return the number of versions that are done, by their verdict in words."""
    query = "SELECT verdict, CASE verdict WHEN 'clean' THEN results END FROM run JOIN version ON run.id ="
    query += " (SELECT max(id) FROM run WHERE run.version = version.id) WHERE version.state = 'done'"
    return Counter(outcome(row[0], _builds(row[1])) for row in store.rows(query))


def _builds(results: bytes | None) -> tuple[CommitBuild, ...] | None:
    try:
        return unpack(results, _Builds).builds if results else None
    except UNREADABLE:
        return None  # of another version of the harness


def reply_to(store: Store, name: str) -> str:
    """Return the mail that a person may send for a series: its id, or a Message-Id of one of its mails.

    Raises OptionError if no such series has been judged.
    """
    wanted = name.strip("<>")
    query = "SELECT version FROM part WHERE message_id = ? ORDER BY number DESC LIMIT 1"
    version = store.one(query, wanted)
    number = store.series_of(version) if version else int(name) if re.fullmatch("[0-9]{1,18}", name) else 0
    series = store.series(number)
    if series is None:
        raise OptionError(
            f"no series {name[:100]!r} is known",
            "name the id that `qemu-harness watch status` and the site show, or a Message-Id of the series",
        )
    for one in series.versions:
        for run in one.runs:
            if run.results is not None and (not version or one.id == version):
                return reply(run.results)
    raise OptionError(
        f"series {number} has not been judged yet", "wait; `qemu-harness watch status` shows it"
    )
