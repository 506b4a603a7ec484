"""Run QEMU's own tests on each commit, and attribute a failure to the commit that introduces it."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from harness.bisect.assets import provide_assets
from harness.bisect.choosing import NONE, choose_tests, touches_block
from harness.bisect.diagnostics import (
    FAILED,
    Diagnostic,
    failure,
    read_diagnostics,
    read_failures,
    read_lines,
)
from harness.bisect.firmware import add_firmware
from harness.bisect.migration import keep_binaries, migration_tests, run_between
from harness.bisect.qtests import UNSTEADY, build_tests, new_failures, run_tests
from harness.bisect.suites import IOTESTS, QemuTest, list_tests, suites_of
from harness.bisect.walk import Walk, commit_words
from harness.build import Build
from harness.build.graph import read_graph
from harness.build.plan import Extra
from harness.build.tools import job_count
from harness.check import Judged, TestRow
from harness.check.building import FAILS, TEST
from harness.check.subject import snippet
from harness.errors import InfrastructureError
from harness.figures import shown
from harness.options import Options
from harness.progress import Step

TOOLS = "--enable-tools"
STARTS_QEMU = ("qtest", "func", "block")
"""First letters of the suites whose tests start QEMU, which needs firmware."""


def run_suites(walk: Walk, number: int, built: Build) -> tuple[str, ...]:
    """Choose, build and run the tests of one commit; new failures become findings of ``walk``.

    Returns the programs that were to be built.
    """
    if walk.options.qemu_tests == (NONE,):
        return ()
    chosen = choose(walk, built)
    if not chosen:
        return ()
    with walk.reporter.step(f"tests of {commit_words(number)}") as step:
        _run_chosen(walk, number, built, chosen, step)
    return tuple(program for test in chosen for program in test.programs)


def _run_chosen(walk: Walk, number: int, built: Build, chosen: Sequence[QemuTest], step: Step) -> None:
    log = walk.log(number, "tests")
    log.unlink(missing_ok=True)
    ended = build_tests(built, chosen, walk.sandbox, log, step)
    if ended.returncode != 0 and number == 0:
        raise InfrastructureError("the tests of the base do not compile", "read the log", log=log)
    diagnostics = read_diagnostics(read_lines(log))
    walk.warn(number, diagnostics)
    if ended.returncode != 0:
        found = (*diagnostics, *read_failures(read_lines(log)))
        _test_build_failed(walk, number, found, ended.output.splitlines()[-8:])
    rows = run_ready(walk, number, built, chosen, log=log, step=step)
    rows += _between(walk, number, built, chosen, rows, log, step)
    walk.tests += rows
    _attribute(walk, number, rows)


def _between(  # noqa: PLR0917 - one commit and its results
    walk: Walk,
    number: int,
    built: Build,
    chosen: Sequence[QemuTest],
    rows: Iterable[TestRow],
    log: Path,
    step: Step,
) -> tuple[TestRow, ...]:
    """Test migration between base and last commit, if the migration tests were chosen and pass on both."""
    good = {row.name for row in rows if row.outcome == "ok"}
    folder = Path(built.folder)
    tests = [test for test in migration_tests(chosen, reader(built)) if test.name in good]
    if number == 0:
        keep_binaries(tests, folder)
    if built.commit != walk.judged.tip:
        return ()
    passed = {row.name for row in walk.tests if row.patch == 0 and row.outcome == "ok"}
    return tuple(
        run_between(
            [test for test in tests if test.name in passed],
            folder,
            lambda some, env: run_tests(
                built, some, walk.sandbox, patch=number, log=log, processes=1, step=step, env=env
            ),
        )
    )


def with_tools(judged: Judged, options: Options, extra: Extra) -> Extra:
    """Return ``extra`` with QEMU's tools, which iotests need, if the series changes block code or iotests."""
    changed = changed_by(judged)
    block = touches_block(changed, judged.read(judged.base, "MAINTAINERS") or "")
    iotests = block or any(path.startswith(f"{IOTESTS}/") for path in changed)
    if options.qemu_tests == (NONE,) or not iotests or TOOLS in extra.switches:
        return extra
    return dataclasses.replace(extra, switches=(*extra.switches, TOOLS))


def choose(walk: Walk, built: Build) -> tuple[QemuTest, ...]:
    """Return the tests of a build that the options and the series select. Raises OptionError."""
    walk.listed = list_tests(built, walk.sandbox)
    return choose_tests(walk.listed, changed_by(walk.judged), walk.options.qemu_tests, reader(built))


def changed_by(judged: Judged) -> frozenset[str]:
    """Return the paths that the series changes."""
    return frozenset(path for patch in judged.patches for change in patch.changes for path in change.paths)


def reader(built: Build) -> Callable[[str], str]:
    """Return a function that returns the text of a file of the sources of a build, empty if there is none."""

    @functools.cache
    def read(path: str) -> str:
        return "\n".join(read_lines(Path(built.source) / path))

    return read


def run_ready(
    walk: Walk, number: int, built: Build, chosen: Sequence[QemuTest], *, log: Path, step: Step
) -> tuple[TestRow, ...]:
    """Run those of ``chosen`` whose programs were built, with the assets that they need.

    ``log`` is that of their build. A program of an earlier commit may still be there, and does not count.
    """
    folder = Path(built.folder)
    failed = {match[1] for line in read_lines(log) if (match := FAILED.match(line))}
    graph = read_graph(folder) if failed else None
    ready = [
        test
        for test in chosen
        if all((folder / name).exists() for name in test.programs)
        and (graph is None or not graph.reach(test.programs) & failed)
    ]
    if any(name.startswith(STARTS_QEMU) for name in suites_of(ready)):
        add_firmware(built, walk.layout, walk.reporter)
    assets = provide_assets(
        ready,
        folder,
        walk.layout,
        walk.reporter,
        read=reader(built),
        read_base=lambda path: walk.judged.read(walk.judged.base, path) or "",
    )
    rows = run_tests(
        built,
        ready,
        walk.sandbox,
        patch=number,
        log=log,
        processes=job_count(walk.options.jobs),
        step=step,
        env=assets.env,
        known=walk.broken,
    )
    return tuple(
        msgspec.structs.replace(row, outcome="skipped", reason=assets.missing[row.name])
        if row.outcome != "ok" and row.name in assets.missing
        else row
        for row in rows
    )


def _test_build_failed(
    walk: Walk, number: int, diagnostics: Iterable[Diagnostic], last: Sequence[str]
) -> None:
    errors = [one for one in diagnostics if not one.is_warning]
    errors = errors or [failure("the test programs cannot be built")]
    fresh = [one for one in errors if one.key not in walk.seen]
    for one in fresh[:5]:
        walk.findings.append(
            FAILS.finding(
                f"{one.text} (tests)",
                patch=number,
                file=one.file,
                line=one.line,
                snippet=() if one.file else tuple(last),
            )
        )
    walk.seen |= {one.key for one in fresh}


def _attribute(walk: Walk, number: int, rows: Sequence[TestRow]) -> None:
    """Attribute each failure to the first commit that has it, unless the base has it."""
    for row in rows:
        failures = new_failures(row, walk.broken)
        walk.broken |= dict.fromkeys(failures, number)
        if not number and row.reason.startswith(UNSTEADY):
            walk.unsteady.add(row.name)
        if failures and number:
            words = "takes too long" if row.outcome == "timeout" else "fails"
            parts = shown([part for _, part in failures if part], 6)
            doubt = ", but on the base it failed once too" if row.name in walk.unsteady else ""
            walk.findings.append(
                TEST.finding(
                    f"{row.name} {words}{f': {parts}' if parts else ''}{doubt}",
                    patch=number,
                    snippet=snippet(row.reason),
                    severity="warning" if doubt else None,
                )
            )
        elif (
            row.outcome == "ok"
        ):  # fixed by this patch, if a patch broke it; a later failure is a new finding
            for failure in [one for one, at in walk.broken.items() if at and one[0] == row.name]:
                del walk.broken[failure]
