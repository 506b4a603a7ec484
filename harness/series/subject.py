"""Parse a mail's subject: the words in square brackets, such as ``[PATCH v2 1/3]``.

Source: git-format-patch(1) (``--subject-prefix``, ``--rfc``, ``--reroll-count``, ``--numbered``) and QEMU's
docs/devel/submitting-a-patch.rst ("Use the RFC tag", "v2", ``for-7.2``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REPLY = re.compile(r"^(?:(?:re|aw|antw|fwd?|wg)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_GROUP = re.compile(r"^\s*\[([^\]]*)\]\s*")
_KIND = re.compile(r"(?:^|[\s_/-])(PATCH|PULL|RFC|GIT PULL)(?=$|[\s\d_/:-])|^(PATCH|PULL|RFC)", re.IGNORECASE)
_VERSION = re.compile(r"(?:^|(?<=[\s-])|(?<=PATCH)|(?<=PULL)|(?<=RFC))[vV](\d{1,3})(?=$|[\s.\]])")
_COUNT = re.compile(r"(?:^|\s|(?<=[A-Z]))(\d{1,4})\s*/\s*(\d{1,4})(?=$|\s)")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A parsed subject. ``number`` and ``total`` are 0 without ``N/M``."""

    text: str
    """The whole subject, decoded, on one line."""
    title: str
    """The subject without ``Re:`` and the tag."""
    kind: str = ""
    """``PATCH``, ``PULL``, or empty without such a word."""
    reply: bool = False
    rfc: bool = False
    resend: bool = False
    version: int = 1
    number: int = 0
    total: int = 0
    counted: bool = False
    words: tuple[str, ...] = ()
    """Further words of the tag, such as ``for-7.2``."""

    @property
    def is_patch(self) -> bool:
        """Whether a mail with this subject is part of a series, not a reply to it."""
        return bool(self.kind) and not self.reply

    @property
    def is_cover(self) -> bool:
        return self.is_patch and self.counted and self.number == 0


def parse_subject(text: str) -> Subject:
    """Parse the decoded, possibly folded ``text``. Never raises."""
    whole = " ".join(text.split())
    rest, reply = whole, False
    if found := _REPLY.match(rest):
        rest, reply = rest[found.end() :], True
    tag = ""
    before = rest
    while group := _GROUP.match(rest):
        if _KIND.search(group[1]):
            tag, rest = group[1], rest[group.end() :]
            break
        rest = rest[group.end() :]
    if not tag:
        return Subject(text=whole, title=before, reply=reply)
    more = _REPLY.match(rest)
    words = tag.split()
    kinds = {(found[0] or found[1]).upper() for found in _KIND.findall(tag)}
    version, count = _VERSION.search(tag), _COUNT.search(tag)
    known = re.compile(r"(?:GIT|PATCH|PULL|RFC|RESEND|[vV]\d+|\d+/\d+)")
    return Subject(
        text=whole,
        title=rest[more.end() :] if more else rest,
        kind="PULL" if any("PULL" in kind for kind in kinds) else "PATCH",
        reply=reply or more is not None,
        rfc="RFC" in kinds,
        resend="RESEND" in tag.upper().split(),
        version=int(version[1]) if version else 1,
        number=int(count[1]) if count else 0,
        total=int(count[2]) if count else 0,
        counted=count is not None,
        words=tuple(word for word in words if not known.fullmatch(word)),
    )
