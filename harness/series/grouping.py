"""Decide which mails are patches and covers, and which of them belong to one series.

Message-Id, In-Reply-To and References define a thread (RFC 5322, 3.6.4), and the tags of the subjects define
the versions. b4 and patchwork do the same; git am takes all mails of a mailbox in their order.
"""

import email.utils
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.series.mail import Mail

Names = dict[str, Mail]


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


def parts_of(mails: Sequence[Mail], by_id: Names) -> list[Mail]:
    """Return the patches and cover letters among ``mails``; all others are replies or other mails."""
    parts = [mail for mail in mails if _is_part(mail, mails, by_id)]
    if not any(mail.diff for mail in parts):
        # No thread to mistake it for: a single mail "Fwd: …" or "Re: …" with a patch.
        parts += [mail for mail in mails if mail.subject.reply and mail.diff]
    return parts


def _is_part(mail: Mail, mails: Sequence[Mail], by_id: Names) -> bool:
    if mail.subject.reply:
        return False
    if mail.diff:
        return not _quotes(mail, by_id)
    return mail.subject.is_patch and not _is_reply(mail, mails, by_id)


def _quotes(mail: Mail, by_id: Names) -> bool:
    """Return whether ``mail`` is somebody's reply to a patch that contains the patch without quote marks."""
    return any(
        tag_of(above) == tag_of(mail)
        and above.subject.number == mail.subject.number
        and not above.sender.is_same(mail.sender)
        and above.changes == mail.changes
        for above in ancestors(mail, by_id)
    )


def _is_reply(mail: Mail, mails: Sequence[Mail], by_id: Names) -> bool:
    """Return whether ``mail``, which has a tag but no diff, answers a patch or a cover letter."""
    if any(each.diff and mail.message_id in each.references for each in mails):
        return False  # a series sent again, in reply to its old cover letter
    subject = mail.subject
    for above in ancestors(mail, by_id):
        other = above.subject
        if above.diff or above.is_cover:
            same = tag_of(above) == tag_of(mail) and other.number == subject.number
            lone = not subject.counted and other.version == subject.version
            if same or lone or not mail.sender.is_same(above.sender):
                return True
    return False


def ancestors(mail: Mail, by_id: Names) -> Iterator[Mail]:
    """Yield the mails that ``mail`` follows, the nearest first, also through mails between them."""
    seen = {mail.message_id}
    queue = list(reversed(mail.references))
    for name in queue:
        above = by_id.get(name)
        if name not in seen and above is not None:
            yield above
            queue += reversed(above.references)
        seen.add(name)


def tag_of(mail: Mail) -> tuple[object, ...]:
    """Return the parts of a tag that the mails of one version have in common."""
    subject = mail.subject
    return (subject.kind or "PATCH", subject.version, subject.total, subject.rfc, subject.resend)


def group(parts: Sequence[Mail], by_id: Names) -> tuple[list[list[Mail]], list[Mail]]:
    """Divide ``parts`` into the series that were sent, and patches in reply to one, which are in none."""
    taken = {(*tag_of(mail), mail.subject.number) for mail in parts if mail.diff}
    leaders: dict[int, Mail] = {}
    stray: dict[int, Mail] = {}
    members = {id(mail) for mail in parts}
    for mail in parts:
        above = [each for each in ancestors(mail, by_id) if id(each) in members]
        lead = next((each for each in above if _belongs(mail, each, taken)), None)
        if lead is not None:
            leaders[id(mail)] = lead
        elif _is_stray(mail, above):
            stray[id(mail)] = mail
    followed = {id(lead) for lead in leaders.values()}
    groups: dict[object, list[Mail]] = defaultdict(list)
    for mail in parts:
        if id(mail) in stray:
            continue
        root, seen = mail, set[int]()
        while id(root) in leaders and id(root) not in seen:
            seen.add(id(root))
            root = leaders[id(root)]
        groups[_key(root, by_id, is_followed=id(root) in followed)].append(mail)
    return _with_covers(_joined(list(groups.values()))), list(stray.values())


def is_lead(mail: Mail) -> bool:
    """Return whether ``mail`` has the form of a cover letter, with or without a count."""
    return mail.is_cover or (mail.subject.is_patch and not mail.subject.counted and not mail.diff)


def _belongs(mail: Mail, above: Mail, taken: set[tuple[object, ...]]) -> bool:
    """Return whether ``mail`` is in the series of ``above``, which it follows."""
    subject, other = mail.subject, above.subject
    if mail.is_cover:
        return False
    if tag_of(mail) == tag_of(above) and subject.counted == other.counted:
        return subject.counted or _source(mail) == _source(above)
    if not mail.diff or not (is_lead(above) or other.number == 1):
        return False
    # The tags of a series may disagree, which is a finding: a patch without v2 below a cover letter with it.
    if any((*tag_of(above), number) in taken for number in range(1, other.total + 1)):
        free = (*tag_of(above), subject.number) not in taken
        return subject.counted and subject.total == other.total and free and subject.version <= other.version
    return is_lead(above)


def _source(mail: Mail) -> str:
    """Return a text that mails of one sender have in common.

    git format-patch --thread writes the author to ``From:``; its ids contain the time and the committer.
    """
    found = re.search(r"\.\d+\.git\.\S+$", mail.message_id)
    return found[0] if found else mail.sender.email.lower()


def _is_stray(mail: Mail, above: Sequence[Mail]) -> bool:
    """Return whether ``mail`` is a patch without a count in reply to another one that it does not replace."""
    return bool(above) and not mail.subject.counted and mail.subject.version <= above[0].subject.version


def _key(root: Mail, by_id: Names, *, is_followed: bool) -> tuple[object, ...]:
    """Return a key for mails without a common leader: the tag, and the mail that they follow, if any."""
    if is_followed and root.message_id:
        return (id(root),)
    absent = next((name for name in root.references if name not in by_id), "")
    who = () if root.subject.counted else (_source(root),)
    return (*tag_of(root), absent, *who)


def _joined(groups: list[list[Mail]]) -> list[list[Mail]]:
    """Join groups of one series whose thread has gaps: the same tag and sender, and no number twice."""
    done: list[list[Mail]] = []
    for each in groups:
        for other in done:
            first = other[0]
            numbers = [mail.subject.number for mail in (*each, *other)]
            if (
                first.subject.counted
                and tag_of(first) == tag_of(each[0])
                and _source(first) == _source(each[0])
                and len(set(numbers)) == len(numbers)
            ):
                other.extend(each)
                break
        else:
            done.append(each)
    return done


def _with_covers(groups: list[list[Mail]]) -> list[list[Mail]]:
    """Join a cover letter without patches and patches without a cover letter, whose tags disagree."""
    alone = [each for each in groups if all(mail.is_cover for mail in each)]
    rest = [each for each in groups if not any(each is one for one in alone)]
    for each in alone:
        for other in rest:
            if (
                not any(mail.is_cover for mail in other)
                and other[0].subject.total == each[0].subject.total
                and _source(other[0]) == _source(each[0])
            ):
                other.extend(each)
                break
        else:
            rest.append(each)
    return rest


def when(mail: Mail) -> float:
    """Return the time of ``mail`` in seconds since 1970; 0 without a valid date."""
    try:
        return email.utils.parsedate_to_datetime(mail.date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
