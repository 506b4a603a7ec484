"""Sort mails into the versions of a series, and collect what replies give to its patches.

A trailer in a reply to the cover letter applies to every patch, as in b4(5).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.series.grouping import Names, ancestors, group, is_lead, parts_of, when, without_copies
from harness.series.mail import Mail
from harness.series.trailers import Trailer, objections, reply_trailers
from harness.series.version import Objection, Thread, Version, make_version


def find_thread(mails: Sequence[Mail]) -> Thread:
    """Sort ``mails`` into versions.

    Mails without any Message-Id were never sent. They are files in one mailbox, and like those of a folder
    they are one series, except for older versions of it.
    """
    mails = without_copies(mails)
    by_id = {mail.message_id: mail for mail in mails if mail.message_id}
    parts = parts_of(mails, by_id)
    sent = any(mail.message_id for mail in parts)
    groups, stray = group(parts, by_id) if sent else (_by_version(parts), [])
    versions = [_made(one, sent=sent) for one in groups]
    versions.sort(key=_rank)
    whole: list[Version] = []
    for version in versions:
        older = [one for one in reversed(whole) if one.number < version.number]
        filled = (_filled(version, one, by_id, sent=sent) for one in older)
        whole.append(next((one for one in filled if one.reused), version))
    notes = tuple(f"{mail.origin} contains a patch that is not part of the series" for mail in stray)
    if whole:
        whole[-1] = replace(whole[-1], notes=(*whole[-1].notes, *notes))
    part_ids = {id(mail) for mail in parts}
    rest = [mail for mail in mails if id(mail) not in part_ids]
    answered: set[int] = set()
    done = []
    for version in reversed(whole):
        left = [mail for mail in rest if id(mail) not in answered]
        made = _with_replies(version, left, by_id, part_ids)
        answered |= {id(mail) for mail in made.replies}
        done.append(made)
    others = tuple(mail for mail in (*stray, *rest) if id(mail) not in answered)
    return Thread(versions=tuple(reversed(done)), others=others)


def _made(mails: Sequence[Mail], *, sent: bool) -> Version:
    covers = [mail for mail in mails if mail.is_cover]
    if len(mails) > 1 and not covers:  # of git format-patch -N
        above = {name for mail in mails for name in mail.references}
        covers = [mail for mail in mails if is_lead(mail) and (mail is mails[0] or mail.message_id in above)]
    patches = [mail for mail in mails if not any(mail is cover for cover in covers)]
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
    numbers = sorted({mail.subject.version for mail in parts if mail.diff})
    groups = [[mail for mail in parts if mail.subject.version == number] for number in numbers]
    if len(groups) > 1 and all(map(_is_again, groups[1:], groups)):
        return groups
    return [list(parts)] if parts else []


def _is_again(mails: Sequence[Mail], older: Sequence[Mail]) -> bool:
    """Return whether ``mails`` are another version of ``older``: a title in common, or the same numbers."""
    if {mail.subject.title for mail in mails} & {mail.subject.title for mail in older}:
        return True
    one, other = (_made(each, sent=False) for each in (mails, older))
    return not (one.recounted or other.recounted) and one.total == other.total > 1


def _filled(version: Version, older: Version, by_id: Names, *, sent: bool) -> Version:
    """Take the patches that ``version`` does not send again from ``older``.

    That is a partial re-roll: without a cover letter of its own, in reply to patches of the older version.
    """
    if version.cover or version.duplicates or not version.patches:
        return version
    counted = all(mail.subject.counted for mail in version.patches)
    places: dict[int, Mail] = {}
    for mail in version.patches:
        above = [id(each) for each in ancestors(mail, by_id)]
        if sent and len(version.patches) > 1 and not {*above} & {id(each) for each in _members(older)}:
            return version
        same = (at for at, one in _numbers(older).items() if one.subject.title == mail.subject.title)
        answered = (at for at, one in _numbers(older).items() if id(one) in above)
        number = mail.subject.number if counted else next(same, next(answered, 0))
        if not number or (counted and mail.subject.total != older.total):
            return version
        places[number] = mail
    if counted and not version.missing:
        return version
    patches = _numbers(older) | places
    kept = [number for number in sorted(patches) if number not in places]
    if not kept:
        return version
    order = sorted(patches)
    origins = {id(older.patches[at - 1]): number for at, number in older.reused}
    return replace(
        version,
        total=older.total,
        cover=older.cover,
        patches=tuple(patches[number] for number in order),
        missing=tuple(number for number in older.missing if number not in places),
        reused=tuple(
            (order.index(number) + 1, origins.get(id(patches[number]), older.number)) for number in kept
        ),
    )


def _numbers(version: Version) -> dict[int, Mail]:
    """Return the patches of ``version`` by their numbers."""
    free = (number for number in range(1, version.total + 1) if number not in version.missing)
    return dict(zip(free, version.patches, strict=False))


def _with_replies(version: Version, mails: Sequence[Mail], by_id: Names, parts: Collection[int]) -> Version:
    """Add the replies to ``version`` among ``mails``, and what they contain for its patches."""
    members = {id(mail) for mail in _members(version)}
    positions = {id(mail): at for at, mail in enumerate(version.patches, start=1)}
    for mail in version.duplicates:
        same = (at for at, one in enumerate(version.patches, start=1) if _name(one) == _name(mail))
        positions[id(mail)] = next(same, 0)
    reused = tuple(at for at, _ in version.reused)
    replies: list[Mail] = []
    notes = list(version.notes)
    given: list[tuple[int, Trailer]] = []
    against: list[Objection] = []
    for mail in mails:
        answered = next((each for each in ancestors(mail, by_id) if id(each) in parts), None)
        if answered is None or id(answered) not in members:
            continue
        replies.append(mail)
        if not mail.answer and any(fault.kind == "html" for fault in mail.faults):
            notes.append(f"{mail.origin} is a reply in HTML, which is not read")
        at = positions.get(id(answered), 0)
        # A reply to the cover letter of an older version is not about the patches that were sent again.
        places = reused if answered is version.cover and reused else (at,)
        given += [(place, trailer) for trailer in reply_trailers(mail) for place in places]
        against += [Objection(position=at, line=line, sender=mail.sender) for line in objections(mail)]
    return replace(
        version,
        replies=tuple(replies),
        notes=tuple(notes),
        trailers=tuple(dict.fromkeys(given)),
        objections=tuple(dict.fromkeys(against)),
    )


def _name(mail: Mail) -> int | str:
    return mail.subject.number if mail.subject.counted else mail.subject.title
