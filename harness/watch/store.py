"""The state of the watch: one SQLite file with mails, series, versions and runs.

Each change is one transaction, so a killed watch leaves the state before or after it. The file is in
write-ahead mode: ``watch status`` and the site read while the watch writes. A text of a mail can contain
anything, so ``clean`` goes over each before it is stored.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.check import ValidateResults
from harness.errors import StorageError
from harness.jsonfile import UNREADABLE, utc_now
from harness.watch.model import Contents, Run, Series, SeriesRow, State, Version

SCHEMA = 1
_TABLES = Path(__file__).with_name("schema.sql")
_ROWS = """
SELECT series.id, title, changed, number, message_id, version.state, version.reason, given, verdict, seconds,
    (SELECT count(*) FROM version AS other WHERE other.series = series.id) AS versions
FROM series JOIN version ON version.id = series.newest
LEFT JOIN run ON run.id = (SELECT max(id) FROM run WHERE run.version = version.id)
ORDER BY version.id DESC
"""
Loaded = TypeVar("Loaded")


class Store:
    """The database. Every method raises StorageError if it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        """Open the database ``path``, or create it. A newer schema is refused."""
        self.path = path
        self._depth = 0
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self._errors():
            self.db.row_factory = sqlite3.Row
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self.db.execute(f"PRAGMA {setting}")
            found = self.one("PRAGMA user_version")
            if found == 0:
                self._create()
        if found > SCHEMA:
            raise StorageError(
                f"{self.path} has schema {found}, this harness knows schemas up to {SCHEMA}",
                "use the version of the harness that wrote it, or another folder: --state FOLDER",
            )

    def _create(self) -> None:
        with self.change():
            if self.one("PRAGMA user_version") == 0:  # no other process has done it meanwhile
                for statement in _TABLES.read_text(encoding="utf-8").split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version = {SCHEMA}")

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            # SQLITE_CORRUPT and SQLITE_NOTADB have no class of their own.
            is_damaged = type(error) is sqlite3.DatabaseError
            raise StorageError(
                f"cannot read or write {self.path}: {error}",
                "restore that file, or rename it: the watch then starts again"
                if is_damaged
                else "free some disk space and check the file's permissions; what was recorded is kept",
            ) from error

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Make the changes of the block one transaction; an inner one joins the outer one."""
        with self._errors():
            if self._depth:
                yield
                return
            self.db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of ``query``."""
        with self._errors():
            return self.db.execute(query, values).fetchall()

    def one(self, query: str, *values: object) -> Any:
        """Return the first column of the first row; None without a row."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def insert(self, table: str, **columns: object) -> int:
        """Add a row to ``table`` and return its id."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        with self._errors():
            done = self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", _values(columns))  # noqa: S608
        return done.lastrowid or 0

    def update(self, table: str, key: int, **columns: object) -> None:
        """Change the row ``key`` of ``table``."""
        places = ", ".join(f"{name} = ?" for name in columns)
        self.rows(f"UPDATE {table} SET {places} WHERE id = ?", *_values(columns), key)  # noqa: S608

    def fact(self, name: str) -> str:
        """Return a stored fact, such as the place that an inbox was read up to; empty without one."""
        return self.one("SELECT value FROM fact WHERE name = ?", name) or ""

    def set_fact(self, name: str, value: str) -> None:
        """Store a fact."""
        self.rows("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, clean(value))

    def counter(self) -> int:
        """Return the counter of changes."""
        return int(self.fact("counter") or 0)

    def touch(self, series: int) -> None:
        """Record that ``series`` changed, and find its newest version."""
        with self.change():
            count = self.counter() + 1
            self.set_fact("counter", str(count))
            newest = self.one(
                "SELECT id FROM version WHERE series = ? ORDER BY number DESC, id DESC LIMIT 1", series
            )
            self.update("series", series, changed=count, newest=newest or 0)

    def put_version(
        self, version: int, series: int, contents: Contents, parts: Iterable[str], **facts: object
    ) -> int:
        """Add a version to ``series``, or change ``version`` if that is not 0. Returns its id.

        ``facts`` are columns. ``parts`` are the Message-Ids of its mails; with its number, they identify it.
        """
        columns = {
            **facts,
            "series": series,
            "sha256": contents.sha256,
            "given": sum(not one.objects for one in contents.given),
            "contents": pack(contents),
        }
        with self.change():
            if version:
                self.update("version", version, **columns)
            else:
                version = self.insert("version", **columns)
            for part in parts:
                self.rows(
                    "INSERT OR REPLACE INTO part VALUES (?, ?, ?)", clean(part), facts["number"], version
                )
            self.touch(series)
        return version

    def mail(self, key: int) -> bytes:
        """Return the bytes of the mail with the id ``key``."""
        return zlib.decompress(self.one("SELECT data FROM mail WHERE id = ?", key))

    def set_state(self, version: int, state: State, reason: str = "") -> None:
        """Change the state of a version."""
        with self.change():
            self.update("version", version, state=state, reason=reason)
            self.touch(self.series_of(version))

    def series_of(self, version: int) -> int:
        """Return the id of the series of ``version``; 0 without one."""
        return int(self.one("SELECT series FROM version WHERE id = ?", version) or 0)

    def start_run(self, version: int, sha256: str, base: str = "", place: str = "") -> int:
        """Record that a run of validate begins, and return its id."""
        with self.change():
            self.set_state(version, "running")
            return self.insert(
                "run",
                version=version,
                sha256=sha256,
                state="running",
                started=utc_now(),
                base=base,
                place=place,
            )

    def finish_run(
        self,
        run: int,
        *,
        results: ValidateResults | None = None,
        reason: str = "",
        seconds: float = 0.0,
        final: bool = False,
    ) -> None:
        """Record the end of a run: the content of validate.json, or the reason why the harness failed.

        A ``final`` failure is not tried again. A version whose mails changed meanwhile is queued again.
        """
        version = int(self.one("SELECT version FROM run WHERE id = ?", run))
        levels = [finding.severity for finding in results.findings] if results else []
        state: State = "failed" if reason else "done"
        with self.change():
            self.update(
                "run",
                run,
                state=state,
                finished=utc_now(),
                seconds=round(seconds, 2),
                reason=reason,
                verdict=results.verdict if results else "",
                errors=levels.count("error"),
                warnings=levels.count("warning"),
                notes=levels.count("note"),
                final=final,
                results=zlib.compress(msgspec.json.encode(results)) if results else None,
            )
            judged_sha256 = self.one("SELECT sha256 FROM run WHERE id = ?", run)
            if judged_sha256 != self.one("SELECT sha256 FROM version WHERE id = ?", version):
                state, reason = "queued", "its mails changed"
            self.set_state(version, state, reason)

    def all_series(self) -> tuple[SeriesRow, ...]:
        """Return all series, that with the newest version first."""
        found = self.rows(_ROWS)
        return tuple(
            SeriesRow(**{name: row[name] for name in row.keys() if row[name] is not None})  # noqa: SIM118
            for row in found
        )

    def series(self, key: int) -> Series | None:
        """Return the series with the id ``key``, its versions, runs and results; None without one."""
        found = self.rows(
            "SELECT series.*, title, author, arrived FROM series JOIN version ON version.id = series.newest"
            " WHERE series.id = ?",
            key,
        )
        if not found:
            return None
        versions = self.rows("SELECT * FROM version WHERE series = ? ORDER BY number DESC, id DESC", key)
        row = found[0]
        return Series(
            id=key,
            title=row["title"],
            author=row["author"],
            sections=tuple(msgspec.json.decode(row["sections"])),
            arrived=row["arrived"],
            changed=row["changed"],
            versions=tuple(self._version(one) for one in versions),
        )

    def _version(self, row: sqlite3.Row) -> Version:
        runs = self.rows("SELECT * FROM run WHERE version = ? ORDER BY id DESC", row["id"])
        facts = _columns(row, Version) | {"rfc": bool(row["rfc"])}
        facts["contents"] = unpack(row["contents"], Contents)
        return Version(**facts, runs=tuple(map(_run, runs)))


def _columns(row: sqlite3.Row, kind: type[Run | Version]) -> dict[str, Any]:
    """Return the columns of ``row`` that are fields of ``kind``."""
    names = {field.name for field in fields(kind)}
    return {name: row[name] for name in names.intersection(row.keys())}


def _run(row: sqlite3.Row) -> Run:
    facts = _columns(row, Run)
    try:
        results = unpack(facts["results"], ValidateResults) if facts["results"] else None
    except UNREADABLE:
        results = None  # of another version of the harness
    return Run(**{**facts, "results": results})


def pack(value: object) -> bytes:
    """Encode ``value`` for a column, its texts cleaned."""
    return zlib.compress(msgspec.json.encode(_cleaned(msgspec.to_builtins(value))))


def unpack(data: bytes, kind: type[Loaded]) -> Loaded:
    """Decode what ``pack`` encoded. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(zlib.decompress(data), type=kind)


def clean(text: str) -> str:
    """Return ``text`` without what neither SQLite nor HTML can store: surrogates and control characters."""
    return re.sub(r"[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", "\ufffd", text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cleaned(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(one) for one in value]
    return clean(value) if isinstance(value, str) else value


def _values(columns: dict[str, object]) -> list[object]:
    return [clean(value) if isinstance(value, str) else value for value in columns.values()]
