"""Find the archive of the distribution, and Debian's, in the machine's apt configuration.

The project specifies no mirror. It uses the administrator's mirror and keyring for every suite.
sources.list(5) describes both formats. On a machine without Debian's archive, such as one with Ubuntu or
Fedora, a variable names a mirror of it.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from debian.deb822 import Deb822

from harness.errors import FetchError
from harness.machine import text_of
from harness.platforms import Distribution, Family, distribution, table

ETC = Path("/etc/apt")
DEBIAN = "debian"
STABLE = "stable"
DEBIAN_VARIABLE = "QEMU_HARNESS_DEBIAN"
"""Environment variable: address of a Debian mirror. Its index must be signed by a key of KEYRING."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CARRIED = ("Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "Allow-Insecure")
"""Fields by which the administrator configures trust in the archive; they are copied unchanged."""


@dataclass(frozen=True, kw_only=True)
class AptEntry:
    """One archive of the apt configuration: its location and how its signatures are verified."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    trust: tuple[tuple[str, str], ...] = ()


def default_suite(*, native: bool, where: Distribution | None = None) -> str:
    """Return this machine's suite, for packages of its own architecture (``native``) or on Debian for any.

    On other machines it is Debian's stable one.
    """
    here = where or distribution()
    own = here.uses_apt and (native or here.family == DEBIAN)
    return here.codename if own and here.codename else STABLE


def archive_of(suite: str, *, native: bool, etc: Path = ETC, where: Distribution | None = None) -> AptEntry:
    """Return the archive that has ``suite``, for packages of this machine's own architecture (``native``).

    A suite of another distribution than Debian is in its own archive. All else is in Debian's, which has
    every suite and every architecture. Raises FetchError as ``debian_entry``.
    """
    here = where or distribution()
    if here.facts is None or here.family == DEBIAN or not native or suite != here.codename:
        return debian_entry(etc, where=here)
    return _best(etc, here.codename, here.facts)


def debian_entry(etc: Path = ETC, *, where: Distribution | None = None) -> AptEntry:
    """Return Debian's archive: that of the variable DEBIAN_VARIABLE, or among the entries below ``etc``.

    Third-party archives also have suites called ``bookworm``, so the keyring, the component ``main`` and the
    path are compared too. Raises FetchError if there is no Debian archive, or no keyring for the variable's.
    """
    here = where or distribution()
    if uri := os.environ.get(DEBIAN_VARIABLE, ""):
        if not Path(KEYRING).is_file():
            raise FetchError(
                f"{KEYRING}, the keys of {DEBIAN_VARIABLE}, does not exist",
                "install the package debian-archive-keyring (Fedora: debian-keyring)",
            )
        return AptEntry(uri=uri, suites=(STABLE,), components=("main",), trust=(("Signed-By", KEYRING),))
    return _best(etc, here.codename if here.family == DEBIAN else "", table().families[DEBIAN])


def _best(etc: Path, suite: str, family: Family) -> AptEntry:
    scored = [(score, entry) for entry in entries(etc) if (score := _score(entry, suite, family)) > 0]
    if not scored:
        raise FetchError(
            f"this machine's apt configuration ({etc}) has no {family.title} archive",
            f"add one, or set {DEBIAN_VARIABLE} to the address of a Debian mirror",
        )
    return max(scored, key=lambda pair: pair[0])[1]


def entries(etc: Path) -> Iterator[AptEntry]:
    """Yield every enabled entry of ``sources.list`` and ``sources.list.d``."""
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        if path.suffix == ".sources":
            yield from _deb822(text_of(path))
        elif path.suffix == ".list":
            for line in text_of(path).splitlines():
                yield from _one_line(line)


def _deb822(text: str) -> Iterator[AptEntry]:
    for paragraph in Deb822.iter_paragraphs(text.splitlines(keepends=True), use_apt_pkg=False):
        if paragraph.get("Enabled", "yes").strip().lower() in ("no", "false", "off", "0"):
            continue
        trust = tuple((name, paragraph[name]) for name in CARRIED if name in paragraph)
        for uri in paragraph.get("URIs", "").split():
            yield AptEntry(
                uri=uri,
                suites=tuple(paragraph.get("Suites", "").split()),
                components=tuple(paragraph.get("Components", "").split()),
                trust=trust,
            )


def _one_line(line: str) -> Iterator[AptEntry]:
    found = re.fullmatch(
        r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]\S*)*)\s*(?:#.*)?", line
    )
    if found is None:
        return
    given = {}
    for word in shlex.split(found[1] or ""):
        name, _, value = word.partition("=")
        given[name.rstrip("+-").lower()] = value.replace(",", " ")
    trust = tuple((name, given[name.lower()]) for name in CARRIED if name.lower() in given)
    yield AptEntry(uri=found[2], suites=(found[3],), components=tuple(found[4].split()), trust=trust)


def _score(entry: AptEntry, suite: str, family: Family) -> int:
    """Rank how likely ``entry`` is the main archive of ``family`` for ``suite``; 0 if it is not."""
    if "main" not in entry.components or (suite and suite not in entry.suites):
        return 0
    path = urlsplit(entry.uri).path.rstrip("/")
    score = 0
    if any(family.keyring in value for name, value in entry.trust if name == "Signed-By"):
        score += 4
    if path in family.archives:
        score += 2
    elif path.endswith(tuple(f"{known}{end}" for known in family.archives for end in ("", ".list"))):
        score += 1  # below a prefix, or mirror+file:
    return 0 if "security" in path else score
