"""Ask pip-audit about the pinned dependencies, and tell "nothing is known" from "nobody could be asked".

pip-audit ends with status 0 and "No known vulnerabilities found" also when its service knows none of the
packages, as a mirror without advisories makes it do: it then skips each with a reason (pip-audit's JSON
format, "skip_reason"). Here a package that was skipped is one that was not audited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import AuditError, HarnessError
from harness.jsonfile import UNREADABLE
from harness.process import run
from harness.progress import Reporter

LIMIT_S = 300.0
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """One known vulnerability. ``fixed`` are the versions that are said to have it no more."""

    package: str
    version: str
    name: str
    fixed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """``audited`` are packages that the service knows; ``skipped`` the others, with the reason."""

    audited: tuple[str, ...]
    skipped: dict[str, str]
    advisories: tuple[Advisory, ...]


class _Vulnerability(msgspec.Struct):
    id: str
    fix_versions: tuple[str, ...] = ()


class _Dependency(msgspec.Struct):
    name: str
    version: str = ""
    vulns: tuple[_Vulnerability, ...] = ()
    skip_reason: str | None = None


class _Answer(msgspec.Struct):
    dependencies: tuple[_Dependency, ...]


def parse_answer(text: str) -> Audit:
    """What pip-audit's JSON says. Raises msgspec.MsgspecError for other text."""
    answer = msgspec.json.decode(text, type=_Answer)
    return Audit(
        audited=tuple(one.name for one in answer.dependencies if one.skip_reason is None),
        skipped={one.name: one.skip_reason for one in answer.dependencies if one.skip_reason is not None},
        advisories=tuple(
            Advisory(package=one.name, version=one.version, name=found.id, fixed=found.fix_versions)
            for one in answer.dependencies
            for found in one.vulns
        ),
    )


def ask(program: Path, constraints: Path, names: tuple[str, ...], reporter: Reporter, *, log: Path) -> Audit:
    """What ``program`` (pip-audit) says of ``constraints``, whose packages are ``names``.

    An answer that does not come, for want of network or of a service, is no error: all is then skipped, with
    the reason. Raises MissingError: no such program.
    """
    words = ["--requirement", str(constraints), "--no-deps", "--disable-pip", "--progress-spinner=off"]
    with reporter.step("advisories of the pinned dependencies"):
        try:
            ended = run(
                [program, *words, "--format=json"],
                log=log,
                check=False,
                merge_stderr=False,
                timeout_s=LIMIT_S,
            )
        except HarnessError as error:
            if error.code != 13:  # what takes too long is a service that does not answer
                raise
            return Audit(audited=(), skipped=dict.fromkeys(names, error.cause), advisories=())
    try:
        return parse_answer(ended.output)
    except UNREADABLE:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = (
            f"pip-audit ended with status {ended.returncode}: {lines[-1] if lines else 'it says nothing'}"
        )
        return Audit(audited=(), skipped=dict.fromkeys(names, reason), advisories=())


def describe_audit(audit: Audit) -> tuple[str, ...]:
    """What was found, and what nobody knows, a line each."""
    lines = [f"{len(audit.audited)} pinned dependencies were audited: {len(audit.advisories)} advisories"]
    if audit.skipped:
        lines.append(
            f"{len(audit.skipped)} were NOT audited: nothing is known of them, good or bad. Asked were the"
            " services that pip-audit can reach from here:"
        )
        lines += [f"  {name}: {reason}" for name, reason in list(audit.skipped.items())[:SHOWN]]
        if len(audit.skipped) > SHOWN:
            lines.append(f"  … and {len(audit.skipped) - SHOWN} more")
    return tuple(lines)


def check_audit(audit: Audit) -> None:
    """Raise AuditError when there are advisories. What could not be audited is told, and is no error."""
    if audit.advisories:
        raise AuditError(
            f"{len(audit.advisories)} advisories about pinned dependencies",
            "update them: raise what pyproject.toml asks for where needed, then nox -s lock",
            details=tuple(
                f"{each.package} {each.version}: {each.name}, fixed in {' '.join(each.fixed) or 'none'}"
                for each in audit.advisories
            ),
        )
