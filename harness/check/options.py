"""Rules on new command-line options and monitor commands: help and manual text in the ``.hx`` files.

Source: scripts/hxtool and docs/sphinx/hxtool.py, which generate ``-help`` and the manual from ``DEF``,
``SRST`` and ``ERST``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.check.model import Finding, Rule
from harness.check.subject import Judged, JudgedPatch

HELP = Rule(
    id="option-help",
    severity="error",
    summary="a new option has no help text",
    remedy="add a help text that begins with the option to its DEF",
    source="scripts/hxtool",
)
MANUAL = Rule(
    id="option-manual",
    severity="error",
    summary="a new option or monitor command has no manual text",
    remedy="add SRST … ERST below the entry, with the option or command as a definition",
    source="docs/sphinx/hxtool.py",
)
RULES = (HELP, MANUAL)

OPTIONS = "qemu-options.hx"
COMMANDS = ("hmp-commands.hx", "hmp-commands-info.hx")


@dataclass(frozen=True, kw_only=True)
class OptionEntry:
    """One entry of an ``.hx`` file. ``line`` counts from 1; ``help`` and ``manual`` may be empty."""

    name: str
    line: int
    help: str
    manual: str


def check(judged: Judged) -> Iterator[Finding]:
    """Yield the findings of this family."""
    for patch in judged.patches:
        if not patch.commit:
            continue
        touched = {change.path for change in patch.changes}
        if OPTIONS in touched:
            yield from _new_options(judged, patch)
        for path in COMMANDS:
            if path in touched:
                yield from _new_commands(judged, patch, path)


def _new_options(judged: Judged, patch: JudgedPatch) -> Iterator[Finding]:
    for entry in _new(judged, patch, OPTIONS, read_options):
        where = {"patch": patch.number, "file": OPTIONS, "line": entry.line}
        last = judged.patches[-1].commit == patch.commit
        scope = "" if last else " in this patch"
        if f"-{entry.name}" not in entry.help:
            yield HELP.finding(f"-{entry.name} has no help text{scope}", **where)  # type: ignore[arg-type]
        if f"-{entry.name}" not in entry.manual:
            yield MANUAL.finding(f"-{entry.name} has no manual text{scope}", **where)  # type: ignore[arg-type]


def _new_commands(judged: Judged, patch: JudgedPatch, path: str) -> Iterator[Finding]:
    for entry in _new(judged, patch, path, read_commands):
        if not entry.manual.strip():
            yield MANUAL.finding(
                f"monitor command {entry.name} has no manual text",
                patch=patch.number,
                file=path,
                line=entry.line,
            )


def _new(judged: Judged, patch: JudgedPatch, path: str, read) -> list[OptionEntry]:  # type: ignore[no-untyped-def]
    before = {entry.name for entry in read(judged.read(patch.parent, path) or "")}
    return [entry for entry in read(judged.read(patch.commit, path) or "") if entry.name not in before]


def read_options(text: str) -> list[OptionEntry]:
    """Return the options of qemu-options.hx: each ``DEF`` with its help strings and the SRST that follows."""
    entries = []
    for start in re.finditer(r'^DEF\(\s*"([^"]+)"', text, re.MULTILINE):
        after = text[start.end() :]
        code = re.split(r"^(?:SRST|DEF\()", after, maxsplit=1, flags=re.MULTILINE)[0]
        help_text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', code))
        # Aliases share the SRST that follows the last of their DEFs.
        entries.append(_entry(text, start, help_text, after))
    return entries


def read_commands(text: str) -> list[OptionEntry]:
    """Return the monitor commands of hmp-commands*.hx: ``.name`` with the SRST that follows its braces."""
    name = re.compile(r'^\s*\.name\s*=\s*"([^"|]+)', re.MULTILINE)
    return [
        _entry(text, start, "", name.split(text[start.end() :], maxsplit=1)[0])
        for start in name.finditer(text)
    ]


def _entry(text: str, start: re.Match[str], help_text: str, after: str) -> OptionEntry:
    return OptionEntry(
        name=start[1],
        line=text.count("\n", 0, start.start()) + 1,
        help=help_text,
        manual=after.partition("\nSRST")[2].partition("\nERST")[0],
    )
