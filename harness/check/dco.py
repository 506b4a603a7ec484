"""Rules on the Developer's Certificate of Origin: authors and their Signed-off-by lines.

Source: docs/devel/submitting-a-patch.rst ("Patch emails must include a ``Signed-off-by:`` line") and
https://developercertificate.org.
"""

import re
from collections.abc import Iterator

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch
from harness.series.address import Address, parse_address

_SOURCE = "docs/devel/submitting-a-patch.rst"

MISSING = Rule(
    id="dco-missing",
    severity="error",
    summary="a patch has no Signed-off-by",
    remedy="the author has to read developercertificate.org and add one: git commit --amend -s",
    source=_SOURCE,
)
MALFORMED = Rule(
    id="dco-malformed",
    severity="error",
    summary="a line resembles a Signed-off-by but is malformed",
    remedy="write it as: Signed-off-by: Your Name <you@example.org>",
    source=_SOURCE,
)
AUTHOR = Rule(
    id="dco-author",
    severity="warning",
    summary="the author has not signed off the patch",
    remedy="have the author sign it off, or correct the author: git commit --amend --author=",
    source=_SOURCE,
)
CO_AUTHOR = Rule(
    id="dco-co-author",
    severity="warning",
    summary="a co-author has not signed off the patch",
    remedy="have each author add a Signed-off-by",
    source=_SOURCE,
)
MANGLED = Rule(
    id="dco-mangled",
    severity="error",
    summary="a mailing list has replaced the author's address with its own",
    remedy="send the patch with an in-body From: line (git format-patch --force-in-body-from)",
    source="scripts/checkpatch.pl",
)
RULES = (MISSING, MALFORMED, AUTHOR, CO_AUTHOR, MANGLED)

_ANY = re.compile(r"^\s*sign(?:ed?|e)?[- ]*of+[- ]*by\b", re.IGNORECASE)
_EXACT = re.compile(r"^Signed-off-by: \S.* <[^<>@\s]+@[^<>@\s]+>\s*$")
_LIST = re.compile(r"\bvia\b|<qemu-(?:devel|[a-z0-9]+)@nongnu\.org>", re.IGNORECASE)


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        yield from _signed(patch)
        if _LIST.search(str(patch.mail.author)):
            yield MANGLED.finding(f"the author is {patch.mail.author}", patch=patch.number)


def _signed(patch: JudgedPatch) -> Iterator[Finding]:
    people: list[Address] = []
    malformed = False
    for line in patch.mail.message.splitlines():
        if _EXACT.match(line):
            people.append(parse_address(line.partition(":")[2]))
        elif _ANY.match(line):
            malformed = True
            yield MALFORMED.finding(f"malformed Signed-off-by: {line.strip()!r}", patch=patch.number)
    if not people:
        if not malformed:
            yield MISSING.finding("the message has no Signed-off-by", patch=patch.number)
        return
    author = patch.mail.author
    if author.email and not any(person.is_same(author) for person in people):
        if any(person.name.casefold() == author.name.casefold() and person.name for person in people):
            message = f"the author {author} signed off with another address"
            yield AUTHOR.finding(message, patch=patch.number, severity="note")
        else:
            message = f"the author {author} has not signed off; {people[0]} has"
            yield AUTHOR.finding(message, patch=patch.number)
    for trailer in patch.trailers:
        shared = trailer.key.lower() in ("co-developed-by", "co-authored-by")
        if shared and not any(person.is_same(trailer.person) for person in people):
            yield CO_AUTHOR.finding(f"no Signed-off-by for {trailer}", patch=patch.number)
