"""Parse a mail's subject: the words in square brackets, such as ``[PATCH v2 1/3]``.

Source: git-format-patch(1) (``--subject-prefix``, ``--rfc``, ``--reroll-count``, ``--numbered``) and QEMU's
docs/devel/submitting-a-patch.rst ("Use the RFC tag", "v2", ``for-7.2``). git-mailinfo(1) removes brackets and
does not read them; patchwork and b4 do. As they do, ``[net,v2,1/2]``, ``[PATCH v2][1/4]``, ``[RFC] [PATCH]``
and ``1 of 2`` are accepted, and the name of a mailing list before the tag is not part of the title.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_NUMBER = r"\s*(?:\[\d+\]|\(\d+\)|\^\d+)?\s*[:\uff1a]\s*"
_REPLY = re.compile(
    rf"(?:re|aw|antw){_NUMBER}|(?:antwort|sv|vs|回复|回覆|答复|答覆){_NUMBER}(?=\[)", re.IGNORECASE
)
"""Those of more languages only before a tag: ``vs: one`` may be a subsystem."""
_FORWARD = re.compile(rf"(?:fwd?|wg){_NUMBER}", re.IGNORECASE)
_GROUP = re.compile(r"\[([^\]]*)\][\s:]*")
_KIND = re.compile(r"(?:^|[\s_/-])(PATCH|PULL|RFC)(?=$|[\s\d_/-])|^(PATCH|PULL|RFC)", re.IGNORECASE)
_VERSION = re.compile(r"(?:^|(?<=[\s_-])|(?<=PATCH)|(?<=PULL)|(?<=RFC))v(\d{1,3})(?=$|[\s.])", re.IGNORECASE)
_COUNT = re.compile(r"(?:^|(?<=[\sA-Z#(-]))(\d{1,4})(?:\s*/\s*|\s+of\s+)(\d{1,4})(?=$|[\s)])", re.IGNORECASE)
_KNOWN = re.compile(r"(?:GIT|PATCH|PULL|RFC|RESEND|[vV]\d+)?")


class Tag(NamedTuple):
    """The parts of a tag that the mails of one version have in common."""

    kind: str
    version: int
    total: int
    rfc: bool
    resend: bool


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A parsed subject. ``number`` and ``total`` are 0 without ``N/M``."""

    text: str
    """The whole subject, decoded, on one line."""
    title: str
    """The subject without ``Re:`` and the tag."""
    kind: str = ""
    """``PATCH``, ``PULL``, or empty without a tag."""
    reply: bool = False
    """Whether it is marked as a reply or as forwarded."""
    forwarded: bool = False
    rfc: bool = False
    resend: bool = False
    version: int = 1
    number: int = 0
    total: int = 0
    counted: bool = False
    words: tuple[str, ...] = ()
    """Further words of the tag, such as ``for-7.2``."""

    @property
    def label(self) -> str:
        """Number and count as git format-patch writes them, such as ``03/12``; empty without."""
        return f"{self.number:0{len(str(self.total))}}/{self.total}" if self.counted else ""

    @cached_property
    def tag(self) -> Tag:
        """The parts of the tag that the mails of one version have in common."""
        return Tag(self.kind or "PATCH", self.version, self.total, self.rfc, self.resend)

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
    at = title_at = untagged_at = 0
    tags: list[str] = []
    reply = forwarded = False
    # After the tag, "fw:" is a subsystem.
    while (
        found := _REPLY.match(whole, at)
        or (not tags and _FORWARD.match(whole, at))
        or _GROUP.match(whole, at)
    ):
        at = found.end()
        if found.re is not _GROUP:
            reply, forwarded = True, forwarded or found.re is _FORWARD
            title_at = untagged_at = at
        elif _is_tag(words := re.sub(r"[,;:]", " ", found[1])):
            tags.append(words)
            title_at = at
    if not tags:
        return Subject(text=whole, title=whole[untagged_at:], reply=reply, forwarded=forwarded)
    tag = "".join(f" {words}" for words in tags)
    version, count = _VERSION.search(tag), _COUNT.search(tag)
    kinds = {(found[0] or found[1]).upper() for found in _KIND.findall(tag)}
    return Subject(
        text=whole,
        title=whole[title_at:],
        kind="PULL" if "PULL" in kinds else "PATCH",
        reply=reply,
        forwarded=forwarded,
        rfc="RFC" in kinds,
        resend="RESEND" in tag.upper().split(),
        version=int(version[1]) if version else 1,
        number=int(count[1]) if count else 0,
        total=int(count[2]) if count else 0,
        counted=count is not None,
        words=tuple(
            word for word in re.split(r"[\s#()]+|-(?=\s)", _COUNT.sub(" ", tag)) if not _KNOWN.fullmatch(word)
        ),
    )


def _is_tag(words: str) -> bool:
    return any(known.search(words) for known in (_KIND, _VERSION, _COUNT))
