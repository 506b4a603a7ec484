"""Write the site: a page for each series that changed, the lists, the feed, and the index for searches."""

import functools
import hashlib
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import msgspec

from harness.jsonfile import load, write_bytes
from harness.report.pages import TEMPLATES as BASE
from harness.report.pages import environment, visible
from harness.validate.page import TEMPLATES as RESULTS
from harness.watch.site.listing import Listed, date_of, listed_of, moment, page_name, paged
from harness.watch.site.series import series_page
from harness.watch.store import Store

TEMPLATES = Path(__file__).with_name("templates")
STATE = ".state.json"
ENTRIES = 50
"""Maximum number of entries of the feed."""


class _State(msgspec.Struct, kw_only=True):
    """What the folder contains. ``made_by`` is the digest of the templates and modules."""

    made_by: str = ""
    listed: dict[int, Listed] = {}
    lists: dict[str, str] = {}
    """The titles of lists, by the name of their first page."""


@dataclass(kw_only=True)
class _Writer:
    folder: Path
    pages: jinja2.Environment
    written: list[Path] = field(default_factory=list)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            is_same = path.read_bytes() == data
        except OSError:
            is_same = False
        if not is_same:
            write_bytes(path, data)
            self.written.append(path)

    def render(self, template: str, name: str, value: object, **context: object) -> None:
        """Write a page and, next to it, ``value`` as JSON."""
        text = self.pages.get_template(template).render(
            root="../" * name.count("/"), json=f"{name.rpartition('/')[2]}.json", **context
        )
        self.put(f"{name}.json", msgspec.json.encode(value))
        self.put(f"{name}.html", text.encode())


def write_site(store: Store, folder: Path, address: str = "") -> tuple[Path, ...]:
    """Write the site to ``folder``, and return the files that changed. Pages of series that the store no
    longer has stay.

    ``address`` is the public one of the folder, with a slash at its end, for the links of the feed.
    A page is written after those that it links to. Raises StorageError.
    """
    made_by = _digest()
    state = load(folder / STATE, _State) or _State()
    if state.made_by != made_by:
        state.listed = {}
    writer = _Writer(folder=folder, pages=_environment())
    listed = []
    for row in store.all_series():
        known = state.listed.get(row.id)
        facts = (row.changed, row.message_id)
        if not known or (known.changed, known.message_id) != facts or not _is_there(folder, known):
            series = store.series(row.id)
            if series is None:
                continue  # joined with another series meanwhile
            known = listed_of(series)
            page = series_page(series)
            writer.render("series.html.j2", f"series/{known.page}", series, listed=known, **page)
        listed.append(known)
    for asset in ("style.css", "search.js"):
        writer.put(asset, _asset(asset).encode())
    lists = _write_lists(writer, listed, state.lists)
    _write_feed(writer, listed, address)
    writer.put(
        "search-index.js", b"searchIndex(" + msgspec.json.encode([_words(one) for one in listed]) + b");\n"
    )
    new = _State(made_by=made_by, listed={one.id: one for one in listed}, lists=lists)
    writer.put(STATE, msgspec.json.encode(new))
    return tuple(path for path in writer.written if path.name != STATE)


def _write_lists(writer: _Writer, listed: Sequence[Listed], before: dict[str, str]) -> dict[str, str]:
    """Write the list of all series and those of the subsystems, and return their titles.

    A list that has no series any more stays, because pages of series that are gone link to it.
    """
    members: dict[str, list[Listed]] = defaultdict(list)
    for one in listed:
        for section in one.sections:
            members[section].append(one)
    lists: dict[str, tuple[str, Sequence[Listed]]] = {name: (title, ()) for name, title in before.items()}
    lists |= {_list_name(title): (title, rows) for title, rows in members.items()}
    lists["index"] = ("", listed)
    for name, (title, rows) in lists.items():
        parts = list(paged(rows))
        while (writer.folder / f"{name}-{len(parts)}.html").exists():  # of a list that was longer
            parts.append((len(parts), ()))
        names = [f"{name}-{number}" if number else name for number, _ in parts]
        for at, (number, part) in enumerate(parts):
            writer.render(
                "list.html.j2",
                names[at],
                part,
                title=title,
                rows=part,
                total=len(rows),
                part=f"page {number}" if number else "",
                newer=names[at - 1].rpartition("/")[2] if at else "",
                older=names[at + 1].rpartition("/")[2] if at + 1 < len(parts) else "",
            )
    table = [(title, _list_name(title), len(members[title])) for title in sorted(members)]
    writer.render("subsystems.html.j2", "subsystems", table, rows=table)
    return {name: title for name, (title, _) in lists.items() if name != "index"}


def _list_name(section: str) -> str:
    return f"subsystem/{page_name(section)}"


def _write_feed(writer: _Writer, listed: Sequence[Listed], address: str) -> None:
    """Write feed.xml with the newest verdicts (RFC 4287).

    Its id is made from ``address``, or else from the oldest series.
    """
    judged = sorted((one for one in listed if moment(one.finished)), key=lambda one: moment(one.finished))
    entries = judged[: -ENTRIES - 1 : -1]
    text = writer.pages.get_template("feed.xml.j2").render(
        id=_uuid(address or (listed[-1].page if listed else ""), "feed"),
        address=address,
        updated=moment(entries[0].finished) if entries else "1970-01-01T00:00:00Z",
        entries=[(_uuid(one.page, one.tag), moment(one.finished), one) for one in entries],
    )
    writer.put("feed.xml", text.encode())


def _words(one: Listed) -> tuple[object, ...]:
    """Return what search.js reads of a series, in its order."""
    facts = (one.title, one.author, one.tag, date_of(one.sent), one.outcome)
    return (one.page, *map(visible, facts), [*map(visible, one.sections)], one.message_id)


def _uuid(page: str, part: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{page} {part}").urn


def _environment() -> jinja2.Environment:
    pages = environment(TEMPLATES, RESULTS)
    pages.filters["date"] = date_of
    pages.filters["list_name"] = _list_name
    return pages


def _asset(name: str) -> str:
    folder = TEMPLATES if (TEMPLATES / name).is_file() else BASE
    return (folder / name).read_text(encoding="utf-8")


@functools.cache
def _digest() -> str:
    """Return a digest of everything that a page is made by. A process does not load it again."""
    digest = hashlib.sha256()
    for folder in (BASE, BASE.parent, RESULTS, RESULTS.parent, TEMPLATES, TEMPLATES.parent):
        for path in sorted(folder.glob("*.*")):
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_there(folder: Path, one: Listed) -> bool:
    return all((folder / "series" / f"{one.page}.{ending}").is_file() for ending in ("html", "json"))
