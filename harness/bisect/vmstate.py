"""The state of devices in the migration stream: that of each commit compared with that of the base.

QEMU prints the state of every device that a binary contains (``-dump-vmstate``), and a script of its tree
compares two such files. A field that is removed breaks migration although every test passes, unless a test
migrates that very device. Source: qemu(1), ``-dump-vmstate``; scripts/vmstate-static-checker.py.
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.build import Build
from harness.build.plan import binary_name
from harness.check import Finding
from harness.check.building import VMSTATE, VMSTATE_BACK
from harness.check.model import Rule, Severity
from harness.process import run
from harness.sandbox import Sandbox

SCRIPT = "scripts/vmstate-static-checker.py"
LIMIT_S = 120.0
MOST = 8
"""Messages about one commit, binary and direction."""
_SECTION = re.compile(r'^Section "([^"]*)"[,:]? (.*)$')
_ABSENT = "does not exist in dest"
_DESCRIPTION = re.compile(r'Description "[^"]*"')
_EXPECTED = re.compile(r'(Description "([^"]*)"): expected field "([^"]*)"')


@dataclass(kw_only=True)
class Streams:
    """What was found so far. ``checker`` is the text of the base's script; empty if it has none."""

    checker: str
    own: dict[str, set[str]] = field(default_factory=dict)
    """Target → messages about the base and itself: the script misreads fields whose name occurs twice."""
    base: dict[str, bytes] = field(default_factory=dict)
    """Target → what the base prints. A commit that changes configure empties the build folder."""
    known: set[tuple[str, str, str]] = field(default_factory=set)
    """Target, direction and message of what earlier commits have."""

    def compare(
        self, build: Build, targets: Iterable[str], number: int, sandbox: Sandbox, log: Path
    ) -> list[Finding]:
        """Dump the state of each of ``targets``; return the differences that commit ``number`` introduces.

        The files are in the build folder. Raises TimeoutExpiredError.
        """
        folder = Path(build.folder)
        findings: list[Finding] = []
        for target in targets if self.checker else ():
            base, now = (folder / f"vmstate-{target}-{name}.json" for name in ("base", "commit"))
            if target.endswith("-linux-user") or (number and target not in self.own):
                continue
            problem = _dump(folder, binary_name(target), base if number == 0 else now, sandbox, log)
            if number == 0 and not problem:
                self.base[target] = base.read_bytes()
                self.own[target] = {text for _, text in self._messages(base, base, sandbox)}
            elif number and problem:
                text = f"{binary_name(target)} cannot print the state of its devices: {problem}"
                findings += [VMSTATE.finding(one, patch=number) for one in self._new(target, "", [text])]
            elif number and now.read_bytes() != self.base[target]:
                base.write_bytes(self.base[target])
                findings += self._differences(target, base, now, number, sandbox)
        return findings

    def _differences(
        self, target: str, base: Path, now: Path, number: int, sandbox: Sandbox
    ) -> list[Finding]:
        own = self.own[target]
        forth = [one for one in self._messages(base, now, sandbox) if one[1] not in own]
        back = [one for one in self._messages(now, base, sandbox) if one[1] not in own]
        forth += _added(forth, back, json.loads(now.read_bytes()))
        broken = _descriptions(text for _, text in forth)
        # What breaks one direction often breaks the other too, and new devices concern no guest of the base.
        back = [
            (section, text)
            for section, text in back
            if text != _ABSENT and not _descriptions([text]) & broken
        ]
        gone = [f'device "{section}" is removed' for section, text in forth if text == _ABSENT]
        found: list[tuple[Rule, Severity | None, list[tuple[str, str]]]] = [
            (VMSTATE, None, [one for one in forth if one[1] != _ABSENT]),
            (VMSTATE_BACK, None, back),
            (VMSTATE, "note", [("", text) for text in gone]),
        ]
        return [
            rule.finding(text, patch=number, severity=severity)
            for rule, severity, messages in found
            for text in _named(messages, self._new(target, rule.id, dict.fromkeys(t for _, t in messages)))
        ]

    def _messages(self, source: Path, dest: Path, sandbox: Sandbox) -> list[tuple[str, str]]:
        """Return section and text of each message about migration from ``source`` to ``dest``."""
        script = source.parent / Path(SCRIPT).name
        script.write_text(self.checker, encoding="utf-8")
        argv = [str(word) for word in (sys.executable, "-I", script, "-s", source, "-d", dest)]
        ended = run(sandbox.wrap(argv, source.parent), cwd=source.parent, check=False, timeout_s=LIMIT_S)
        lines = ended.output.splitlines()
        found = [(match[1], match[2]) for line in lines if (match := _SECTION.match(line))]
        if ended.returncode and not found:
            return [("", f"{script.name} cannot compare the state of devices: {''.join(lines[-1:])}")]
        return found

    def _new(self, target: str, rule: str, messages: Iterable[str]) -> list[str]:
        found = [one for one in messages if (target, rule, one) not in self.known]
        self.known |= {(target, rule, one) for one in found}
        return found[:MOST]


def _descriptions(texts: Iterable[str]) -> set[str]:
    return {match[0] for text in texts if (match := _DESCRIPTION.search(text))}


def _added(
    forth: Iterable[tuple[str, str]], back: Iterable[tuple[str, str]], state: Any
) -> list[tuple[str, str]]:
    """Return a message for each field that is read from every stream, also from one of the base.

    ``back`` are the messages about migration to the base. The script ignores further fields of the reader.
    """
    raised = _descriptions(text for _, text in back if "version error" in text)
    known = raised | _descriptions(text for _, text in forth)
    return [
        (section, f'{match[1]}: field "{match[3]}" is new, without a higher version_id')
        for section, text in back
        if (match := _EXPECTED.match(text))
        and match[1] not in known
        and not _is_conditional(state, match[2], match[3])
    ]


def _is_conditional(state: Any, description: str, name: str) -> bool:
    """Whether a function decides about the field ``name`` of ``description`` (VMSTATE_*_TEST)."""
    if isinstance(state, list):
        return any(_is_conditional(one, description, name) for one in state)
    if not isinstance(state, dict):
        return False
    fields = state.get("Fields", ()) if state.get("name") == description else ()
    return any(one["field"] == name and one.get("field_exists") for one in fields) or any(
        _is_conditional(one, description, name) for one in state.values()
    )


def _named(messages: Iterable[tuple[str, str]], new: Iterable[str]) -> list[str]:
    """Return each of the ``new`` messages with the first of its sections, and how many others it has."""
    sections: dict[str, list[str]] = {}
    for section, text in messages:
        sections.setdefault(text, []).append(section)
    shown = []
    for text in new:
        first, *others = dict.fromkeys(sections[text])
        more = f" and {len(others)} others" if others else ""
        shown.append(f'section "{first}"{more}: {text}' if first else text)
    return shown


def _dump(folder: Path, binary: str, path: Path, sandbox: Sandbox, log: Path) -> str:
    """Write the state of all devices of ``binary`` to ``path``; return why that failed, else nothing."""
    path.unlink(missing_ok=True)
    ended = run(
        sandbox.wrap((str(folder / binary), "-M", "none", "-dump-vmstate", str(path)), folder),
        cwd=folder,
        log=log,
        check=False,
        timeout_s=LIMIT_S,
    )
    if ended.returncode == 0 and path.exists():
        return ""
    return (ended.output.strip().splitlines() or [f"status {ended.returncode}"])[-1]
