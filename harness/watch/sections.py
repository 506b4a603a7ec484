"""The sections of MAINTAINERS, and the choice of series by sections and paths."""

import difflib
import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from harness.check.files import is_covered, maintained
from harness.errors import OptionError

_FOLDER = re.compile(r"(?:[^*?\[/]+/)*")
_TAG = re.compile(r"^([A-Z]):\s*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: the patterns of its files, and those of files that it leaves out."""

    name: str
    files: tuple[str, ...]
    without: tuple[str, ...]


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

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[int, str, bool]]]:
        """The patterns by their first folders: the place of the section, and whether it covers the files."""
        found: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
        for at, section in enumerate(self.sections):
            for covers, patterns in ((True, section.files), (False, section.without)):
                for pattern in patterns:
                    folder = _FOLDER.match(pattern)
                    found[folder[0] if folder else ""].append((at, pattern, covers))
        return found

    def sections_of(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the sections that cover one of ``paths``.

        Only patterns of the same folders are compared: a patch can change a hundred thousand files.
        """
        deepest = max((folder.count("/") for folder in self._patterns), default=0)
        touched = set[int]()
        for path in frozenset(paths):
            parts = path.split("/", deepest + 1)[:-1]
            folders = accumulate((f"{part}/" for part in parts), initial="")
            own: dict[bool, set[int]] = {True: set(), False: set()}
            for at, pattern, covers in (one for folder in folders for one in self._patterns.get(folder, ())):
                if at not in own[covers] and is_covered(path, (pattern,)):
                    own[covers].add(at)
            touched |= own[True] - own[False]
        return tuple(self.sections[at].name for at in sorted(touched))

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
