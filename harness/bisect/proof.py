"""Whether the tests that a series adds or changes prove it: they fail on the base and pass with the series.

The base gets the test files of the series and nothing else. A test that passes there passes without the rest
of the series, so it shows nothing about it.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.bisect.choosing import NONE, is_test_file
from harness.bisect.diagnostics import read_diagnostics, read_lines
from harness.bisect.qtests import BAD, build_tests
from harness.bisect.suites import QemuTest, list_tests
from harness.bisect.testing import changed_by, run_ready
from harness.bisect.walk import Walk
from harness.build import Build
from harness.check import Finding, Judged, JudgedPatch, TestProof, TestRow
from harness.check.building import PROVES_NOTHING
from harness.errors import CompileError, ConfigureError, TimeoutExpiredError

_CLAIM = re.compile(
    r"\bregression test|\btests? (?:for|of|that covers?) (?:the|this|that) (?:fix|bug|regression|crash|issue)"
    r"|\btests? (?:the|this|that) (?:fix|bug|regression|crash|issue)"
    r"|\b(?:reproduc(?:e[rs]?|es|ing)|verif(?:y|ies)|exercises?|covers?|checks?) "
    r"(?:\w+ )?(?:the|this|that) (?:previous |last |above )?(?:fix|bug|regression|crash|issue)"
    r"|\bfail(?:s|ed)? (?:without|before)\b|\bwithout (?:the|this) (?:fix|patch|change)"
    r"|^(?:Fixes|Resolves|Closes): \S",
    re.IGNORECASE | re.MULTILINE,
)
"""Claims in the message of a test that proves a fix, or of a patch that is one."""


@dataclass(frozen=True, kw_only=True)
class OnBase:
    """The changed tests on the base with the test files of the series.

    ``unbuilt`` are tests that cannot be built there, with the first error; ``error`` is that of all tests.
    """

    rows: dict[str, TestRow] = field(default_factory=dict)
    unbuilt: dict[str, str] = field(default_factory=dict)
    error: str = ""


def run_on_base(walk: Walk, attempt: Callable[[str], Build]) -> OnBase | None:
    """Run the changed tests on the base with only the test files of the series; None if there are none.

    ``attempt`` checks a commit out and builds it.
    """
    files = [path for path in sorted(changed_by(walk.judged)) if is_test_file(path)]
    if not files or walk.options.qemu_tests == (NONE,) or walk.options.patches or not walk.judged.applies:
        return None
    with walk.reporter.step("running the tests of the series on the base") as step:
        try:
            built = attempt(with_test_files(walk.judged, files))
        except (CompileError, ConfigureError, TimeoutExpiredError) as error:
            return OnBase(error=_first_error(error.log, (), error.cause))
        chosen = changed_tests(list_tests(built, walk.sandbox), files)
        if not chosen:
            return OnBase()
        log = walk.log(0, "proof")
        log.unlink(missing_ok=True)
        build_tests(built, chosen, walk.sandbox, log, step)
        rows = {row.name: row for row in run_ready(walk, 0, built, chosen, log=log, step=step)}
        missing = [test for test in chosen if test.name not in rows]
        return OnBase(rows=rows, unbuilt={test.name: _first_error(log, test.sources) for test in missing})


def with_test_files(judged: Judged, files: Sequence[str]) -> str:
    """Return a commit: the base with ``files`` as they are at the end of the series. Raises TreeError."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        judged.git.run("read-tree", judged.base, env=env)
        listed = judged.git.read("ls-tree", "-z", judged.tip, *files)
        entries = [entry for entry in listed.split("\0") if entry]
        gone = set(files) - {entry.partition("\t")[2] for entry in entries}
        entries += [f"0 {'0' * len(judged.base)}\t{path}" for path in sorted(gone)]
        text = "".join(f"{entry}\0" for entry in entries)
        judged.git.run("update-index", "-z", "--index-info", env=env, stdin=text.encode())
        tree = judged.git.read("write-tree", env=env)
    commit = judged.git.read("commit-tree", tree, "-p", judged.base, stdin=b"test files of the series\n")
    judged.git.run("update-ref", f"refs/harness/proof/{commit[:12]}", commit)  # else a checkout saves it
    return commit


def changed_tests(tests: Iterable[QemuTest], files: Collection[str]) -> tuple[QemuTest, ...]:
    """Return the tests that consist of one of ``files`` that no other test uses.

    Tests of the same files, such as one qtest for several targets, count as the same test.
    """
    listed = tuple(tests)
    users: dict[str, set[tuple[str, ...]]] = {
        path: {test.sources for test in listed if test.owns(path)} for path in files
    }
    own = {path for path, sources in users.items() if len(sources) == 1}
    return tuple(test for test in listed if any(test.owns(path) for path in own))


def conclude(walk: Walk, on_base: OnBase | None) -> tuple[tuple[TestProof, ...], tuple[Finding, ...]]:
    """Compare the results on the base with those of the last commit. Return proofs and findings."""
    if on_base is None:
        return (), ()
    last = walk.rows[-1].patch
    after = {row.name: row for row in walk.tests if row.patch == last}
    before = {row.name: row for row in walk.tests if row.patch == 0}
    files = [path for path in sorted(changed_by(walk.judged)) if is_test_file(path)]
    only = "" if changed_by(walk.judged) - set(files) else " (it changes nothing else)"
    proofs, findings = [], []
    for test in changed_tests(walk.listed, files):
        if test.name not in after:
            continue
        patch = _patch_of(test, walk.judged, files)
        proof = _compare(test, patch.number, on_base, before.get(test.name), after[test.name])
        proofs.append(proof)
        if proof.outcome == "passes on the base":
            claims = _CLAIM.search(patch.mail.message) is not None
            findings.append(
                PROVES_NOTHING.finding(
                    f"{test.name} passes on the base with the test files of the series alone{only}"
                    + (", and the message claims to test the fix" if claims else ""),
                    patch=patch.number,
                    file=next(path for path in files if test.owns(path)),
                    severity="warning" if claims else None,
                )
            )
    return tuple(proofs), tuple(findings)


def _compare(
    test: QemuTest, patch: int, on_base: OnBase, before: TestRow | None, after: TestRow
) -> TestProof:
    row = on_base.rows.get(test.name)
    known = _failures(before)
    if on_base.error or test.name in on_base.unbuilt:
        outcome, reason = "not built on the base", on_base.error or on_base.unbuilt[test.name]
    elif "" not in known and _failures(after) - known:
        outcome, reason = "fails with the series", after.reason
    elif after.outcome not in ("ok", *BAD):
        outcome, reason = "skipped", after.reason
    elif row is None:
        outcome, reason = "skipped", "it is not in the base"
    elif row.outcome == "ok":
        outcome, reason = "passes on the base", ""
    elif row.outcome not in BAD:
        outcome, reason = "skipped", row.reason
    elif known and ("" in known | _failures(row) or not _failures(row) - known):
        outcome, reason = "fails on the base already", row.reason
    else:
        outcome, reason = "proves", row.reason
    return TestProof(test=test.name, suite=test.suite, patch=patch, outcome=outcome, reason=reason)  # type: ignore[arg-type]


def _failures(row: TestRow | None) -> frozenset[str]:
    """Return the parts that failed; an empty name stands for the test as a whole."""
    if row is None or row.outcome not in BAD:
        return frozenset()
    return frozenset(row.failed_parts if row.outcome == "failed" and row.failed_parts else [""])


def _patch_of(test: QemuTest, judged: Judged, files: Collection[str]) -> JudgedPatch:
    """Return the last patch that changes the test, which owns one of ``files``, those of the series."""
    return next(
        patch
        for patch in reversed(judged.patches)
        if any(test.owns(path) for change in patch.changes for path in change.paths if path in files)
    )


def _first_error(
    log: Path | None, sources: Collection[str], otherwise: str = "the program was not built"
) -> str:
    """Return the first error of a compiler, linker or meson in ``log``, in one of ``sources`` if possible."""
    lines = read_lines(log) if log else []
    found = read_diagnostics(lines)
    errors = [one for one in found if not one.is_warning] or [one for one in found if one.file in sources]
    own = [one for one in errors if one.file in sources] or errors
    if own:
        return f"{own[0].file}:{own[0].line}: {own[0].text}"
    marks = re.compile(r"undefined reference|\bERROR\b|error: |FAILED: ")
    marked = [line.strip() for line in lines if marks.search(line)]
    best = [line for line in marked if not line.startswith(("FAILED: ", "collect2"))] or marked
    return (best[0] if best else otherwise)[:300]
