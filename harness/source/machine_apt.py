"""Find the Debian archive in the machine's apt configuration.

The project specifies no mirror. It uses the administrator's mirror and keyring for every suite.
sources.list(5) describes both formats.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from debian.deb822 import Deb822

from harness.errors import FetchError

CARRIED = ("Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "Allow-Insecure")
"""Fields by which the administrator configures trust in the archive; they are copied unchanged."""


@dataclass(frozen=True, kw_only=True)
class AptEntry:
    """One archive of the apt configuration: its location and how its signatures are verified."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    trust: tuple[tuple[str, str], ...] = ()


def codename(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the machine's suite, such as ``bookworm``; empty if os-release(5) does not specify one."""
    try:
        text = os_release.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    found = re.search(r"^VERSION_CODENAME=\"?([a-z0-9-]+)\"?$", text, re.MULTILINE)
    return found[1] if found else ""


def debian_entry(etc: Path = Path("/etc/apt"), suite: str = "") -> AptEntry:
    """Return the Debian archive among the entries below ``etc``; ``suite`` is the machine's suite.

    Third-party archives also have suites called ``bookworm``, so the keyring, the component ``main`` and the
    path are compared too. Raises FetchError if there is no Debian archive.
    """
    scored = [(score, entry) for entry in entries(etc) if (score := _score(entry, suite)) > 0]
    if not scored:
        raise FetchError(
            f"this machine's apt configuration ({etc}) has no Debian archive",
            "add one, or add a url or git location to the pin",
        )
    return max(scored, key=lambda pair: pair[0])[1]


def entries(etc: Path) -> Iterator[AptEntry]:
    """Yield every enabled entry of ``sources.list`` and ``sources.list.d``."""
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".sources":
            yield from _deb822(text)
        elif path.suffix == ".list":
            for line in text.splitlines():
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


def _score(entry: AptEntry, suite: str) -> int:
    """Rate how likely ``entry`` is Debian's main archive for ``suite``; 0 if it is not."""
    if "main" not in entry.components or (suite and suite not in entry.suites):
        return 0
    path = urlsplit(entry.uri).path.rstrip("/")
    score = 0
    if any("debian-archive" in value for name, value in entry.trust if name == "Signed-By"):
        score += 4
    if path == "/debian":
        score += 2
    elif path.endswith(("/debian", "/debian.list")):  # below a prefix, or mirror+file:
        score += 1
    return 0 if "security" in path else score
