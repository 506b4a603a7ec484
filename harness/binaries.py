"""``--binary NAME=PATH[,ARG...]``: a QEMU that was built elsewhere, and the words to start it with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class NamedBinary:
    """A binary under the name of a variant. ``words`` switch the feature on; none: it is started without."""

    name: str
    path: Path
    words: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What its file name says it emulates; empty when it says nothing."""
        _, found, rest = self.path.name.partition("qemu-system-")
        return f"{rest}-softmmu" if found else ""


def parse_binaries(texts: Iterable[str], *, by_target: bool = False) -> tuple[NamedBinary, ...]:
    """``NAME=PATH[,ARG...]``, each. A name stands for one binary, or with ``by_target`` for one a target.

    Raises OptionError: not of that form, no such program, a name twice.
    """
    found: dict[tuple[str, str], NamedBinary] = {}
    for text in texts:
        name, separator, rest = text.partition("=")
        place, *words = rest.split(",")
        if not name or not separator or not place:
            raise OptionError(
                f"--binary: {text!r} is not NAME=PATH[,ARG...]",
                "write, say, --binary mine=/usr/bin/qemu-system-x86_64,-async-teardown",
            )
        path = Path(place).absolute()
        if not path.is_file() or not os.access(path, os.X_OK):
            raise OptionError(f"--binary: {path} is no program", "check the path, and its mode")
        one = NamedBinary(name=name, path=path, words=tuple(word for word in words if word))
        if (name, one.target) in found or (not by_target and any(known == name for known, _ in found)):
            raise OptionError(f"--binary: {name} is there twice", "give each binary a name of its own")
        found[name, one.target] = one
    return tuple(found.values())
