"""Sort mails into the versions of a series, and collect what replies give to its patches.

A trailer in a reply to the cover letter applies to every patch, as in b4(5).
"""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import cached_property
from itertools import islice
from operator import itemgetter

from harness.series.grouping import group, is_lead, parts_of, when, without_copies
from harness.series.mail import Mail
from harness.series.names import Names
from harness.series.trailers import Trailer, objections, reply_trailers
from harness.series.version import Objection, Thread, Version, make_version

_CANDIDATES = 100
"""Versions, the newest first, of which one is looked for that a partial re-roll continues."""
REUSED = 64 * 1024**2
"""Bytes of patches that the partial re-rolls of a thread take from older versions. Hundreds of re-rolls of
hundreds of patches would fill memory and the state of the watch."""
_LEAST = 16 * 1024
"""Bytes that a patch counts as at least."""
GIVEN = 10_000
"""Trailers, and objections, of replies to one version that are read."""


def find_thread(mails: Sequence[Mail]) -> Thread:
    """Sort ``mails`` into versions.

    Mails without any Message-Id were never sent. They are files in one mailbox, and like those of a folder
    they are one series, except for older versions of it.
    """
    mails = without_copies(mails)
    names = Names(mails)
    parts = parts_of(mails, names)
    sent = any(mail.message_id for mail in parts)
    groups, stray = group(parts, names) if sent else (_by_version(parts), [])
    whole = _completed(sorted((_made(one, sent=sent) for one in groups), key=_rank), names, sent=sent)
    notes = tuple(f"{mail.origin} contains a patch that is not part of the series" for mail in stray)
    if whole:
        whole[-1] = replace(whole[-1], notes=(*whole[-1].notes, *notes))
    part_ids = {id(mail) for mail in parts}
    rest = [mail for mail in mails if id(mail) not in part_ids]
    replies: dict[int, list[tuple[int, Mail, Mail]]] = defaultdict(list)
    for at, mail in enumerate(rest):
        if answered := next((each for each in names.above(mail) if id(each) in part_ids), None):
            replies[id(answered)].append((at, mail, answered))
    done = []
    for version in reversed(whole):
        members = {id(mail) for mail in _members(version)}
        own = sorted((one for key in members for one in replies.pop(key, ())), key=itemgetter(0))
        done.append(_with_replies(version, [(mail, answered) for _, mail, answered in own]))
    taken = {id(mail) for version in done for mail in version.replies}
    others = tuple(mail for mail in (*stray, *rest) if id(mail) not in taken)
    return Thread(versions=tuple(reversed(done)), others=others)


def _made(mails: Sequence[Mail], *, sent: bool) -> Version:
    covers = [mail for mail in mails if mail.is_cover]
    if len(mails) > 1 and not covers:  # of git format-patch -N
        above = {name for mail in mails for name in mail.references}
        covers = [mail for mail in mails if is_lead(mail) and (mail is mails[0] or mail.message_id in above)]
    cover_ids = {id(mail) for mail in covers}
    patches = [mail for mail in mails if id(mail) not in cover_ids]
    return make_version(patches, covers, sent=sent)


def _rank(version: Version) -> tuple[bool, int, float]:
    """Return a key that sorts versions: a mail without a diff and a count is no version to be judged."""
    mails = _members(version)
    judged = any(mail.diff or mail.subject.counted for mail in mails)
    return judged, version.number, max(map(when, mails))


def _members(version: Version) -> list[Mail]:
    return [*([version.cover] if version.cover else []), *version.patches, *version.duplicates]


def _by_version(parts: Sequence[Mail]) -> list[list[Mail]]:
    """Divide mails that were never sent: by version if a later one is sent again, else not at all."""
    by_number: dict[int, list[Mail]] = defaultdict(list)
    for mail in parts:
        by_number[mail.subject.version].append(mail)
    groups = [by_number[number] for number in sorted({mail.subject.version for mail in parts if mail.diff})]
    if len(groups) > 1 and all(map(_is_again, groups[1:], groups)):
        return groups
    return [list(parts)] if parts else []


def _is_again(mails: Sequence[Mail], older: Sequence[Mail]) -> bool:
    """Return whether ``mails`` are another version of ``older``: a title in common, or the same numbers."""
    if {mail.subject.title for mail in mails} & {mail.subject.title for mail in older}:
        return True
    one, other = (_made(each, sent=False) for each in (mails, older))
    return not (one.recounted or other.recounted) and one.total == other.total > 1


class _Older:
    """A version that a partial re-roll may continue: its patches by number, and what a patch is known by."""

    def __init__(self, version: Version) -> None:
        self.version = version

    @cached_property
    def numbers(self) -> dict[int, Mail]:
        missing = frozenset(self.version.missing)
        free = (number for number in range(1, self.version.total + 1) if number not in missing)
        return {number: mail for mail, number in zip(self.version.patches, free, strict=False)}

    @cached_property
    def titles(self) -> dict[str, int]:
        return {mail.subject.title: number for number, mail in reversed(self.numbers.items())}

    @cached_property
    def ids(self) -> dict[int, int]:
        return {id(mail): number for number, mail in self.numbers.items()}

    @cached_property
    def members(self) -> frozenset[int]:
        return frozenset(map(id, _members(self.version)))


def _completed(versions: Sequence[Version], names: Names, *, sent: bool) -> list[Version]:
    """Take the patches that a version does not send again from an older one.

    That is a partial re-roll: without a cover letter of its own, in reply to patches of the older version.
    """
    done: list[Version] = []
    by_total: dict[int, list[_Older]] = defaultdict(list)
    several: list[_Older] = []
    room = REUSED
    for version in versions:
        counted = all(mail.subject.counted for mail in version.patches)
        if version.cover or version.duplicates or not version.patches or (counted and not version.missing):
            done.append(version)
        else:
            candidates = (by_total[version.total] if counted else several)[: -_CANDIDATES - 1 : -1]
            filled = _filled(version, candidates, names, counted=counted, sent=sent)
            room -= sum(max(_LEAST, len(filled.patches[at - 1].data)) for at, _ in filled.reused)
            if filled.reused and room < 0:
                note = "it is a partial re-roll, which is not completed: the thread has too many"
                filled = replace(version, notes=(*version.notes, note))
            done.append(filled)
        older = _Older(done[-1])
        by_total[older.version.total].append(older)
        if len(older.version.patches) > 1:
            several.append(older)
    return done


def _filled(
    version: Version, candidates: Sequence[_Older], names: Names, *, counted: bool, sent: bool
) -> Version:
    """Return ``version`` with patches of the first one of ``candidates`` that it continues."""
    mails = version.patches
    together = sent and len(mails) > 1
    above: list[set[int]] = []
    if candidates and (together or not counted):
        above = [{id(each) for each in names.above(mail)} for mail in mails]
    numbers = [mail.subject.number for mail in mails]
    for older in candidates:
        if older.version.number >= version.number:
            continue
        if not counted:
            numbers = [_number(mail, ids, older) for mail, ids in zip(mails, above, strict=True)]
        if (
            0 in numbers
            or older.numbers.keys() <= set(numbers)
            or (together and any(ids.isdisjoint(older.members) for ids in above))
        ):
            continue
        return _joined(version, older, dict(zip(numbers, mails, strict=True)))
    return version


def _number(mail: Mail, above: Set[int], older: _Older) -> int:
    """Return the number of the patch of ``older`` that ``mail`` replaces: by its title, or in reply to it."""
    answered = (older.ids[each] for each in above & older.ids.keys())
    return older.titles.get(mail.subject.title) or min(answered, default=0)


def _joined(version: Version, older: _Older, places: dict[int, Mail]) -> Version:
    """Return ``version`` with the patches of ``older`` that are not in ``places``."""
    patches = older.numbers | places
    order = sorted(patches)
    before = older.version
    origins = {id(before.patches[at - 1]): number for at, number in before.reused}
    return replace(
        version,
        total=before.total,
        cover=before.cover,
        patches=tuple(patches[number] for number in order),
        missing=tuple(number for number in before.missing if number not in places),
        reused=tuple(
            (at, origins.get(id(patches[number]), before.number))
            for at, number in enumerate(order, start=1)
            if number not in places
        ),
    )


def _with_replies(version: Version, answers: Sequence[tuple[Mail, Mail]]) -> Version:
    """Add replies, each with the mail of ``version`` that it answers, and their trailers and objections."""
    positions = {id(mail): at for at, mail in enumerate(version.patches, start=1)}
    names = {_name(mail): at for at, mail in reversed([*enumerate(version.patches, start=1)])}
    positions |= {id(mail): names.get(_name(mail), 0) for mail in version.duplicates}
    reused = tuple(at for at, _ in version.reused)
    notes = list(version.notes)
    given: list[tuple[int, Trailer]] = []
    against: list[Objection] = []
    for mail, answered in answers:
        if not mail.answer and any(fault.kind == "html" for fault in mail.faults):
            notes.append(f"{mail.origin} is a reply in HTML, which is not read")
        at = positions.get(id(answered), 0)
        # A reply to the cover letter of an older version is not about the patches that were sent again.
        places = reused if answered is version.cover and reused else (at,)
        trailers = ((place, trailer) for trailer in reply_trailers(mail) for place in places)
        given += islice(trailers, GIVEN - len(given))
        found = (Objection(position=at, line=line, sender=mail.sender) for line in objections(mail))
        against += islice(found, GIVEN - len(against))
    if GIVEN in (len(given), len(against)):
        notes.append(f"the replies have more trailers or objections than {GIVEN}, which are not read")
    return replace(
        version,
        replies=tuple(mail for mail, _ in answers),
        notes=tuple(notes),
        trailers=tuple(dict.fromkeys(given)),
        objections=tuple(dict.fromkeys(against)),
    )


def _name(mail: Mail) -> int | str:
    return mail.subject.number if mail.subject.counted else mail.subject.title
