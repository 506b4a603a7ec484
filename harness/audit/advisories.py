"""Run pip-audit on the pinned dependencies, and distinguish "no advisories" from "not audited".

pip-audit exits with status 0 and "No known vulnerabilities found" even if its service knows none of the
packages, such as a mirror without advisories. It then skips each package with a reason (pip-audit's JSON
format, "skip_reason"). The harness reports a skipped package as not audited.
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
    """One known vulnerability. ``fixed`` are the versions that contain a fix."""

    package: str
    version: str
    name: str
    fixed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """``audited`` are packages that the service knows; ``skipped`` are the others, with the reason."""

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
    """Parse the JSON of pip-audit. Raises msgspec.MsgspecError for other text."""
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
    """Run ``program`` (pip-audit) on ``constraints``, which pins the packages ``names``.

    A missing answer, without a network or a service, is not an error: all packages are then skipped, with the
    reason. Raises MissingError if there is no such program.
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
            if error.code != 13:  # a timeout means that the service does not answer
                raise
            return Audit(audited=(), skipped=dict.fromkeys(names, error.cause), advisories=())
    try:
        return parse_answer(ended.output)
    except UNREADABLE:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = f"pip-audit ended with status {ended.returncode}: {lines[-1] if lines else 'no output'}"
        return Audit(audited=(), skipped=dict.fromkeys(names, reason), advisories=())


def describe_audit(audit: Audit) -> tuple[str, ...]:
    """Describe the advisories and the packages that were not audited, one a line."""
    lines = [f"{len(audit.audited)} pinned dependencies were audited: {len(audit.advisories)} advisories"]
    if audit.skipped:
        lines.append(
            f"{len(audit.skipped)} were NOT audited: the services that pip-audit can reach from this machine"
            " have no information about them:"
        )
        lines += [f"  {name}: {reason}" for name, reason in list(audit.skipped.items())[:SHOWN]]
        if len(audit.skipped) > SHOWN:
            lines.append(f"  … and {len(audit.skipped) - SHOWN} more")
    return tuple(lines)


def check_audit(audit: Audit) -> None:
    """Raise AuditError if there are advisories. Packages that were not audited are not an error."""
    if audit.advisories:
        raise AuditError(
            f"{len(audit.advisories)} advisories about pinned dependencies",
            "update them: raise the versions in pyproject.toml if necessary, then run nox -s lock",
            details=tuple(
                f"{each.package} {each.version}: {each.name}, fixed in {' '.join(each.fixed) or 'none'}"
                for each in audit.advisories
            ),
        )
