"""Compiler diagnostics, parsed from a log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^(\S[^:\s]*):(\d+):(?:\d+:)? (warning|error|fatal error): (.*)$")
_SWITCH = re.compile(r"\s*\[-W(?:error=|error,-W)?([a-z0-9+=-]+)\]$")
_WERROR = re.compile(r"\[-Werror(?:(?:=|,-W)[a-z0-9+=-]+)?\]$")
"""gcc prints ``-Werror=unused``, clang ``-Werror,-Wunused``."""


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One message of a compiler. ``is_warning`` is also true of a warning that ``-Werror`` makes an error."""

    file: str
    line: int
    text: str
    switch: str
    is_warning: bool

    @property
    def key(self) -> tuple[str, str]:
        """File and text without numbers, which identify the message when lines move."""
        return self.file, re.sub(r"\d+", "0", self.text)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a log; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def read_diagnostics(lines: Iterable[str]) -> tuple[Diagnostic, ...]:
    """Return the messages in ``lines`` without duplicates; paths are relative to the sources."""
    diagnostics: dict[tuple[str, int, str], Diagnostic] = {}
    for line in lines:
        match = _LINE.match(line.rstrip())
        if match is None or match[1] in ("ninja", "collect2", "cc1"):
            continue
        switch = _SWITCH.search(match[4])
        diagnostic = Diagnostic(
            file=re.sub(r"^(?:\.\./)*src/|^\./", "", match[1]),
            line=int(match[2]),
            text=_SWITCH.sub("", _WERROR.sub("", match[4])).strip(),
            switch=switch[1] if switch else "",
            is_warning=match[3] == "warning" or bool(_WERROR.search(match[4])),
        )
        diagnostics.setdefault((diagnostic.file, diagnostic.line, diagnostic.text), diagnostic)
    return tuple(diagnostics.values())
