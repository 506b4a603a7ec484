"""Checks of pages and feeds with foreign texts: no tags, attributes and links but those of the templates."""

import html.parser
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

ATOM = "{http://www.w3.org/2005/Atom}"
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_JINJA = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)


class Reader(html.parser.HTMLParser):
    """Tags in their order; open ones must be closed in theirs."""

    VOID = ("meta", "link", "br", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str | None] = []
        self.links: list[str | None] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is given twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop()
        assert last == tag, f"{last} is closed as {tag}"

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def read_page(text: str) -> Reader:
    """Parse a page. Raises AssertionError if its tags are not nested, or an id is used twice."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [], f"never closed: {reader.open}"
    assert len(reader.ids) == len(set(reader.ids)), reader.ids
    return reader


def vocabulary(folders: Iterable[Path]) -> set[tuple[str, str]]:
    """Return each tag, and each attribute of a tag, in the templates of ``folders``."""
    found: set[tuple[str, str]] = set()
    for path in (path for folder in folders for path in folder.glob("*.j2")):
        text = _JINJA.sub("", path.read_text(encoding="utf-8"))
        for tag, attributes in re.findall(r"<([a-z]\w*)((?:\s+[\w-]+(?:=\"[^\"]*\")?)*)", text):
            found |= {(tag, ""), *((tag, name) for name in re.findall(r'([\w-]+)(?:="[^"]*")?', attributes))}
    return found


def check_markup(text: str, allowed: set[tuple[str, str]]) -> Reader:
    """Read the page ``text``. Raises AssertionError for a tag or attribute that is not allowed, and for a
    control character."""
    assert not CONTROL.search(text)
    reader = read_page(text)
    for tag, attributes in reader.tags:
        extra = {(tag, ""), *((tag, name) for name in attributes)} - allowed
        assert not extra, extra
    return reader


def check_page(path: Path, allowed: set[tuple[str, str]]) -> Reader:
    """Read the page ``path`` as check_markup.

    Raises AssertionError also for a link that is neither of http(s) nor to an existing file of the site.
    """
    reader = check_markup(path.read_text(encoding="utf-8"), allowed)
    for link in reader.links:
        assert link is not None
        parts = urlsplit(link)
        if link.startswith("#"):
            assert link[1:] in reader.ids, f"{path}: {link}"
        elif link != "data:," and parts.scheme not in ("http", "https"):
            assert not parts.scheme, f"{path}: {link}"
            assert not parts.netloc, f"{path}: {link}"
            assert (path.parent / posixpath.normpath(unquote(parts.path))).is_file(), f"{path}: {link}"
    return reader


FEED = {
    "feed": ("id", "title", "updated", "author", "link", "entry"),
    "entry": ("id", "title", "updated", "author", "summary", "link", "category"),
    "author": ("name",),
}
"""The elements of an Atom feed that the site uses, with their children (RFC 4287, appendix B)."""
ONCE = ("id", "title", "updated", "author", "summary", "name")
ATTRIBUTES = {"link": {"rel", "type", "href"}, "category": {"term"}}


def check_feed(path: Path, address: str = "") -> ElementTree.Element:
    """Read an Atom feed. Raises AssertionError if it is not as RFC 4287 requires, or a link does not begin
    with ``address`` and name a file."""
    feed = ElementTree.fromstring(path.read_bytes())
    assert feed.tag == f"{ATOM}feed"
    for one in feed.iter():
        name = one.tag.removeprefix(ATOM)
        children = [child.tag.removeprefix(ATOM) for child in one]
        assert set(children) <= set(FEED.get(name, ())), (name, children)
        assert all(children.count(each) == 1 for each in FEED.get(name, ()) if each in ONCE), (name, children)
        assert children == sorted(children, key=lambda each: each == "entry"), "entries come last"
        assert set(one.attrib) == ATTRIBUTES.get(name, set()), (name, one.attrib)
        if name == "updated":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one.text or ""), one.text
        elif name == "id":
            assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one.text or ""), one.text
        elif name == "link":
            assert one.attrib["href"].startswith(address)
            assert (path.parent / one.attrib["href"].removeprefix(address)).is_file()
        elif name in ("feed", "entry"):
            links = [link.attrib["rel"] for link in one.findall(f"{ATOM}link")]
            assert sorted(links) == (["alternate", "self"] if name == "feed" else ["alternate"])
        else:
            assert name in ("author", "category") or one.text, name
    ids = [one.text for one in feed.iter(f"{ATOM}id")]
    assert len(ids) == len(set(ids))
    return feed
