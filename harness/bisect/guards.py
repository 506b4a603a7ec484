"""What the conditions around added lines ask for: features of configure, and targets."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.bisect.conditions import WHOLE, Added
from harness.build.conditions import Condition
from harness.build.features import Features, Needs

_MANNERS = "cfi debug-stack-usage fuzzing gprof lto modules safe-stack sanitizers tsan"
MANNERS = frozenset(f"--enable-{name}" for name in _MANNERS.split())
"""Switches that are ways to compile all of QEMU, not parts of it: they exclude compilers and each other."""
USER_ONLY = "CONFIG_USER_ONLY"
_SYMBOL = re.compile(r"(!\s*)?(?:\bdefined\b\s*\(?\s*)?\b((?:CONFIG|TARGET)_\w+)")


def guards_of(added: Mapping[str, Added]) -> dict[str, tuple[str, ...]]:
    """Return the symbols that have to be defined for the added lines of each file.

    Of alternatives (``||``) only the first counts. A symbol that has to be undefined does not.
    """
    found = {}
    for path, one in added.items():
        groups = one.conditions.active(set(one.patches)) - {WHOLE}
        texts = (one.conditions.texts[group] for group in sorted(groups))
        symbols = dict.fromkeys(symbol for text in texts for symbol in _symbols(text))
        if symbols:
            found[path] = tuple(symbols)
    return found


def _symbols(text: str) -> list[str]:
    text, inverted = text.removeprefix("#else of "), text.startswith("#else of ")
    if inverted != text.startswith(("#ifndef", "#elifndef")):
        return []
    found = [match[2] for match in _SYMBOL.finditer(text) if not match[1]]
    return found[:1] if "||" in text else found


def needs_of(symbols: Iterable[str], features: Features) -> Needs:
    """Return the switches and libraries that define those of ``symbols`` that can be defined here."""
    found = Needs()
    for symbol in symbols:
        need = features.needs([Condition("config", symbol)])
        if not need.system and not MANNERS.intersection(need.switches):
            found = joined(found, need)
    return found


def joined(one: Needs, other: Needs) -> Needs:
    """Return the switches and libraries of both; the machine is that of ``one``."""
    return dataclasses.replace(
        one,
        switches=tuple(dict.fromkeys((*one.switches, *other.switches))),
        libraries=tuple(dict.fromkeys((*one.libraries, *other.libraries))),
    )


def targets_of(symbols: Collection[str], usual: Sequence[str], bases: Mapping[str, str]) -> list[str]:
    """Return a target for each symbol that is about one, such as ``TARGET_ARM``, if possible a ``usual`` one.

    ``bases`` are all targets and the architecture of each: ``arm`` of ``aarch64-softmmu``. For lines of user
    emulation (``CONFIG_USER_ONLY``) they are targets of that.
    """
    known = [name for name in bases if name.endswith("-user") == (USER_ONLY in symbols)]
    names = [symbol.removeprefix("TARGET_").lower() for symbol in symbols if symbol.startswith("TARGET_")]
    if USER_ONLY in symbols and not names:
        names = [usual[0].partition("-")[0]]
    found = []
    for name in names:
        fits = [one for one in known if name in (one.partition("-")[0], bases[one])]
        fits.sort(key=lambda one: (one not in usual, one.partition("-")[0] != name))
        found += fits[:1]
    return found
