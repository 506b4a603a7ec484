"""What ``nox -s validate`` found for exactly these bytes, or what to run first.

A series may be prepared when nothing but a person's own part is missing. That part is what SIGNING lists:
the sign-off, and origins that the policy declines. Both make the result "not ready to send"; any other error
means that the patches themselves have to change first.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from harness.check.model import Finding, ValidateResults
from harness.errors import SubmitError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.process import shell_quote
from harness.tree import Tree
from harness.validate import validate_file

SIGNING = ("dco-missing", "provenance-generated")
"""Rules whose errors leave a series fit for being prepared, though not for being sent."""


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A fresh, complete result. ``unsigned`` are its errors that only a person can mend."""

    results: ValidateResults
    unsigned: tuple[Finding, ...]

    @property
    def built(self) -> bool:
        """Whether every commit was built."""
        built = {one.patch for one in self.results.builds if one.outcome == "ok"}
        return {one.number for one in self.results.series.patches} <= built

    def stage(self, name: str) -> str:
        """Outcome of a part of the run: ok, findings, infrastructure or not run."""
        return next((one.outcome for one in self.results.stages if one.name == name), "not run")

    def findings(self, *rules: str) -> tuple[Finding, ...]:
        """The findings of ``rules``."""
        return tuple(one for one in self.results.findings if one.rule in rules)


def read_validated(layout: Layout, name: str, sha256: str, pin: str) -> Validated:
    """The result for the series ``name`` with those bytes on ``pin``.

    Raises SubmitError that says what to run: there is none, it is about other bytes or another tree, it was
    stopped, or it has errors.
    """
    path = validate_file(layout)
    again = "nox -s validate -- " + shell_quote([f"-Dseries={name}", f"-Dpin={pin}"])
    try:
        results = msgspec.json.decode(path.read_bytes(), type=ValidateResults)
    except FileNotFoundError:
        raise SubmitError("the series has not been validated", f"run: {again}") from None
    except (OSError, *UNREADABLE) as error:
        raise SubmitError(f"{path} cannot be read: {error}", f"run: {again}") from error
    if results.series.sha256 != sha256:
        raise SubmitError(
            f"{path.name} is about other bytes: {results.series.name}, sha256 {results.series.sha256[:12]}; "
            f"{name} has {sha256[:12]}",
            f"run: {again}",
        )
    if results.pin != pin:
        raise SubmitError(f"{path.name} is about another pin: {results.pin}", f"run: {again}")
    if not results.complete:
        raise SubmitError("the validation was stopped before its end", f"run: {again}")
    if results.options.get("patches"):
        raise SubmitError("the validation was of single patches", f"run: {again}")
    errors = [one for one in results.findings if one.severity == "error"]
    grave = [one for one in errors if one.rule not in SIGNING]
    if grave or results.verdict not in ("clean", "findings"):
        raise SubmitError(
            f"the validation is not clean: {len(grave)} errors, verdict {results.verdict}",
            f"mend what it found, then: {again}",
            details=tuple(f"patch {one.patch}: {one.rule}: {one.message}" for one in grave[:10]),
        )
    return Validated(results=results, unsigned=tuple(errors))


def check_base(validated: Validated, tree: Tree) -> None:
    """Raise SubmitError when what was validated lay on another commit than ``tree`` has now."""
    results = validated.results
    if results.base_commit not in (tree.base, tree.pristine):
        raise SubmitError(
            f"the series was validated on {results.base_commit[:12]}, which is neither base nor pristine of "
            f"{tree.name} any more",
            f"run: {results.command}",
        )


def tell_validated(layout: Layout, name: str, sha256: str, pin: str) -> str:
    """One line on whether these bytes are validated."""
    try:
        results = read_validated(layout, name, sha256, pin).results
    except SubmitError as error:
        return f"not to be submitted yet: {error.cause}; {error.remedy}"
    return f"validated as it is, on {results.finished[:16]}: {results.verdict}"
