"""Read the result of ``nox -s validate`` for exactly the current bytes of a series.

Errors of the rules in SIGNING (a missing sign-off, an origin that the policy declines) concern only a person.
With these alone, a series can be prepared, but is not ready to send. Any other error means that the patches
themselves have to change first.
"""

from dataclasses import dataclass

import msgspec

from harness.check.model import Finding, ValidateResults
from harness.errors import SubmitError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.process import shell_quote
from harness.tree import Tree
from harness.tree.git import Git
from harness.validate.run import validate_file

SIGNING = ("dco-missing", "provenance-generated")
"""Rules whose errors permit preparing a series, but not sending it."""


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A current, complete result. ``unsigned`` lists its errors that only a person can resolve."""

    results: ValidateResults
    unsigned: tuple[Finding, ...]

    @property
    def built(self) -> bool:
        """Whether every commit was built."""
        built = {one.patch for one in self.results.builds if one.outcome == "ok"}
        return {one.number for one in self.results.series.patches} <= built

    def stage(self, name: str) -> str:
        """Return the outcome of a stage of the run: ok, findings, infrastructure or not run."""
        return next((one.outcome for one in self.results.stages if one.name == name), "not run")

    def findings(self, *rules: str) -> tuple[Finding, ...]:
        """Return the findings of ``rules``."""
        return tuple(one for one in self.results.findings if one.rule in rules)


def read_validated(layout: Layout, name: str, sha256: str, pin: str, *, source: str = "") -> Validated:
    """Return the result for the series ``name`` with the digest ``sha256`` on ``pin``.

    With -Dsource=, its value is ``source``, and ``pin`` is the name of the tree.

    Raises SubmitError, with the command to run, if there is no result, if it is for other bytes or another
    pin, if it is incomplete, or if it has errors.
    """
    path = validate_file(layout)
    where = f"-Dsource={source}" if source else f"-Dpin={pin}"
    command = "nox -s validate -- " + shell_quote([f"-Dseries={name}", where])
    again = f"run `{command}`"
    try:
        results = msgspec.json.decode(path.read_bytes(), type=ValidateResults)
    except FileNotFoundError:
        raise SubmitError("the series has not been validated", again) from None
    except (OSError, *UNREADABLE) as error:
        raise SubmitError(f"cannot read {path}: {error}", again) from error
    if results.series.sha256 != sha256:
        raise SubmitError(
            f"{path.name} is for other bytes: {_line(results.series.name)}, sha256 "
            f"{_line(results.series.sha256)[:12]}; "
            f"{name} has {sha256[:12]}",
            again,
        )
    if results.pin != pin:
        raise SubmitError(
            f"{path.name} is for another {'tree' if source else 'pin'}: {_line(results.pin)}", again
        )
    if not results.complete:
        raise SubmitError("the validation did not complete", again)
    if results.options.get("patches"):
        raise SubmitError("the validation covered only some patches", again)
    errors = [one for one in results.findings if one.severity == "error"]
    grave = [one for one in errors if one.rule not in SIGNING]
    if grave or results.verdict not in ("clean", "findings"):
        raise SubmitError(
            f"the validation is not clean: {len(grave)} errors, verdict {_line(results.verdict)}",
            f"fix the errors, then {again}",
            details=tuple(f"patch {one.patch}: {one.rule}: {one.message}" for one in grave[:10]),
        )
    return Validated(results=results, unsigned=tuple(errors))


def _line(text: str) -> str:
    """Return a text of the file, which others may have written, as one line."""
    return " ".join(text.split())


def check_base(validated: Validated, tree: Tree) -> None:
    """Raise SubmitError if the series was validated on a commit that ``tree`` no longer has."""
    results = validated.results
    git = Git(repository=tree.path)
    states = (tree.pristine, *(git.find("refs/tags/base^{commit}") or ()))
    is_stated = results.base == "series" and git.find(f"{results.base_commit}^{{tree}}") is not None
    if results.base_commit not in states and not is_stated:
        raise SubmitError(
            f"the series was validated on {results.base_commit[:12]}, which is neither base nor pristine of "
            f"the current tree {tree.name}",
            f"run `{results.command}`",
        )


def validation_summary(layout: Layout, name: str, sha256: str, pin: str, source: str = "") -> str:
    """Return one line: the verdict of the validation of these bytes, or why there is none."""
    try:
        results = read_validated(layout, name, sha256, pin, source=source).results
    except SubmitError as error:
        return f"cannot be submitted: {error.cause}; {error.remedy}"
    return f"validated on {results.finished[:16]}: {results.verdict}"
