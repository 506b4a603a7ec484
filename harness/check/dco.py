"""Rules on the Developer's Certificate of Origin: who wrote it and who signed it off.

Source: docs/devel/submitting-a-patch.rst ("Patch emails must include a ``Signed-off-by:`` line") and
https://developercertificate.org.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.series import Trailer

_SOURCE = "docs/devel/submitting-a-patch.rst"

MISSING = Rule(
    id="dco-missing",
    severity="error",
    summary="a patch has no Signed-off-by",
    remedy="its author has to add one: git commit --amend -s, after reading developercertificate.org",
    source=_SOURCE,
)
MALFORMED = Rule(
    id="dco-malformed",
    severity="error",
    summary="a line looks like a Signed-off-by and is none",
    remedy="write it as: Signed-off-by: Your Name <you@example.org>",
    source=_SOURCE,
)
AUTHOR = Rule(
    id="dco-author",
    severity="warning",
    summary="no Signed-off-by is the author's",
    remedy="let the author sign it off, or set the right author: git commit --amend --author=",
    source=_SOURCE,
)
CO_AUTHOR = Rule(
    id="dco-co-author",
    severity="warning",
    summary="somebody who is named as another author has not signed off",
    remedy="let each of the authors add a Signed-off-by",
    source=_SOURCE,
)
MANGLED = Rule(
    id="dco-mangled",
    severity="error",
    summary="a mailing list has put its own address in place of the author's",
    remedy="send it with an in-body From: line (git send-email --from=, format-patch --force-in-body-from)",
    source="scripts/checkpatch.pl",
)
RULES = (MISSING, MALFORMED, AUTHOR, CO_AUTHOR, MANGLED)

_ANY = re.compile(r"^\s*sign(?:ed?|e)?[- ]*of+[- ]*by\b", re.IGNORECASE)
_EXACT = re.compile(r"^Signed-off-by: \S.* <[^<>@\s]+@[^<>@\s]+>\s*$")
_LIST = re.compile(r"\bvia\b|<qemu-(?:devel|[a-z0-9]+)@nongnu\.org>", re.IGNORECASE)


def check(judged: Judged) -> Iterator[Finding]:
    """Findings of this family."""
    for patch in judged.patches:
        yield from _signed(patch)
        if _LIST.search(str(patch.mail.author)):
            yield MANGLED.finding(f"the author is {patch.mail.author}", patch=patch.number)


def _signed(patch: JudgedPatch) -> Iterator[Finding]:
    signed: list[Trailer] = []
    malformed = False
    for line in patch.mail.message.splitlines():
        if _EXACT.match(line):
            signed.append(Trailer(key="Signed-off-by", value=line.partition(":")[2].strip()))
        elif _ANY.match(line):
            malformed = True
            yield MALFORMED.finding(f"{line.strip()!r}", patch=patch.number)
    if not signed:
        if not malformed:
            yield MISSING.finding("it has no Signed-off-by", patch=patch.number)
        return
    author = patch.mail.author
    people = [trailer.person for trailer in signed]
    if author.email and not any(person.is_same(author) for person in people):
        if any(person.name.casefold() == author.name.casefold() and person.name for person in people):
            told = f"{author} signed off with another address"
            yield AUTHOR.finding(told, patch=patch.number, severity="note")
        else:
            yield AUTHOR.finding(f"{author} wrote it, {people[0]} signed it off", patch=patch.number)
    for trailer in patch.trailers:
        shared = trailer.key.lower() in ("co-developed-by", "co-authored-by")
        if shared and not any(person.is_same(trailer.person) for person in people):
            yield CO_AUTHOR.finding(f"{trailer}, who has not signed off", patch=patch.number)
