"""Trailers of commit messages and replies, such as ``Reviewed-by: Name <mail@example.org>``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.series.address import Address, parse_address, without_mailto
from harness.series.mail import Mail

TRAILER = re.compile(
    r"^([A-Z][A-Za-z]*(?:-[A-Za-z]+)*-(?:[Bb]y|[Ff]or|[Tt]o)|Message-[Ii]d|Fixes|Resolves|Closes|Link|Cc|CC|Based-on|"
    r"Supersedes|Buglink|Co-authored-by): (\S.*)$"
)
OBJECTIONS = ("nacked-by", "nack-by", "naked-by", "nak-by", "rejected-by", "objected-by", "objected-to-by")
GIVEN = re.compile(
    rf"(?:(?:reviewed|acked|tested)-and-)*(?:reviewed|acked|tested|reported|suggested)-by|message-id|"
    rf"{'|'.join(OBJECTIONS)}",
    re.IGNORECASE,
)
"""Trailers that a reply can add to a patch, or by which it objects to the patch."""
_REPLIED = re.compile(r"^([A-Za-z]+(?:-[A-Za-z]+)+)\s*:\s*(\S.*)$")
_NEXT = re.compile(r"(?<=[^\s>]>)[\s,;]+(?=[A-Za-z]+(?:-[A-Za-z]+)*-by\s*:)", re.IGNORECASE)
_NAK = re.compile(r"^(?:NAC?K(?:ed|ED)?|Nack(?:ed)?|Nak)(?![\w-])")
_OPEN = re.compile(r"[^>].{49,}(?<![.!?:>\s])\s*$")
"""A long line that the next one goes on with: its NAK may be that of a bus."""
_PERSON = re.compile(r"-by\s*:", re.IGNORECASE)
_ADDRESS = re.compile(r"[^<>:@|]*<[^<>@\s]*@[^<>@\s]+(?:<mailto:[^<>]*>)?>\s*$")
_NAME = re.compile(r"\s+[^\s<>:@|][^<>:@|]*$")
_REST = re.compile(r"\s*[^<>\s]+>\s*$")
_VALUE = re.compile(r"[^<>]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+$")
"""A person. "Reviewed-by: tags are fine" is prose, as for b4, which requires an address."""
_OTHER_MAIL = re.compile(
    r"^(?:-+ ?(?:Original|Forwarded) [Mm]essage ?-+|From: .*\n(?:Sent|Date): .*)$", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Trailer:
    """A trailer such as ``Reviewed-by: Name <mail@example.org>``."""

    key: str
    value: str
    source: str = ""
    """The message id of the reply that contains it; empty for a trailer of the patch itself."""
    sender: Address = field(default_factory=Address)
    """The sender of that reply."""

    @property
    def person(self) -> Address:
        return parse_address(self.value)

    @property
    def is_own(self) -> bool:
        """Whether its sender has the address in the trailer. The same person may have several addresses."""
        return not self.source or self.person.is_same(self.sender)

    @property
    def is_objection(self) -> bool:
        return self.key.lower() in OBJECTIONS

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


def parse_trailers(text: str) -> tuple[Trailer, ...]:
    """Return the trailers of the last paragraph of ``text`` (git-interpret-trailers(1)).

    At least half of its lines must be trailers.
    """
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    lines = _joined(paragraphs[-1].splitlines()) if paragraphs else []
    found = [match for line in lines if (match := TRAILER.match(line.rstrip()))]
    if len(found) * 2 < len(lines):
        return ()
    return tuple(Trailer(key=match[1], value=match[2].strip()) for match in found)


def reply_trailers(reply: Mail) -> Iterator[Trailer]:
    """Yield the trailers of a reply that name an address, but no indented ones of other people: those are
    quoted."""
    for line in _joined(_own_text(reply).splitlines()):
        for text in _NEXT.split(" ".join(without_mailto(line).split())):
            found = _REPLIED.match(text)
            if found is None:
                break  # quoted, or prose
            if GIVEN.fullmatch(found[1]) and _VALUE.match(found[2]):
                key = found[1].capitalize() if _PERSON.search(text) else found[1]
                trailer = Trailer(key=key, value=found[2], source=reply.message_id, sender=reply.sender)
                if line[:1].strip() or trailer.person.is_same(reply.sender):
                    yield trailer


def objections(reply: Mail) -> Iterator[str]:
    """Yield the lines of a reply that object to the patch: ``NACK`` and ``Nacked-by:``."""
    above = ""
    for line in _joined(_own_text(reply).splitlines()):
        found = _REPLIED.match(line)
        if (_NAK.match(line) and not _OPEN.match(above)) or (found and found[1].lower() in OBJECTIONS):
            yield line.strip()
        above = line


def _own_text(reply: Mail) -> str:
    """Return the text of ``reply`` up to another mail that is quoted without marks."""
    found = _OTHER_MAIL.search(reply.answer)
    return reply.answer[: found.start()] if found else reply.answer


def _joined(lines: list[str]) -> list[str]:
    """Join a trailer that was wrapped before or in a name or address: ``Acked-by: A`` and ``<a@e.org>``."""
    out: list[str] = []
    for line in lines:
        last = out[-1].rstrip() if out and _PERSON.search(out[-1]) else ""
        if last and last.rfind("<") > last.rfind(">") and _REST.match(line):
            out[-1] = last + line.strip()
        elif last and "@" not in last and (_ADDRESS.match(line) or (last[-1] == ":" and _NAME.match(line))):
            out[-1] = f"{last} {line.strip()}"
        else:
            out.append(line)
    return out
