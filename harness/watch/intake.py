"""Turn the mails of an inbox into series, their versions and the queue.

Mails that refer to each other are one thread, whatever the order in which they arrive. After new mails,
``find_thread`` reads their threads again, and the result replaces what was known: late patches, replies and
trailers change a version, a re-roll replaces the version that waits. A run that is done stays.
"""

import datetime
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from harness.figures import shown
from harness.jsonfile import utc_now
from harness.series import Mail, Version, find_thread, series_sha256
from harness.series.attached import read_mails
from harness.series.grouping import when
from harness.series.version import names_after
from harness.watch.inbox import Batch, Cursor
from harness.watch.model import Contents, Given, State, WatchedPatch
from harness.watch.sections import Choice
from harness.watch.store import Store, clean, pack, unpack

MOST_PATCHES = 500
"""A longer series is refused. The longest on qemu-devel have 150 patches."""
THREAD_MAILS = 1000
THREAD_BYTES = 64 * 1024**2
"""Limits of a thread, mails inside of mails included: later ones are not read."""
_REFERENCES = 100
_IDS = 1000
"""Message-Ids of one mail or version that are looked up: a mail can contain thousands of others."""
_ID_LENGTH = 900
"""Longer Message-Ids are ignored. A line of a mail has at most 998 characters (RFC 5322)."""
_TITLE_LENGTH = 300
_LATEST = 500
"""Versions of one sender among which the series of a new version is looked for."""
_JUDGED = ("running", "done", "failed", "elsewhere")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a batch contained."""

    mails: int
    full: int
    """Mails of threads that exceed a limit."""


def take(store: Store, inbox: str, batch: Batch, choice: Choice) -> Taken:
    """Store the mails of ``batch`` and what they mean, in one transaction with the place of ``inbox``."""
    with store.change():
        threads = [_store(store, data) for data in batch.mails]
        for thread in sorted({one for one in threads if one is not None and one > 0}):
            _read_thread(store, thread, choice)
        for name in batch.names:
            store.rows("INSERT OR IGNORE INTO file VALUES (?, ?)", inbox, clean(name))
        store.set_fact(f"cursor {inbox}", msgspec.json.encode(batch.cursor).decode())
    return Taken(mails=sum(one is not None for one in threads), full=threads.count(0))


def place_of(store: Store, inbox: str) -> tuple[Cursor, set[str]]:
    """Return the place up to which ``inbox`` was read, and the names of its files that were read."""
    text = store.fact(f"cursor {inbox}")
    cursor = msgspec.json.decode(text, type=Cursor) if text else Cursor()
    return cursor, {row[0] for row in store.rows("SELECT name FROM file WHERE inbox = ?", inbox)}


def _store(store: Store, data: bytes) -> int | None:
    """Store a mail and return its thread: 0 if that is full, None if the mail is known."""
    if data.startswith(b"From "):  # a mailbox would quote it
        data = data.partition(b"\n")[2]
    data = data if data.endswith(b"\n") else data + b"\n"
    digest = hashlib.sha256(data).hexdigest()
    if store.one("SELECT id FROM mail WHERE sha256 = ?", digest):
        return None
    mails = read_mails(data, "")
    names = [name for mail in mails for name in (mail.message_id, *mail.references[-_REFERENCES:])]
    ids = [name for name in map(clean, dict.fromkeys(names)) if 0 < len(name) <= _ID_LENGTH][:_IDS]
    found = store.rows(
        f"SELECT thread, sum(parts), sum(size) FROM mail WHERE thread IN"  # noqa: S608
        f" (SELECT thread FROM node WHERE message_id IN ({_marks(ids)})) GROUP BY thread ORDER BY thread",
        *ids,
    )
    nodes = store.rows(f"SELECT DISTINCT thread FROM node WHERE message_id IN ({_marks(ids)})", *ids)  # noqa: S608
    threads = sorted(row[0] for row in nodes)
    if (
        sum(row[1] for row in found) + len(mails) > THREAD_MAILS
        or sum(row[2] for row in found) + len(data) > THREAD_BYTES
    ):
        return 0
    thread = threads[0] if threads else _next_thread(store)
    for other in threads[1:]:
        for table in ("mail", "node", "version"):
            store.rows(f"UPDATE {table} SET thread = ? WHERE thread = ?", thread, other)  # noqa: S608
    for name in ids:
        store.rows("INSERT OR IGNORE INTO node VALUES (?, ?)", name, thread)
    store.insert(
        "mail", sha256=digest, thread=thread, size=len(data), parts=len(mails), data=zlib.compress(data)
    )
    return thread


def _next_thread(store: Store) -> int:
    return 1 + max(int(store.one(f"SELECT max(thread) FROM {table}") or 0) for table in ("mail", "node"))  # noqa: S608


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def mails_of(store: Store, thread: int) -> tuple[Mail, ...]:
    """Return the mails of a thread in the order of their arrival; ``origin`` ends in the id of the row."""
    rows = store.rows("SELECT id, data FROM mail WHERE thread = ? ORDER BY id", thread)
    return tuple(
        mail for row in rows for mail in read_mails(zlib.decompress(row["data"]), f"mail {row['id']}")
    )


def _read_thread(store: Store, thread: int, choice: Choice) -> None:
    """Bring the versions of ``thread`` up to date."""
    seen: set[int] = set()
    touched: set[int] = set()
    for version in find_thread(mails_of(store, thread)).versions:
        if any(mail.diff or mail.subject.counted or _is_html(mail) for mail in own_mails(version)):
            touched |= _record(store, thread, version, choice, seen)
    rows = store.rows(
        "SELECT id, series, state FROM version WHERE thread = ?"
        " AND NOT EXISTS (SELECT 1 FROM run WHERE run.version = version.id)",
        thread,
    )
    for row in rows:
        if row["id"] not in seen and row["state"] not in _JUDGED:
            touched.add(row["series"])  # its mails belong to another version
            _remove(store, row["id"])
    for series in sorted(touched):
        settle(store, series, choice)


def _is_html(mail: Mail) -> bool:
    return any(fault.kind == "html" for fault in mail.faults)


def own_mails(version: Version) -> list[Mail]:
    """Return the cover letter and the patches that the version sends itself."""
    reused = {at for at, _ in version.reused}
    own = [mail for at, mail in enumerate(version.patches, start=1) if at not in reused]
    return [*([version.cover] if version.cover and not reused else []), *own]


def parts_of(version: Version) -> tuple[str, ...]:
    """Return a name for each own mail: its Message-Id, or a digest without one."""
    return tuple(
        clean(mail.message_id) if 0 < len(mail.message_id) <= _ID_LENGTH else f"sha256:{mail.sha256}"
        for mail in own_mails(version)[:_IDS]
    )


def _record(store: Store, thread: int, version: Version, choice: Choice, seen: set[int]) -> set[int]:
    """Store ``version`` unless it is stored already. Adds its row to ``seen``; returns the changed series."""
    parts = parts_of(version)
    known = store.rows(
        f"SELECT * FROM version WHERE id IN (SELECT version FROM part WHERE number = ? AND message_id IN"  # noqa: S608
        f" ({_marks(parts)})) ORDER BY id",
        version.number,
        *parts,
    )
    if any(row["id"] in seen for row in known):
        return set()  # another mail with the same Message-Id
    touched = set()
    for other in known[1:]:
        store.rows("UPDATE run SET version = ? WHERE version = ?", known[0]["id"], other["id"])
        touched.add(other["series"])
        _remove(store, other["id"])
    contents, lead = contents_of(version), own_mails(version)[0]
    sender = lead.author if " via " in lead.sender.name else lead.sender
    state, reason, rank = _state(version, contents, choice)
    facts: dict[str, object] = {
        "thread": thread,
        "number": version.number,
        "rfc": int(version.rfc),
        "message_id": clean(lead.message_id)[:_ID_LENGTH],
        "title": clean((version.cover or lead).subject.title)[:_TITLE_LENGTH],
        "author": clean(str(sender))[:_TITLE_LENGTH],
        "email": clean(sender.email.lower())[:_TITLE_LENGTH],
        "sent": _date(lead),
        "total": min(version.total, 2**31),
        "rank": rank,
    }
    if not known:
        series = _find_series(store, version, contents, facts) or store.insert("series", sections="[]")
        facts |= {"state": state, "reason": reason, "arrived": utc_now()}
        seen.add(store.put_version(0, series, contents, parts, **facts))
        return touched | {series}
    row = known[0]
    seen.add(row["id"])
    series = row["series"]
    changed = row["sha256"] != contents.sha256
    if changed and (found := _find_series(store, version, contents, facts, series)):
        store.rows("UPDATE version SET series = ? WHERE series = ?", found, series)  # more of its mails came
        touched |= {series, found}
        series = found
    if row["state"] not in (*_JUDGED, "replaced") or (row["state"] != "running" and changed):
        facts |= {"state": state, "reason": reason}
    same = all(row[name] == value for name, value in facts.items())
    if not same or row["contents"] != pack(contents):
        store.put_version(row["id"], series, contents, parts, **facts)
        touched.add(series)
    return touched


def _remove(store: Store, version: int) -> None:
    store.rows("DELETE FROM part WHERE version = ?", version)
    store.rows("DELETE FROM version WHERE id = ?", version)


def _state(version: Version, contents: Contents, choice: Choice) -> tuple[State, str, int]:
    """Return the state of a version that no run has judged, the reason, and its place in the queue."""
    rank = choice.rank(_paths(contents))
    if max(version.total, len(version.patches)) > MOST_PATCHES:
        return "refused", f"it has {version.total} patches, more than {MOST_PATCHES}", 0
    if version.kind == "PULL":
        return "left out", "it is a pull request", 0
    if version.missing:
        return "waiting", _missing(version.missing), rank or 0
    if rank is None:
        return "left out", LEFT_OUT, 0
    return "queued", "", rank


LEFT_OUT = "--only names other sections and paths"


def _missing(numbers: Sequence[int]) -> str:
    return f"patches that are missing: {shown(numbers, 20)}"


def _paths(contents: Contents) -> set[str]:
    return {path for patch in contents.patches for path in patch.files}


def settle(store: Store, series: int, choice: Choice) -> None:
    """Let the newest version of ``series`` replace older ones that wait or are queued."""
    store.touch(series)
    newest = store.one("SELECT newest FROM series WHERE id = ?", series)
    for row in store.rows("SELECT number, state, contents FROM version WHERE id = ?", newest):
        contents = unpack(row["contents"], Contents)
        names = msgspec.json.encode(choice.sections_of(_paths(contents))).decode()
        store.update("series", series, sections=names)
        if row["state"] == "replaced":
            state, reason = ("waiting", _missing(contents.missing)) if contents.missing else ("queued", "")
            store.update("version", newest, state=state, reason=reason)
        store.rows(
            "UPDATE version SET state = 'replaced', reason = ? WHERE series = ? AND id != ?"
            " AND state IN ('waiting', 'queued')",
            *(f"v{row['number']} replaces it", series, newest),
        )


def choose_again(store: Store, choice: Choice) -> None:
    """Apply ``--only`` to the versions that wait; the rules may have changed since they came."""
    wanted = "SELECT * FROM version WHERE state = 'queued' OR (state = 'left out' AND reason = ?)"
    for row in store.rows(wanted, LEFT_OUT):
        rank = choice.rank(_paths(unpack(row["contents"], Contents)))
        state, reason = ("left out", LEFT_OUT) if rank is None else ("queued", "")
        if row["state"] != state or row["rank"] != (rank or 0):
            with store.change():
                store.update("version", row["id"], rank=rank or 0, state=state, reason=reason)
                settle(store, row["series"], choice)


def ripen(store: Store, choice: Choice, patience_s: float) -> None:
    """Queue the versions whose missing patches did not arrive in ``patience_s`` seconds."""
    limit = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=patience_s)).isoformat()
    found = store.rows(
        "SELECT id, reason, contents FROM version WHERE state = 'waiting'"
        " AND (arrived <= ? OR (sent != '' AND sent <= ?)) ORDER BY id",
        *(limit, limit),
    )
    for row in found:
        wanted = choice.rank(_paths(unpack(row["contents"], Contents))) is not None
        store.set_state(row["id"], *(("queued", row["reason"]) if wanted else ("left out", LEFT_OUT)))


def _date(mail: Mail) -> str:
    """Return the date of ``mail`` as ISO 8601 in UTC; empty if it is not valid."""
    try:
        return datetime.datetime.fromtimestamp(when(mail), datetime.UTC).isoformat() if when(mail) else ""
    except (ValueError, OverflowError, OSError):
        return ""


# series


def _find_series(
    store: Store, version: Version, contents: Contents, facts: dict[str, object], own: int = 0
) -> int:
    """Return the series of the same sender that ``version`` continues, other than ``own``; 0 for none.

    It has the same title, is named by ``Supersedes:``, is in the same thread, or has half of the patches.
    """
    rows = store.rows(
        "SELECT id, series, thread, number, title FROM version WHERE email = ? AND email != ''"
        " AND series != ? ORDER BY id DESC LIMIT ?",
        *(facts["email"], own, _LATEST),
    )
    texts = "\n".join(mail.message for mail in own_mails(version))
    named = names_after("Supersedes", texts)[:10]
    marks = _marks(named)
    superseded = store.rows(f"SELECT version FROM part WHERE message_id IN ({marks})", *named)  # noqa: S608
    ids = {row[0] for row in superseded}
    title, titles = _plain(str(facts["title"])), {_plain(patch.title) for patch in contents.patches}
    for row in rows:
        if row["id"] in ids or _plain(row["title"]) == title:
            return int(row["series"])
    for row in rows:
        if row["number"] < version.number and row["thread"] == facts["thread"]:
            return int(row["series"])
    for row in [row for row in rows if row["number"] != version.number][:20]:
        others = {_plain(title) for title in _titles(store, row["id"])}
        if 2 * len(titles & others) >= max(len(titles), len(others), 1):
            return int(row["series"])
    return 0


def _titles(store: Store, version: int) -> list[str]:
    contents = unpack(store.one("SELECT contents FROM version WHERE id = ?", version), Contents)
    return [patch.title for patch in contents.patches]


def _plain(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.casefold())) or title


def contents_of(version: Version) -> Contents:
    """Return the texts of ``version``."""
    return Contents(
        sha256=series_sha256(version.cover, version.patches),
        cover=version.cover.message if version.cover else "",
        patches=tuple(
            WatchedPatch(
                number=at,
                label=mail.subject.label,
                title=mail.subject.title,
                author=str(mail.author),
                message_id=mail.message_id,
                message=mail.message,
                diff=mail.diff,
                files=tuple(dict.fromkeys(path for change in mail.changes for path in change.paths)),
            )
            for at, mail in enumerate(version.patches[:MOST_PATCHES], start=1)
        ),
        missing=version.missing[:MOST_PATCHES],
        given=tuple(_given(version)),
        replies=len(version.replies),
    )


def _given(version: Version) -> Iterator[Given]:
    for at, trailer in version.trailers:
        yield Given(
            patch=at,
            text=str(trailer),
            sender=str(trailer.sender),
            message_id=trailer.source,
            is_own=trailer.is_own,
        )
    for one in version.objections:
        yield Given(patch=one.position, text=one.line, sender=str(one.sender), objects=True)
