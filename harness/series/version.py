"""Versions of a series: patches with an order, made from mails that belong together."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain, pairwise

from harness.series.address import Address
from harness.series.mail import Mail
from harness.series.trailers import Trailer

_NUMBERS = tuple(range(10_000))
"""The numbers that a subject can have. A thread may have a thousand versions that each lack most of them."""
_MESSAGE_ID = re.compile(r"(?<![^<>\s/])[^<>\s/]+@[^<>\s/]+")


@dataclass(frozen=True, kw_only=True)
class Objection:
    """A line of a reply that objects to a patch. ``position`` is 0 for the whole series."""

    position: int
    line: str
    sender: Address


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a series. ``patches`` are in the order in which they apply."""

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
    recounted: bool = False
    """Whether the subjects contradict each other, and the order is that of the mails or files."""
    reused: tuple[tuple[int, int], ...] = ()
    """Positions of patches of an earlier version that this one does not send again, and its number."""
    notes: tuple[str, ...] = ()
    """One line for each part of its mails that is ignored."""
    replies: tuple[Mail, ...] = ()
    trailers: tuple[tuple[int, Trailer], ...] = ()
    """Trailers of replies, each with the position of its patch, or 0 for all patches."""
    objections: tuple[Objection, ...] = ()

    @property
    def message_ids(self) -> frozenset[str]:
        """The ids of its mails."""
        mails = (*((self.cover,) if self.cover else ()), *self.patches, *self.duplicates)
        return frozenset(mail.message_id for mail in mails if mail.message_id)

    @property
    def is_excerpt(self) -> bool:
        """Whether it is one patch of a longer series, given without the others."""
        return len(self.patches) == 1 and self.cover is None and bool(self.missing)

    def given(self, position: int) -> tuple[Trailer, ...]:
        """Return the trailers that replies gave to the patch at ``position``."""
        return tuple(dict.fromkeys(trailer for at, trailer in self.trailers if at in (0, position)))


@dataclass(frozen=True, kw_only=True)
class Thread:
    """The versions in a set of mails, oldest first, and the mails that belong to none."""

    versions: tuple[Version, ...]
    others: tuple[Mail, ...] = ()

    @property
    def newest(self) -> Version | None:
        """The highest version; of several series, the one that was sent last and that no other requires."""
        required: dict[str, set[int]] = defaultdict(set)
        for version in self.versions:
            for mail in (*((version.cover,) if version.cover else ()), *version.patches):
                for name in names_after("Based-on", mail.message):
                    required[name].add(id(version))
        for version in reversed(self.versions):
            if not any(required[name] - {id(version)} for name in version.message_ids & required.keys()):
                return version
        return self.versions[-1] if self.versions else None


def message_id_of(required: str) -> str:
    """Return the Message-Id in a value of ``Based-on:`` (``<id>``, ``id``, an archive's URL), else empty."""
    found = _MESSAGE_ID.search(required)
    return found[0] if found else ""


def names_after(key: str, text: str) -> list[str]:
    """Return the Message-Ids in the lines ``key: …`` of ``text``."""
    return [*filter(None, map(message_id_of, re.findall(rf"^{key}:(.*)", text, re.MULTILINE)))]


def make_version(
    patches: Sequence[Mail], covers: Sequence[Mail] = (), *, sent: bool, sort: bool = True
) -> Version:
    """Make a version of ``patches`` and ``covers``.

    If the subjects count consistently, their numbers give the order. Of mails that were ``sent``, a later
    one replaces an earlier one with the same number, or without numbers one with the same title that changes
    a file in common; files count all. Without ``sort``, the order
    is given.
    """
    patches, covers = list(patches), list(covers)
    notes: tuple[str, ...] = ()
    numbers = [mail.subject.number for mail in patches]
    total = max((mail.subject.total for mail in patches or covers), default=0)
    if total and not covers and numbers.count(0) == 1 and set(range(1, total + 1)) <= set(numbers):
        zero = patches[numbers.index(0)]
        if zero.subject.counted:  # a cover letter that contains a diff: the other numbers are all taken
            covers = [zero]
            patches.remove(zero)
            numbers.remove(0)
            notes = (f"the diff in the cover letter, {zero.origin}, is not applied",)
    low = min([1, *numbers])
    counts = sort and _is_counted(patches, total, low)
    if not sent and len(set(numbers)) < len(numbers):
        counts = False
    low = low if counts else 1
    numbered = numbers if counts else _positions(patches) if sent else range(1, len(patches) + 1)
    placed: dict[int, Mail] = {}
    duplicates: list[Mail] = []
    for number, mail in zip(numbered, patches, strict=True):
        if number in placed:
            duplicates.append(placed[number])
        placed[number] = mail
    counted = total if counts or not patches else len(placed)
    gaps = pairwise((low - 1, *sorted(placed), low + counted)) if counts or not patches else ()
    first = (patches or covers)[0].subject
    return Version(
        number=max(mail.subject.version for mail in (*patches, *covers[-1:])),
        kind=first.kind or "PATCH",
        rfc=any(mail.subject.rfc for mail in (*patches[:1], *covers[-1:])),
        total=counted,
        cover=covers[-1] if covers else None,
        patches=tuple(placed[number] for number in sorted(placed)),
        missing=tuple(chain.from_iterable(_NUMBERS[last + 1 : following] for last, following in gaps)),
        duplicates=tuple(duplicates),
        out_of_order=counts and numbers != sorted(numbers),
        recounted=not counts and any(map(_is_other, patches, range(1, counted + 1), [counted] * counted)),
        notes=notes,
    )


def _positions(patches: Sequence[Mail]) -> list[int]:
    """Return the positions of ``patches`` without numbers.

    That is the position of an earlier one, if the patch has its title and changes a file in common.
    """
    positions: list[int] = []
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    """Positions by title and file, each a heap; also those of patches that were replaced since."""
    paths: dict[int, set[str]] = {}
    for position, mail in enumerate(patches, start=1):
        own = {path for change in mail.changes for path in change.paths} if mail.subject.title else set()
        found = position
        for path in own:
            heap = holders[mail.subject.title, path]
            while heap and path not in paths[heap[0]]:
                heappop(heap)
            found = min((found, *heap[:1]))
        for path in own:
            heappush(holders[mail.subject.title, path], found)
        paths[found] = own
        positions.append(found)
    return positions


def _is_other(mail: Mail, position: int, total: int) -> bool:
    return mail.subject.counted and (mail.subject.number, mail.subject.total) != (position, total)


def _is_counted(patches: Sequence[Mail], total: int, low: int) -> bool:
    """Return whether the numbers of ``patches`` are those of one series with ``total`` patches."""
    return all(
        mail.subject.counted and mail.subject.total == total and mail.subject.number < low + total
        for mail in patches
    )
