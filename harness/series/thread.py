"""Sort mails into the versions of a series, and collect the trailers of replies.

Message-Id, In-Reply-To and References define a thread (RFC 5322, 3.6.4); the tags of the subjects define the
versions. A trailer in a reply to the cover letter applies to every patch, as in b4(5).
"""

from __future__ import annotations

import email.utils
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.series.mail import Address, Mail, parse_address

TRAILER = re.compile(
    r"^([A-Z][A-Za-z]*(?:-[A-Za-z]+)*-(?:[Bb]y|[Ff]or|[Tt]o)|Message-[Ii]d|Fixes|Resolves|Closes|Link|Cc|CC|Based-on|"
    r"Supersedes|Buglink|Co-authored-by): (\S.*)$"
)
_REQUIRED = re.compile(r"^Based-on:.*?([^<>\s/]+@[^<>\s/]+)", re.MULTILINE)
GIVEN = ("reviewed-by", "acked-by", "tested-by", "reported-by", "suggested-by", "message-id")
"""Trailers that a reply can add to a patch."""


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

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a series. ``patches`` are sorted by number, each number once."""

    number: int
    kind: str
    rfc: bool
    total: int
    cover: Mail | None
    patches: tuple[Mail, ...]
    missing: tuple[int, ...] = ()
    """Numbers up to ``total`` that no mail has."""
    duplicates: tuple[Mail, ...] = ()
    """Mails with the number of a later mail."""
    out_of_order: bool = False
    """Whether the order of the mails differs from that of their numbers."""
    replies: tuple[Mail, ...] = ()
    trailers: tuple[tuple[int, Trailer], ...] = ()
    """Trailers of replies, each with the number of its patch, or 0 for all patches."""

    @property
    def message_ids(self) -> frozenset[str]:
        """The ids of its mails."""
        mails = (*((self.cover,) if self.cover else ()), *self.patches, *self.duplicates)
        return frozenset(mail.message_id for mail in mails if mail.message_id)

    def given(self, number: int) -> tuple[Trailer, ...]:
        """Return the trailers that replies gave to the patch ``number``."""
        return tuple(dict.fromkeys(trailer for at, trailer in self.trailers if at in (0, number)))


@dataclass(frozen=True, kw_only=True)
class Thread:
    """The versions in a set of mails, oldest first, and the mails that belong to none."""

    versions: tuple[Version, ...]
    others: tuple[Mail, ...] = ()

    @property
    def newest(self) -> Version | None:
        """The highest version; of several series, the one that was sent last and that no other requires."""
        required = [
            (version, set(_REQUIRED.findall(mail.message)))
            for version in self.versions
            for mail in (*((version.cover,) if version.cover else ()), *version.patches)
        ]
        for version in reversed(self.versions):
            if not any(names & version.message_ids for other, names in required if other is not version):
                return version
        return self.versions[-1] if self.versions else None


def parse_trailers(text: str) -> tuple[Trailer, ...]:
    """Return the trailers of the last paragraph of ``text`` (git-interpret-trailers(1)).

    At least half of its lines must be trailers.
    """
    for paragraph in reversed([part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]):
        lines = paragraph.splitlines()
        found = [match for line in lines if (match := TRAILER.match(line.rstrip()))]
        if found and (len(found) * 2 >= len(lines)):
            return tuple(Trailer(key=match[1], value=match[2].strip()) for match in found)
        return ()
    return ()


def find_thread(mails: Sequence[Mail]) -> Thread:
    """Sort ``mails`` into versions. A patch without ``N/M`` in its subject is a version of its own."""
    by_id = {mail.message_id: mail for mail in mails if mail.message_id}
    firsts: list[tuple[Mail, Mail]] = []
    rest: list[Mail] = []
    for mail in mails:
        if mail.subject.is_patch or (mail.diff and not mail.subject.reply):
            firsts.append((mail, _first(mail, by_id)))
        else:
            rest.append(mail)
    leaders = {first.message_id for mail, first in firsts if first is not mail}
    groups: dict[tuple[object, ...], list[Mail]] = defaultdict(list)
    for mail, first in firsts:
        groups[_group(mail, first, leaders)].append(mail)
    versions = [(_version(group, mails), group) for group in groups.values()]
    versions.sort(key=lambda pair: (pair[0].number, max(_when(mail) for mail in pair[1])))
    taken: set[int] = set()
    done = []
    for version, group in reversed(versions):
        replies = [mail for mail in rest if id(mail) not in taken and _answers(mail, group, by_id)]
        taken |= {id(mail) for mail in replies}
        done.append(_with_replies(version, replies, by_id))
    done.reverse()
    return Thread(versions=tuple(done), others=tuple(mail for mail in rest if id(mail) not in taken))


def _first(mail: Mail, by_id: dict[str, Mail]) -> Mail:
    """Return the oldest mail with the same tag that ``mail`` follows, or ``mail`` if it follows none."""
    first = mail
    if mail.subject.counted:
        # A new version is often sent as a reply to the one before: follow only mails with the same tag.
        for name in reversed(mail.references):
            above = by_id.get(name)
            if above is not None and not above.subject.reply and _tag(above) == _tag(mail):
                first = above
    return first


def _group(mail: Mail, first: Mail, leaders: set[str]) -> tuple[object, ...]:
    """Return a key that the mails of one version have in common. ``leaders`` are ids that others follow."""
    subject = mail.subject
    lone = () if subject.counted else (mail.message_id or mail.origin,)
    root = (first.message_id,) if first.message_id in leaders else first.references[:1]
    in_thread = root if mail.message_id else ()
    return (*_tag(mail), in_thread, *lone)


def _tag(mail: Mail) -> tuple[object, ...]:
    subject = mail.subject
    return (subject.kind, subject.version, subject.total, subject.rfc, subject.resend)


def _version(group: Sequence[Mail], mails: Sequence[Mail]) -> Version:
    cover = next((mail for mail in reversed(group) if mail.subject.is_cover), None)
    numbered: dict[int, Mail] = {}
    duplicates: list[Mail] = []
    order: list[int] = []
    for position, mail in enumerate((mail for mail in group if not mail.subject.is_cover), start=1):
        number = mail.subject.number if mail.subject.counted else position
        if number in numbered:
            duplicates.append(numbered[number])
        numbered[number] = mail
        order.append(number)
    total = max((mail.subject.total for mail in group), default=0) or len(numbered)
    first = group[0].subject
    return Version(
        number=first.version,
        kind=first.kind or "PATCH",
        rfc=first.rfc,
        total=total,
        cover=cover,
        patches=tuple(numbered[number] for number in sorted(numbered)),
        missing=tuple(number for number in range(1, total + 1) if number not in numbered),
        duplicates=tuple(duplicates),
        out_of_order=order != sorted(order) and bool(mails),
    )


def _answers(mail: Mail, group: Sequence[Mail], by_id: dict[str, Mail]) -> bool:
    return _answered(mail, group, by_id) is not None


def _answered(mail: Mail, group: Sequence[Mail], by_id: dict[str, Mail]) -> Mail | None:
    """Return the mail of ``group`` that ``mail`` answers, directly or through other replies."""
    ours = {id(member) for member in group}
    seen: set[str] = set()
    queue = list(reversed(mail.references))
    while queue:
        name = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        above = by_id.get(name)
        if above is None:
            continue
        if id(above) in ours:
            return above
        if not above.subject.is_patch:
            queue += reversed(above.references)
    return None


def _with_replies(version: Version, replies: Sequence[Mail], by_id: dict[str, Mail]) -> Version:
    members = [*([version.cover] if version.cover else []), *version.patches, *version.duplicates]
    given: list[tuple[int, Trailer]] = []
    for reply in replies:
        to = _answered(reply, members, by_id)
        number = 0 if to is None or to.subject.is_cover else max(to.subject.number, 1)
        given += [(number, trailer) for trailer in reply_trailers(reply)]
    return replace(version, replies=tuple(replies), trailers=tuple(dict.fromkeys(given)))


def reply_trailers(reply: Mail) -> Iterable[Trailer]:
    """Yield the trailers at the left margin of a reply. Quoted trailers are those of other mails."""
    for line in reply.message.splitlines():
        found = TRAILER.match(line.rstrip())
        if found and found[1].lower() in GIVEN:
            yield Trailer(key=found[1], value=found[2].strip(), source=reply.message_id, sender=reply.sender)


def _when(mail: Mail) -> float:
    try:
        return email.utils.parsedate_to_datetime(mail.date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
