"""Follow mails to those that they name: In-Reply-To and References (RFC 5322, 3.6.4)."""

from collections.abc import Iterator, Sequence

from harness.series.mail import Mail

MOST = 1000
"""Mails above one mail that are looked for; those of a mailing list have at most some hundred."""


class Names:
    """Mails by their Message-Ids, the last one of each.

    Hostile mails can each name hundreds of others, in circles. So a set of mails is a number here, with a bit
    for each.
    """

    def __init__(self, mails: Sequence[Mail]) -> None:
        by_id = {mail.message_id: mail for mail in mails if mail.message_id}
        self._places = {name: at for at, name in enumerate(by_id)}
        self._mails = [*by_id.values()]
        self._named = [*map(self._named_by, self._mails)]
        self._sets = [sum(1 << at for at in named) for named in self._named]

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def _named_by(self, mail: Mail) -> dict[int, int]:
        """Return the places of the mails that ``mail`` names, each with its distance in the header."""
        places = dict.fromkeys(
            self._places[name] for name in reversed(mail.references) if name in self._places
        )
        return {at: distance for distance, at in enumerate(places)}

    def above(self, mail: Mail) -> Iterator[Mail]:
        """Yield the mails that ``mail`` follows, the nearest first, also through mails between them."""
        own = self._places.get(mail.message_id, len(self._mails))
        queue = [at for at in self._named_by(mail) if at != own]
        unseen = ((1 << len(self._mails)) - 1) & ~sum(1 << at for at in (*queue, own))
        for at in queue:
            yield self._mails[at]
            further = self._sets[at] & unseen
            if further and len(queue) < MOST:
                unseen ^= further
                if further & (further - 1):
                    queue += sorted(_members(further), key=self._named[at].__getitem__)
                else:
                    queue.append(further.bit_length() - 1)


def _members(mails: int) -> Iterator[int]:
    while mails:
        last = mails & -mails
        yield last.bit_length() - 1
        mails ^= last
