"""Linux distributions: which one this machine has, and its packages for what the harness needs.

The data is in platforms.toml, of which docs/platforms.md is generated. A distribution is an entry there.
"""

import functools
import shlex
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("platforms.toml")
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


class Manager(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package manager. ``error``, ``total``, ``steps``: regular expressions for lines of its output."""

    program: str
    update: str
    """Command that fetches the package lists; empty if ``install`` does."""
    install: str
    options: tuple[str, ...]
    environment: dict[str, str]
    error: str
    total: str
    steps: str
    per_package: int
    """Number of lines that match ``steps`` for each package of ``total``."""

    def command_line(self, packages: Iterable[str], *, sudo: bool) -> str:
        """Return one command line, for a shell, that installs ``packages``."""
        names = " ".join(map(shlex.quote, packages))
        words = [self.update, f"{self.install} {names}"]
        return " && ".join(f"{'sudo ' * sudo}{line}" for line in words if line)


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A distribution, and those that are derived from it."""

    title: str
    releases: tuple[str, ...]
    run: tuple[str, ...]
    """Releases in which the harness is run, by tests/platforms."""
    manager: str
    start: str
    """Command that installs what the README's first command needs."""
    like: str = ""
    """Family whose names of packages apply where it has none of its own."""
    pkg_config: str = ""
    """Name of the package of a pkg-config module, with ``{}`` for the module."""
    keyring: str = ""
    """Part of the file name of the archive's keyring."""
    archives: tuple[str, ...] = ()
    """Paths of the URI of the archive."""
    kernels: dict[str, str] = {}
    """Architecture → meta package of a kernel for virtual machines."""
    lacks: dict[str, str] = {}
    """What no package has, or not in one release (``NAME-RELEASE``) → why."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """platforms.toml. ``packages``: what is needed → family, or family and release → packages.

    ``headers``: libraries without a module of pkg-config → a header; the names differ from those of modules.
    """

    families: dict[str, Family]
    managers: dict[str, Manager]
    headers: dict[str, str]
    packages: dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What os-release(5) specifies, and its ``family``, a key of platforms.toml; empty if none is known."""

    id: str = ""
    version: str = ""
    codename: str = ""
    """Suite of the family's archive; a derived distribution states it apart from its own."""
    title: str = "an unknown distribution"
    family: str = ""

    @property
    def facts(self) -> Family | None:
        """The entry of the family."""
        return table().families.get(self.family)

    @property
    def manager(self) -> Manager | None:
        """The package manager of the family."""
        return table().managers[self.facts.manager] if self.facts else None

    @property
    def uses_apt(self) -> bool:
        """Whether packages can be fetched from the machine's own archive without being installed."""
        return self.facts is not None and bool(self.facts.archives)


@functools.cache
def table() -> Table:
    """Return the content of platforms.toml."""
    return msgspec.convert(tomllib.loads(FILE.read_text(encoding="utf-8")), Table)


def distribution(places: Iterable[Path] = OS_RELEASE) -> Distribution:
    """Return this machine's distribution, from the first of ``places`` that can be read.

    A derived distribution has the family of the first of ID_LIKE that is known.
    """
    for place in places:
        try:
            text = place.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        return parse(text)
    return Distribution()


def parse(text: str) -> Distribution:
    """Parse os-release(5): assignments as in a shell."""
    given: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            try:
                given[name] = "".join(shlex.split(value)[:1])
            except ValueError:  # an unbalanced quote
                continue
    names = [given.get("ID", ""), *given.get("ID_LIKE", "").split()]
    family = next((name for name in names if name in table().families), "")
    own = family == names[0]
    codename = given.get("VERSION_CODENAME", "")
    return Distribution(
        id=names[0],
        # The release of a derived distribution is not one of its family.
        version=given.get("VERSION_ID", "") if own else "",
        codename=codename if own else given.get(f"{family.upper()}_CODENAME", codename),
        title=given.get("PRETTY_NAME") or given.get("NAME") or names[0] or Distribution.title,
        family=family,
    )


def packages_of(name: str, where: Distribution, *, module: bool = False) -> tuple[str, ...]:
    """Return the packages of ``where`` that provide ``name``; none if it has none or is unknown.

    ``name`` is a program, header or file, or with ``module`` a module of pkg-config.
    """
    if where.facts is None or why_absent(name, where):
        return ()
    row, family, seen = table().packages.get(name, {}), where.family, where.facts
    while True:
        for key in (f"{family}-{where.version}", family):
            if key in row:
                return tuple(row[key].split())
        if module and seen.pkg_config and row:
            return (seen.pkg_config.format(name),)
        if not seen.like:
            return ()
        family, seen = seen.like, table().families[seen.like]


def why_absent(name: str, where: Distribution) -> str:
    """Return why no package of ``where`` provides ``name``; empty if there is no known reason."""
    lacks = where.facts.lacks if where.facts else {}
    return lacks.get(f"{name}-{where.version}", lacks.get(name, ""))
