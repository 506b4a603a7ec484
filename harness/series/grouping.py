"""Decide which mails are patches and covers, and which of them belong to one series.

Message-Id, In-Reply-To and References define a thread (RFC 5322, 3.6.4), and the tags of the subjects define
the versions. b4 and patchwork do the same; git am takes all mails of a mailbox in their order.
"""

import email.utils
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

from harness.series.mail import Mail
from harness.series.names import Names
from harness.series.subject import Tag

_GROUPS = 100
"""Groups with one tag and sender of which one is looked for that lacks some numbers."""


def without_copies(mails: Sequence[Mail]) -> tuple[Mail, ...]:
    """Drop all but the best copy of each mail. The list's and one's own copy have the same Message-Id."""
    kept: list[Mail] = []
    places: dict[str, int] = {}
    for mail in mails:
        at = places.get(mail.message_id)
        if at is None or _differ(mail, kept[at]):
            if mail.message_id:
                places[mail.message_id] = len(kept)
            kept.append(mail)
        elif _quality(mail) > _quality(kept[at]):
            kept[at] = mail
    return tuple(kept)


def _quality(mail: Mail) -> tuple[bool, bool, int]:
    """Return a key that sorts copies: a list may replace the address of the author by its own."""
    return mail.is_sound, " via " not in mail.author.name, -len(mail.faults)


def _differ(one: Mail, other: Mail) -> bool:
    """Return whether mails with one id are no copies: a list changes the tag and the text after a diff."""
    facts = [(mail.subject.title, mail.subject.number, mail.subject.version) for mail in (one, other)]
    return facts[0] != facts[1] or (one.is_sound and other.is_sound and one.changes != other.changes)


def parts_of(mails: Sequence[Mail], names: Names) -> list[Mail]:
    """Return the patches and cover letters among ``mails``; all others are replies or other mails."""
    above_diffs = {name for mail in mails if mail.diff for name in mail.references}
    quotes = _quotes(mails, names)
    parts = []
    for mail in mails:
        if (mail.diff and not mail.subject.reply and id(mail) not in quotes) or (
            mail.subject.is_patch
            and not mail.diff
            # One above a diff is a series sent again, in reply to its old cover letter.
            and (mail.message_id in above_diffs or not _is_reply(mail, names))
        ):
            parts.append(mail)
    if not any(mail.diff for mail in parts):
        # No thread to mistake it for: a single mail "Fwd: …" or "Re: …" with a patch.
        parts += [mail for mail in mails if mail.subject.reply and mail.diff]
    return parts


def _quotes(mails: Sequence[Mail], names: Names) -> set[int]:
    """Return the ids of replies that contain the patch without quote marks: of others, or without a tag."""
    alike: dict[object, list[Mail]] = defaultdict(list)
    for mail in mails:
        alike[mail.subject.tag, mail.subject.number].append(mail)
    found = set()
    for same in alike.values():
        if all(mail.sender.is_same(same[0].sender) for mail in same[1:]):
            continue
        # Comparing the changes of each mail to those of each other one would take too long.
        numbers: dict[object, int] = {}
        changes = {id(mail): numbers.setdefault(mail.changes, len(numbers)) for mail in same}
        found |= {
            id(mail)
            for mail in same
            if mail.diff
            and any(
                changes.get(id(above)) == changes[id(mail)] and not above.sender.is_same(mail.sender)
                for above in names.above(mail)
            )
        }
    untagged = [mail for mail in mails if mail.diff and not mail.subject.kind]
    if untagged:  # "Antw.: [PATCH] …" in the language of some mail program
        numbers = {}
        changes = {id(mail): numbers.setdefault(mail.changes, len(numbers)) for mail in mails if mail.diff}
        found |= {
            id(mail)
            for mail in untagged
            if any(changes.get(id(above)) == changes[id(mail)] for above in names.above(mail))
        }
    return found


def _is_reply(mail: Mail, names: Names) -> bool:
    """Return whether ``mail``, which has a tag but no diff, answers a patch or a cover letter."""
    subject = mail.subject
    for above in names.above(mail):
        if above.diff or above.is_cover:
            other = above.subject
            same = other.tag == subject.tag and other.number == subject.number
            lone = not subject.counted and other.version == subject.version
            if same or lone or not mail.sender.is_same(above.sender):
                return True
    return False


def group(parts: Sequence[Mail], names: Names) -> tuple[list[list[Mail]], list[Mail]]:
    """Divide ``parts`` into the series that were sent, and patches in reply to one, which are in none."""
    patches = [mail.subject for mail in parts if mail.diff]
    taken = {(subject.tag, subject.number) for subject in patches}
    begun = {subject.tag for subject in patches if 1 <= subject.number <= subject.total}
    starts = {id(mail) for mail in parts if is_lead(mail) or mail.subject.number == 1}
    # Most mails are in no series with another tag, so that no search is needed.
    is_open = any(is_lead(mail) and mail.subject.tag not in begun for mail in parts)
    tags = Counter(tag.total for tag in begun)
    uses = Counter((tag.total, number) for tag, number in taken if tag in begun)
    members = {id(mail) for mail in parts}
    alike: dict[object, set[int]] = defaultdict(set)
    for mail in parts:
        alike[_kind(mail)].add(id(mail))
    leaders: dict[int, Mail] = {}
    stray: dict[int, Mail] = {}
    for mail in parts:
        same, subject = alike[_kind(mail)], mail.subject
        is_free = subject.counted and uses[subject.total, subject.number] < tags[subject.total]
        others = starts if mail.diff and (is_open or is_free) else set[int]()
        above = names.above(mail) if not mail.is_cover and (others or len(same) > 1) else ()
        for each in above:
            if id(each) in same or (id(each) in others and _continues(mail, each, taken, begun)):
                leaders[id(mail)] = each
                break
        else:
            nearest = next((each for each in names.above(mail) if id(each) in members), None)
            if nearest and _is_stray(mail, nearest):
                stray[id(mail)] = mail
    followed = {id(lead) for lead in leaders.values()}
    roots = _roots(parts, leaders)
    groups: dict[object, list[Mail]] = defaultdict(list)
    for mail in parts:
        if id(mail) in stray:
            continue
        root = roots[id(mail)]
        groups[_key(root, names, is_followed=id(root) in followed)].append(mail)
    return _with_covers(_joined(list(groups.values()))), list(stray.values())


def is_lead(mail: Mail) -> bool:
    """Return whether ``mail`` has the form of a cover letter, with or without a count."""
    return mail.is_cover or (mail.subject.is_patch and not mail.subject.counted and not mail.diff)


def _kind(mail: Mail) -> tuple[object, ...]:
    """Return what the mails of one series have in common."""
    subject = mail.subject
    return (subject.tag, subject.counted, "" if subject.counted else mail.source)


def _continues(mail: Mail, above: Mail, taken: Set[tuple[Tag, int]], begun: Set[Tag]) -> bool:
    """Return whether ``mail`` is in the series that ``above`` starts, although their tags disagree.

    That is a finding: a patch without v2 below a cover letter with it.
    """
    subject, other = mail.subject, above.subject
    if subject.tag == other.tag and subject.counted == other.counted:
        return False  # of another person
    if other.tag in begun:
        free = (other.tag, subject.number) not in taken
        return subject.counted and subject.total == other.total and free and subject.version <= other.version
    return is_lead(above)


def _is_stray(mail: Mail, above: Mail) -> bool:
    """Return whether ``mail`` is a patch without a count in reply to another one that it does not replace."""
    return not mail.subject.counted and mail.subject.version <= above.subject.version


def _roots(parts: Sequence[Mail], leaders: Mapping[int, Mail]) -> dict[int, Mail]:
    """Return the last leader of each mail by its id. Of mails that lead each other, each is its own."""
    roots: dict[int, Mail] = {}
    for mail in parts:
        path: dict[int, Mail] = {}
        last = mail
        while id(last) in leaders and id(last) not in path and id(last) not in roots:
            path[id(last)] = last
            last = leaders[id(last)]
        if id(last) in path:
            circle = list(path)
            roots |= {key: path[key] for key in circle[circle.index(id(last)) :]}
        root = roots.setdefault(id(last), last)
        roots |= {key: root for key in path if key not in roots}
    return roots


def _key(root: Mail, names: Names, *, is_followed: bool) -> tuple[object, ...]:
    """Return a key for mails without a common leader: the tag, and the mail that they follow, if any."""
    if is_followed and root.message_id:
        return (id(root),)
    absent = next((name for name in root.references if name not in names), "")
    return (*_kind(root), absent)


def _joined(groups: list[list[Mail]]) -> list[list[Mail]]:
    """Join groups of one series whose thread has gaps: the same tag and sender, and no number twice."""
    done: list[list[Mail]] = []
    open_groups: dict[object, list[tuple[list[Mail], set[int]]]] = defaultdict(list)
    for each in groups:
        first = each[0]
        alike = open_groups[first.subject.tag, first.source]
        numbers = {mail.subject.number for mail in each}
        is_distinct = len(numbers) == len(each)
        fitting = (one for one in alike[:_GROUPS] if is_distinct and numbers.isdisjoint(one[1]))
        if found := next(fitting, None):
            found[0].extend(each)
            found[1].update(numbers)
            continue
        done.append(each)
        if is_distinct and first.subject.counted:
            alike.append((each, numbers))
    return done


def _with_covers(groups: list[list[Mail]]) -> list[list[Mail]]:
    """Join a cover letter without patches and patches without a cover letter, whose tags disagree."""
    alone = [each for each in groups if all(mail.is_cover for mail in each)]
    rest = [each for each in groups if not all(mail.is_cover for mail in each)]
    without: dict[object, list[list[Mail]]] = defaultdict(list)
    for each in rest:
        if not any(mail.is_cover for mail in each):
            without[each[0].subject.total, each[0].source].append(each)
    for each in alone:
        fitting = without[each[0].subject.total, each[0].source]
        if fitting:
            fitting.pop(0).extend(each)
        else:
            rest.append(each)
    return rest


def when(mail: Mail) -> float:
    """Return the time of ``mail`` in seconds since 1970; 0 without a valid date."""
    try:
        return email.utils.parsedate_to_datetime(mail.date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
