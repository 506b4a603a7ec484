"""Mail addresses: a display name and an address."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass

_TWICE = re.compile(
    r"<?(?<![^<>\s\[\]])([^<>\s\[\]]+@[^<>\s\[\]@]+)>?\s*[<\[]mailto:[^<>\[\]]*[>\]]>?", re.IGNORECASE
)
_LINK = re.compile(r"(?<!\s)\s*[<\[]mailto:([^<>\[\]]*)[>\]]", re.IGNORECASE)
"""Both begin at the start of a word or of white space: a search from each character would take minutes."""
_LONGEST = 10_000
"""Characters that are read. The email package would need a minute for the longest header of a mail."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A decoded display name and a mail address; either may be empty."""

    name: str = ""
    email: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else f"<{self.email}>"

    def is_same(self, other: Address) -> bool:
        """Return whether both have the same mail address, ignoring case."""
        return bool(self.email) and self.email.lower() == other.email.lower()


def split_address(text: str) -> tuple[str, str]:
    """Call email.utils.parseaddr. Return empty strings for comments nested so deeply that it overflows."""
    try:
        return email.utils.parseaddr(text)
    except RecursionError:
        return "", ""


def parse_address(text: str) -> Address:
    """Split ``Name <mail@example.org>`` as git does for an author."""
    text = text[:_LONGEST]
    name, address = split_address(text)
    if "@" not in address:
        name, address = text, ""
    if not address and (found := re.match(r"\s*(.*?)\s*<([^<>\s]+)>", text)):
        name, address = found[1].strip('" '), found[2]
    return Address(name=" ".join(name.split()), email=address.strip())


def without_mailto(text: str) -> str:
    """Replace links by ``<a@b>``. Mail programs write them as ``<a@b<mailto:a@b>>`` or ``A<mailto:a@b>``."""
    return _LINK.sub(r" <\1>", _TWICE.sub(r"<\1>", text))
