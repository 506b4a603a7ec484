"""The sections of MAINTAINERS, and the choice of series by sections and paths."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.check.files import is_covered, maintained
from harness.errors import OptionError

_TAG = re.compile(r"^([A-Z]):\s*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: the patterns of its files, and those of files that it leaves out."""

    name: str
    files: tuple[str, ...]
    without: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Return whether ``path`` belongs to the section."""
        return is_covered(path, self.files) and not is_covered(path, self.without)


def read_sections(text: str) -> tuple[Section, ...]:
    """Return the sections of MAINTAINERS that name files, without the catch-all section.

    The name is the line above the first tag; group headings are above it.
    """
    sections = []
    for block, files in maintained(text):
        first = _TAG.search(block)
        above = block[: first.start()].strip().splitlines() if first else []
        if above and files:
            without = tuple(value.strip() for tag, value in _TAG.findall(block) if tag == "X")
            sections.append(Section(name=above[-1].strip(), files=tuple(files), without=without))
    return tuple(sections)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The wanted series: rules of ``--only`` in order of importance; all series without rules."""

    sections: tuple[Section, ...] = ()
    rules: tuple[str, ...] = ()

    def sections_of(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the sections that cover one of ``paths``."""
        touched = frozenset(paths)
        return tuple(one.name for one in self.sections if any(map(one.covers, touched)))

    def rank(self, paths: Iterable[str]) -> int | None:
        """Return the position of the first rule that a series with ``paths`` meets; None if it meets none."""
        if not self.rules:
            return 0
        touched = frozenset(paths)
        names = {name.casefold() for name in self.sections_of(touched)}
        for at, rule in enumerate(self.rules):
            if rule.casefold() in names or any(_meets(path, rule) for path in touched):
                return at
        return None


def choose(rules: Sequence[str], maintainers: str, paths: Sequence[str]) -> Choice:
    """Return the choice of ``rules`` (sections, or patterns of paths) in a tree with ``paths``.

    Raises OptionError for a rule that names no section and no file.
    """
    sections = read_sections(maintainers)
    names = {section.name.casefold(): section.name for section in sections}
    for rule in rules:
        if rule.casefold() not in names and not any(_meets(path, rule) for path in paths):
            near = difflib.get_close_matches(rule.casefold(), names, n=1)
            hint = f"did you mean {names[near[0]]!r}? " if near else ""
            raise OptionError(
                f"--only: {rule!r} is no section of MAINTAINERS and matches no file of the clone",
                f"{hint}name a section, a folder such as hw/net/, or a pattern such as 'target/*/kvm*'",
            )
    return Choice(sections=sections, rules=tuple(rules))


def _meets(path: str, rule: str) -> bool:
    """Return whether ``path`` is below the folder ``rule/``, or matches the pattern (``*`` matches ``/``)."""
    return path.startswith(rule) if rule.endswith("/") else fnmatch.fnmatchcase(path, rule)
