"""Results as people read them, in lines for a terminal and a mail.

A finding that each patch of a series has is listed once, for the series.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from harness.bisect.qtests import UNSTEADY
from harness.check import CommitBuild, Finding, StageRow, TestRow, ValidatedPatch, ValidateResults
from harness.check.model import SEVERITIES
from harness.figures import shown


def gathered(results: ValidateResults) -> tuple[Finding, ...]:
    """Return the findings of ``results``; those that all judged patches have become one of the series."""
    only = {int(number) for number in results.options.get("patches", ())}
    judged = only or {patch.number for patch in results.series.patches}
    same: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for finding in results.findings:
        if finding.patch:
            same[_key(finding)].append(finding)
    shared = {
        key: found
        for key, found in same.items()
        if len(judged) > 1 and {finding.patch for finding in found} == judged
    }
    once = [_for_all(found) for found in shared.values()]
    rest = [finding for finding in results.findings if not (finding.patch and _key(finding) in shared)]
    series = sorted(
        [*(one for one in rest if not one.patch), *once], key=lambda one: SEVERITIES.index(one.severity)
    )
    return (*series, *(finding for finding in rest if finding.patch))


def base_words(results: ValidateResults) -> str:
    """Return what the series was applied to, for people: a pin, or a commit of -Dsource=."""
    if not results.options.get("source"):
        return f"{results.base} of pin {results.pin}"
    return f"commit {results.base_commit[:12]}" if results.base_commit else results.pin


def pin_words(results: ValidateResults, pin: str) -> str:
    """Return the name of a release; ``base`` for the tree of -Dsource=, whose name is that of a folder."""
    return "base" if pin == results.pin and results.options.get("source") else pin


def patch_words(finding: Finding) -> str:
    """Return what the finding is about: ``patch 3``, or ``series``."""
    return f"patch {finding.patch}" if finding.patch else "series"


def place_words(finding: Finding) -> str:
    """Return the place of the finding: ``file:line``, ``file``, or an empty string."""
    return f"{finding.file}:{finding.line}" if finding.file and finding.line else finding.file


def told(finding: Finding) -> str:
    """Return the finding in one line, with its remedy."""
    return f"{patch_words(finding)}: {finding.message}. {finding.remedy}"


def patch_of(results: ValidateResults, number: int) -> ValidatedPatch | None:
    """Return the patch at ``number``; None for the whole series."""
    return next((one for one in results.series.patches if one.number == number), None)


def stages_not_run(results: ValidateResults) -> Iterator[StageRow]:
    """Yield the stages that were left out, or that ended because of a fault outside the series."""
    return (stage for stage in results.stages if stage.outcome in ("not run", "infrastructure"))


def causes_of(results: ValidateResults) -> Iterator[str]:
    """Return the reasons why the series could not be judged completely."""
    rows: tuple[StageRow | CommitBuild | TestRow, ...] = (*results.stages, *results.builds, *results.tests)
    return filter(None, (row.reason for row in rows if row.outcome == "infrastructure"))


def why_not_built(results: ValidateResults) -> str:
    """Return why nothing was compiled or tested, as far as a stage records it."""
    return next((stage.reason for stage in stages_not_run(results) if stage.name == "build"), "")


def skipped_lines(results: ValidateResults) -> Iterator[str]:
    """Yield a line for each test that was not run to its end on the last commit, with the reason."""
    built = [row.patch for row in results.builds if row.outcome == "ok" and row.host == "native"]
    by_name: dict[str, list[TestRow]] = defaultdict(list)
    for row in results.tests:
        by_name[row.name].append(row)
    for name, rows in by_name.items():
        ran = max((row.patch for row in rows if has_run(row)), default=None)
        end = rows[-1]
        before = "" if ran is None else f" after patch {ran}" if ran else " after the base"
        if end.outcome == "skipped":
            reason = end.reason.removeprefix("skipped: ") or "it gives no reason"
            yield f"test {name} skipped{before}: {reason}"
        elif before and end.patch < max(built, default=0):
            yield f"test {name} was not run{before}: no later commit has it with its program"


def unsteady_lines(results: ValidateResults) -> Iterator[str]:
    """Yield a line for each test that passed only at its second attempt, with the first commit."""
    seen: set[str] = set()
    for row in results.tests:
        if row.outcome == "ok" and row.reason.startswith(UNSTEADY) and row.name not in seen:
            seen.add(row.name)
            yield f"test {row.name} {row.reason}, on {f'patch {row.patch}' if row.patch else 'the base'}"


def has_run(row: TestRow) -> bool:
    """Return whether the test ran to its end, or too long."""
    return row.outcome not in ("skipped", "infrastructure")


def none_run(results: ValidateResults) -> str:
    """Return a sentence if commits were built and none of QEMU's own tests ran; else nothing."""
    is_built = any(row.patch and row.outcome == "ok" for row in results.builds)
    ran = any(row.patch and has_run(row) for row in results.tests)
    return "none of QEMU's own tests was run on the series" if is_built and not ran else ""


def base_failures(results: ValidateResults) -> str:
    """Return a line about the tests that fail on the base too; empty if there are none."""
    failing = sorted(
        row.name + (f" ({shown(row.failed_parts, 6)})" if row.failed_parts else "")
        for row in results.tests
        if row.patch == 0 and row.outcome in ("failed", "timeout")
    )
    return f"tests that fail on the base too do not count: {', '.join(failing)}" if failing else ""


def proof_lines(results: ValidateResults) -> Iterator[str]:
    """Yield a line for each test that the series adds or changes: what it shows of the series."""
    words = {"proves": "fails on the base, passes with the series"}
    for proof in results.proofs:
        reason = f" ({proof.reason})" if proof.reason else ""
        patch = f" of patch {proof.patch}" if proof.patch else ""
        yield f"test {proof.test}{patch}: {words.get(proof.outcome, proof.outcome)}{reason}"


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.severity, finding.message, finding.remedy, finding.file


def _for_all(found: Sequence[Finding]) -> Finding:
    patches = len({finding.patch for finding in found})
    message = f"each of the {patches} patches: {found[0].message}"
    return msgspec.structs.replace(found[0], patch=0, message=message, line=0, snippet=(), count=1)
