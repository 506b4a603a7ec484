"""Compiler diagnostics, parsed from a log."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^(\S[^:\s]*):(\d+):(?:\d+:)? (warning|error|fatal error): (.*)$")
_SWITCH = re.compile(r"\s*\[-W(?:error=|error,-W)?([a-z0-9+=-]+)\]$")
_WERROR = re.compile(r"\[-Werror(?:(?:=|,-W)[a-z0-9+=-]+)?\]$")
"""gcc prints ``-Werror=unused``, clang ``-Werror,-Wunused``."""


_RUST = re.compile(r"^(warning|error)(?:\[\w+\])?: (.*)$")
_RUST_PLACE = re.compile(r"^ *--> (\S[^:]*):(\d+):\d+$")
"""rustc and clippy print the place of a message in the line after it."""
_COPY = re.compile(r"[^/]+\.p/structured/([^/]+)$")
"""meson compiles copies of a crate's sources (structured_sources), which are in the crate's folder src."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FAILED = re.compile(r"^FAILED: (?:\[code=\d+\] )?(\S+)")
"""ninja's line on a step that failed; the group is its first output. The next line is the command."""
_STEP = re.compile(r"^(?:\[\d+/\d+\] |ninja: )")
_ERROR = re.compile(r"undefined reference|multiple definition|cannot find|\bERROR\b|[Ee]rror: ")
"""What linkers, meson and generators of code write about an error."""
_PLACE = re.compile(r"^(?:\S*ld: )?(?:[^\s:]*/)?\.\./src/([^\s:]+):(\d+):(?:\d+:)? (?:ERROR: )?(.+)$")


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
        """File and text without numbers and addresses, which identify the message when lines move."""
        return self.file, re.sub(r"\b0x[0-9a-f]+|\d+", "0", self.text)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a log; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def read_diagnostics(lines: Iterable[str]) -> tuple[Diagnostic, ...]:
    """Return the messages in ``lines`` without duplicates; paths are relative to the sources."""
    diagnostics: dict[tuple[str, int, str], Diagnostic] = {}
    before: re.Match[str] | None = None
    for raw in lines:
        line = _COLOUR.sub("", raw).rstrip()
        place = _RUST_PLACE.match(line) if before else None
        if before and place:
            diagnostic = _diagnostic(place[1], int(place[2]), before[1], before[2])
        elif (match := _LINE.match(line)) and match[1] not in ("ninja", "collect2", "cc1"):
            diagnostic = _diagnostic(match[1], int(match[2]), match[3], match[4])
        else:
            before = _RUST.match(line)
            continue
        before = None
        diagnostics.setdefault((diagnostic.file, diagnostic.line, diagnostic.text), diagnostic)
    return tuple(diagnostics.values())


def read_failures(lines: Iterable[str]) -> tuple[Diagnostic, ...]:
    """Return the errors of the steps that failed without a message of a compiler, such as links."""
    blocks: list[list[str]] = []
    is_open = False
    for line in lines:
        if FAILED.match(line):
            blocks.append([])
            is_open = True
        elif _STEP.match(line):
            is_open = False
        elif is_open:
            blocks[-1].append(line)
    found = {}
    for block in blocks:
        text = [line.strip() for line in block[1:] if line.strip()]
        if not read_diagnostics(text):
            found.update(dict.fromkeys([line for line in text if _ERROR.search(line)] or text[-1:]))
    return tuple(failure(line) for line in found)


def failure(text: str) -> Diagnostic:
    """Return the error ``text`` of another program than a compiler, with its place if it names one."""
    if match := _PLACE.match(text):
        return Diagnostic(file=match[1], line=int(match[2]), text=match[3], switch="", is_warning=False)
    return Diagnostic(file="", line=0, text=text, switch="", is_warning=False)


def _diagnostic(file: str, line: int, level: str, text: str) -> Diagnostic:
    switch = _SWITCH.search(text)
    return Diagnostic(
        file=_COPY.sub(r"src/\1", re.sub(r"^(?:\.\./)*src/|^\./", "", file)),
        line=line,
        text=_SWITCH.sub("", _WERROR.sub("", text)).strip(),
        switch=switch[1] if switch else "",
        is_warning=level == "warning" or bool(_WERROR.search(text)),
    )
