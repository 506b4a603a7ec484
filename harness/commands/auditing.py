"""The command that checks the pinned dependencies for published advisories."""

from __future__ import annotations

from pathlib import Path

from harness.commands.request import Argument, Request, say


def audit(request: Request) -> int:
    """Check the pinned dependencies for published advisories with pip-audit, and list their licences."""
    from harness.audit import ask, check_audit, licences_document, pinned
    from harness.audit.advisories import describe_audit

    if request.arguments.licences:
        say(licences_document().rstrip())
        return 0
    constraints, log = request.layout.root / "constraints.txt", request.layout.logs / "audit.log"
    log.unlink(missing_ok=True)
    found = ask(
        request.arguments.pip_audit, constraints, tuple(pinned(constraints)), request.reporter, log=log
    )
    for line in describe_audit(found):
        say(line)
    say("licences: docs/licences.md")
    check_audit(found)
    return 0


AUDIT: tuple[Argument, ...] = (
    (
        ("--pip-audit",),
        {"type": Path, "default": Path("pip-audit"), "metavar": "PATH", "help": "path of pip-audit"},
    ),
    (
        ("--licences",),
        {"action": "store_true", "help": "print docs/licences.md and do not check for advisories"},
    ),
)
