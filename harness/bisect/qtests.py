"""Compile and run QEMU's own tests with meson, and read their results.

Source: Meson manual, "Unit tests" (testlog); the Test Anything Protocol, version 13 (directives).
"""

import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.bisect.diagnostics import read_lines
from harness.bisect.suites import QemuTest, environment_of, meson_of
from harness.build import Build
from harness.check import TestRow
from harness.errors import TimeoutExpiredError
from harness.process import Finished, run
from harness.progress import Step
from harness.sandbox import Sandbox

LIMIT_S = 1800.0
EACH_S = 60.0
"""Time that each test adds to the limit of a run."""
BAD = ("failed", "timeout")
UNSTEADY = "failed once, and passed when it ran again alone"
"""Beginning of the reason of a test that has passed at the second attempt."""
Failure = tuple[str, str]
"""Name of a failed test, and of the part of it that failed; empty for the test as a whole."""
_OUTCOMES = {
    "OK": "ok",
    "EXPECTEDFAIL": "ok",
    "FAIL": "failed",
    "ERROR": "failed",
    "UNEXPECTEDPASS": "failed",
    "TIMEOUT": "timeout",
    "SKIP": "skipped",
    "IGNORED": "skipped",
    "INTERRUPT": "infrastructure",
}

_COUNT = re.compile(r"\s*\[?(\d+)/(\d+)\]?\s+(.+?)(?:\s{2,}.*)?$")
"""A line of ninja, ``[3/9] Compiling …``, or of meson, ``3/9 qemu:unit / test-x   OK   0.05s``."""
_PART = re.compile(r"\s*not ok\b(?: \d+\b)?(?: -)?\s+(.+?)(?: - .*)?$")
_EXPECTED = re.compile(r"#\s*(?:todo|skip)\b", re.IGNORECASE)
_SKIP = re.compile(r"(?:1\.\.0|ok \d+)(?: -)?\s*(.*?)\s*# [Ss][Kk][Ii][Pp]\S*\s*(.*)$")


def build_tests(
    build: Build,
    tests: Sequence[QemuTest],
    sandbox: Sandbox,
    log: Path,
    step: Step,
    *,
    manifest: str = "build.ninja",
) -> Finished:
    """Compile the programs of ``tests``, continuing after errors. The output goes to ``log``."""
    return run_ninja(
        build,
        sorted({program for test in tests for program in test.programs}),
        sandbox,
        log,
        step,
        manifest=manifest,
    )


def run_ninja(
    build: Build,
    goals: Sequence[str],
    sandbox: Sandbox,
    log: Path,
    step: Step,
    *,
    manifest: str = "build.ninja",
) -> Finished:
    """Build further ``goals`` of a build, continuing after errors. The output goes to ``log``."""
    compile_ = next(command for command in build.commands if command.purpose == "compile")
    words = [word for word in compile_.argv if word.startswith("-j")]
    argv = (compile_.argv[0], *words, "-k0", *_file(manifest), *goals)
    return run(
        sandbox.wrap(argv, Path(build.folder)),
        cwd=Path(build.folder),
        env=environment_of(build),
        log=log,
        check=False,
        timeout_s=LIMIT_S,
        on_line=_follow(step),
    )


def _follow(step: Step) -> Callable[[str], None]:
    """Return a function that updates ``step`` with the count in each line of ninja or meson."""

    def read(line: str) -> None:
        if match := _COUNT.match(line):
            step.update(int(match[1]), int(match[2]), match[3])

    return read


def _file(manifest: str) -> tuple[str, ...]:
    return () if manifest == "build.ninja" else ("-f", manifest)


def run_tests(
    build: Build,
    tests: Sequence[QemuTest],
    sandbox: Sandbox,
    *,
    patch: int,
    log: Path,
    processes: int,
    step: Step,
    env: Mapping[str, str] | None = None,
    known: Container[Failure] = (),
) -> tuple[TestRow, ...]:
    """Run ``tests``, which have been built. A failed test runs again alone, and passes if it then passes.

    One with ``known`` failures only does not run again. If meson reports no result for a test, its row has
    the outcome ``infrastructure``. ``env`` are further variables for the tests.
    """
    more = env or {}
    rows = _meson_test(build, tests, sandbox, patch=patch, log=log, processes=processes, step=step, env=more)
    bad = [test for test, row in zip(tests, rows, strict=True) if new_failures(row, known)]
    second = _meson_test(build, bad, sandbox, patch=patch, log=log, processes=1, step=step, env=more)
    again = {row.name: row for row in second}
    return tuple(_second_chance(row, again[row.name]) if row.name in again else row for row in rows)


def _second_chance(first: TestRow, second: TestRow) -> TestRow:
    if second.outcome == "ok":
        reason = f"{UNSTEADY}{f': {first.reason}' if first.reason else ''}"
        return msgspec.structs.replace(second, reason="; ".join(filter(None, (reason, second.reason))))
    if second.outcome not in BAD:
        return second  # it did not fail twice
    both = tuple(part for part in first.failed_parts if part in second.failed_parts)
    return msgspec.structs.replace(first, failed_parts=both) if both else first


def new_failures(row: TestRow, known: Container[Failure]) -> list[Failure]:
    """Return what failed of a test that is not ``known`` to fail.

    A test with 125 parts, one of which fails on the base (the iotests of QEMU 7.2), still finds what a series
    breaks in the others. Without parts, or if it took too long, the test failed as a whole.
    """
    if row.outcome not in BAD or (row.name, "") in known:
        return []
    parts = row.failed_parts if row.outcome != "timeout" else ()
    return [(row.name, part) for part in parts or ("",) if (row.name, part) not in known]


def _meson_test(
    build: Build,
    tests: Sequence[QemuTest],
    sandbox: Sandbox,
    *,
    patch: int,
    log: Path,
    processes: int,
    step: Step,
    env: Mapping[str, str],
) -> tuple[TestRow, ...]:
    if not tests:
        return ()  # without names meson would run every test
    folder = Path(build.folder)
    result = folder / "meson-logs" / "validate.json"
    result.unlink(missing_ok=True)
    argv = (
        *meson_of(build),
        *("test", "--no-rebuild", "--no-stdsplit", "--logbase", "validate", "--timeout-multiplier", "4"),
        *("--num-processes", str(processes)),
        *(test.name for test in tests),
    )
    try:
        ended = run(
            sandbox.wrap(argv, folder),
            cwd=folder,
            env={**environment_of(build), **env},
            log=log,
            check=False,
            timeout_s=LIMIT_S + EACH_S * len(tests),
            on_line=_follow(step),
        )
        reason = f"meson test ended with status {ended.returncode} and no result"
    except TimeoutExpiredError as error:
        reason = error.cause
    entries = {}
    for line in filter(None, read_lines(result)):
        entry = json.loads(line)
        entries[_bare(entry["name"])] = entry
    rows = []
    for test in tests:
        entry = entries.get(_bare(test.name))
        outcome = _OUTCOMES.get(entry["result"], "failed") if entry else "infrastructure"
        text = (entry.get("stdout") or "") + (entry.get("stderr") or "") if entry else reason
        rows.append(
            TestRow(
                patch=patch,
                suite=test.suite,
                name=test.name,
                outcome=outcome,  # type: ignore[arg-type]
                seconds=round(float(entry.get("duration", 0.0)), 2) if entry else 0.0,
                reason=_reason(outcome, text, folder, test),
                failed_parts=_failed_parts(text) if outcome in BAD else (),
            )
        )
    return tuple(rows)


def _bare(name: str) -> str:
    """Return the name alone: testlog.json has ``suite+suite - qemu:name`` or ``qemu:suite / name``."""
    last = re.split(r" [/-] ", name)[-1]
    return last.partition(":")[2] or last


def _excerpt(text: str) -> str:
    """Return the last four lines that report an assertion or error, else the last four lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"ERROR|[Aa]ssert|not ok|[Ff]ailed|error:", line)]
    return " | ".join((errors or lines)[-4:])[:600]


def _reason(outcome: str, text: str, folder: Path, test: QemuTest) -> str:
    if outcome not in ("ok", "skipped"):
        return _excerpt(text)
    return _skips(text) or (_notrun(folder, test) if outcome == "skipped" else "")


def _failed_parts(text: str) -> tuple[str, ...]:
    """Return the names of the parts that failed, from output in TAP."""
    lines = (line for line in text.splitlines() if not _EXPECTED.search(line))
    return tuple(dict.fromkeys(match[1] for line in lines if (match := _PART.match(line))))


def _skips(text: str) -> str:
    """Return the parts of a test that were skipped, with reasons, from its output in TAP."""
    found = []
    for line in text.splitlines():
        match = _SKIP.match(line.strip())
        if match:
            found.append(match[2].strip() if line.startswith("1..0") else f"{match[1].strip()}: {match[2]}")
    return f"skipped: {'; '.join(found)}"[:600] if found else ""


def _notrun(folder: Path, test: QemuTest) -> str:
    """Return why an iotest did not run, from the file that it leaves; its output in TAP lacks the reason.

    Source: tests/qemu-iotests/common.rc (_notrun).
    """
    for word in test.words:
        for path in sorted(folder.glob(f"scratch/*-{word}/{word}.notrun")):
            if f"-{path.parent.name.partition('-')[0]}-" in test.name:
                return f"skipped: {' '.join(read_lines(path))}"[:600]
    return ""
