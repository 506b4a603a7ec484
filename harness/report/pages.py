"""Pages in HTML: the environment of all templates, and parts of a page as data."""

import functools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).with_name("templates")
Rows = list[tuple[str, ...]]
LISTED = 500
"""Maximum number of rows of a section."""
_TONES = {
    "good": ("ok", "clean", "pass", "proves", "better"),
    "bad": (
        *("error", "fail", "failed", "timeout", "worse", "not"),
        *("does not apply", "does not build", "tests fail"),
    ),
    "unsure": ("warning", "undecided", "cancel", "cancelled", "infrastructure", "findings", "not judged"),
    "dim": ("note", "skipped", "not run"),
}
_TONE = {word: tone for tone, words in _TONES.items() for word in words}
_HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled part of a page: lines, a table, or the sentence ``none`` without either."""

    id: str
    title: str
    none: str = ""
    headings: tuple[str, ...] = ()
    rows: Sequence[tuple[object, ...]] = ()
    outcomes: Collection[int] = ()
    """Columns of words that are shown in the colour of their meaning."""
    left_out: int = 0
    """Number of rows that are not shown."""
    lines: Sequence[str] = ()


@functools.cache  # it keeps the compiled templates
def environment(*folders: Path) -> jinja2.Environment:
    """Return the environment of the templates in ``folders`` and in this package.

    Every value is escaped. Control characters in it are visible.
    """
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # Markup is made of templates
    )
    pages.filters["tone"] = tone
    return pages


def visible(text: str) -> str:
    """Return ``text`` with ``<U+0007>`` in place of each character that has no glyph or reorders others.

    Tabs and line feeds stay. The result can be encoded, and XML permits it.
    """
    return _HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def tone(word: object) -> str:
    """Return the class for an outcome, up to a comma: good, bad, unsure or dim; plain for any other word."""
    return _TONE.get(str(word).partition(",")[0], "plain")
