"""Audit stage: the pinned dependencies → published advisories about them, and their licences.

Takes: constraints.txt, the installed metadata, the program pip-audit. Gives: an Audit; docs/licences.md.
"""

from harness.audit.advisories import Advisory, Audit, ask, check_audit
from harness.audit.licences import licences_document, pinned

__all__ = ["Advisory", "Audit", "ask", "check_audit", "licences_document", "pinned"]
