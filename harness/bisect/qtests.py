"""QEMU's own tests: list them, select those that a series affects, compile and run them with meson.

Source: Meson manual, "IDE integration" (``introspect --tests``, ``--targets``) and "Unit tests" (testlog).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bisect.diagnostics import read_lines
from harness.build import Build
from harness.check import TestRow
from harness.errors import HarnessError, InfrastructureError, TimeoutExpiredError
from harness.process import Finished, run
from harness.sandbox import Sandbox

SUITES = ("unit", "qtest")
INTROSPECT_LIMIT_S = 300.0
LIMIT_S = 1800.0
BAD = ("failed", "timeout")
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
_COMMON = ("meson", "main", "common", "test", "util", "misc", "build", "core", "base", "posix", "linux")
"""Words that are too common to match a file with a test."""


@dataclass(frozen=True, kw_only=True)
class QemuTest:
    """One test. ``programs`` are the files that it requires; ``sources`` are those of its own program."""

    name: str
    suite: str
    programs: tuple[str, ...]
    sources: tuple[str, ...]


def list_tests(build: Build, sandbox: Sandbox) -> tuple[QemuTest, ...]:
    """Return the unit tests and qtests of a configured build. Raises InfrastructureError."""
    folder, source = Path(build.folder), Path(build.source)
    tests = _introspect(build, sandbox, "--tests")
    targets = {target["id"]: target for target in _introspect(build, sandbox, "--targets")}
    listed = []
    for test in tests:
        suites = {name.partition(":")[2] or name for name in test["suite"]}
        suite = next((name for name in SUITES if name in suites), "")
        if not suite:
            continue
        depends = [targets[name] for name in test.get("depends", ()) if name in targets]
        program = next((word for word in test["cmd"] if word.startswith(str(folder))), "")
        own = [target for target in targets.values() if program in target["filename"]]
        listed.append(
            QemuTest(
                name=test["name"],
                suite=suite,
                programs=tuple(
                    dict.fromkeys(
                        _relative(path, folder) for target in (*own, *depends) for path in target["filename"]
                    )
                ),
                sources=tuple(
                    dict.fromkeys(
                        _relative(path, source)
                        for target in own
                        for group in target["target_sources"]
                        for path in group.get("sources", ())
                    )
                ),
            )
        )
    return tuple(listed)


def choose_tests(tests: Iterable[QemuTest], changed: Collection[str], mode: str) -> tuple[QemuTest, ...]:
    """Return the tests that ``mode`` selects: ``all``, a suite, ``none``, or ``touched``.

    A test is touched if ``changed`` contains one of its sources, or a file whose name is in the test's name.
    """
    if mode == "none":
        return ()
    if mode in ("all", *SUITES):
        return tuple(test for test in tests if mode in ("all", test.suite))
    stems = {
        _plain(Path(path).stem)
        for path in changed
        if Path(path).suffix in (".c", ".h", ".hx", ".json", ".rs")
    }
    specific = {stem for stem in stems if len(stem) >= 4 and stem not in _COMMON}
    chosen = []
    for test in tests:
        name = _plain(test.name.rpartition("/")[2])
        if set(test.sources) & set(changed) or any(
            stem == name or stem in name.split("-") or (len(stem) >= 6 and stem in name) for stem in specific
        ):
            chosen.append(test)
    return tuple(chosen)


def build_tests(build: Build, tests: Sequence[QemuTest], sandbox: Sandbox, log: Path) -> Finished:
    """Compile the programs of ``tests``, continuing after errors. The output goes to ``log``."""
    programs = sorted({program for test in tests for program in test.programs})
    compile_ = next(command for command in build.commands if command.purpose == "compile")
    words = [word for word in compile_.argv if word.startswith("-j")]
    argv = (compile_.argv[0], *words, "-k0", *programs)
    return run(
        sandbox.wrap(argv, Path(build.folder)),
        cwd=Path(build.folder),
        env=_env(build),
        log=log,
        check=False,
        timeout_s=LIMIT_S,
    )


def run_tests(
    build: Build, tests: Sequence[QemuTest], sandbox: Sandbox, *, patch: int, log: Path, processes: int
) -> tuple[TestRow, ...]:
    """Run ``tests``, which have been built. A failed test runs again alone, and passes if it then passes.

    If meson reports no result for a test, its row has the outcome ``infrastructure``.
    """
    rows = _meson_test(build, tests, sandbox, patch=patch, log=log, processes=processes)
    bad = [test for test, row in zip(tests, rows, strict=True) if row.outcome in BAD]
    second = _meson_test(build, bad, sandbox, patch=patch, log=log, processes=1)
    passed = {row.name: row for row in second if row.outcome == "ok"}
    return tuple(passed.get(row.name, row) for row in rows)


def _meson_test(
    build: Build, tests: Sequence[QemuTest], sandbox: Sandbox, *, patch: int, log: Path, processes: int
) -> tuple[TestRow, ...]:
    if not tests:
        return ()  # without names meson would run every test
    folder = Path(build.folder)
    result = folder / "meson-logs" / "validate.json"
    result.unlink(missing_ok=True)
    argv = (
        *_meson(build),
        *("test", "--no-rebuild", "--no-stdsplit", "--logbase", "validate", "--timeout-multiplier", "4"),
        *("--num-processes", str(processes)),
        *(test.name for test in tests),
    )
    try:
        ended = run(
            sandbox.wrap(argv, folder), cwd=folder, env=_env(build), log=log, check=False, timeout_s=LIMIT_S
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
                reason=_excerpt(text) if outcome not in ("ok", "skipped") else "",
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


def _introspect(build: Build, sandbox: Sandbox, what: str) -> list[dict[str, Any]]:
    def failed(ended: Finished) -> HarnessError:
        return InfrastructureError(
            f"meson introspect failed on {build.folder}: status {ended.returncode}",
            "remove that folder and run again",
        )

    ended = run(
        sandbox.wrap((*_meson(build), "introspect", what, build.folder), Path(build.folder)),
        cwd=Path(build.folder),
        env=_env(build),
        merge_stderr=False,
        error=failed,
        timeout_s=INTROSPECT_LIMIT_S,
    )
    entries: list[dict[str, Any]] = json.loads(ended.output)
    return entries


def _meson(build: Build) -> tuple[str, ...]:
    """Return the command of the meson that configured ``build``: QEMU's own since 8.1, else the harness's."""
    own = Path(build.folder) / "pyvenv" / "bin" / "meson"
    return (str(own),) if own.exists() else (sys.executable, "-m", "mesonbuild.mesonmain")


def _env(build: Build) -> dict[str, str]:
    return dict(build.commands[0].env)


def _relative(path: str, folder: Path) -> str:
    return path.removeprefix(f"{folder}/") if path.startswith("/") else re.sub(r"^(?:\.\./)*src/", "", path)


def _plain(name: str) -> str:
    """``async-teardown-test`` and ``test_async_teardown`` → ``async-teardown``."""
    return re.sub(r"^(?:test|check)-|-(?:test|tests)$", "", name.lower().replace("_", "-"))
