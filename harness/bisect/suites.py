"""QEMU's own tests as the configured tree lists them: suites, programs, and the files that each consists of.

Nothing here names the suites of a release: meson lists them, and the command of a test names its files.

Source: Meson manual, "IDE integration" (``introspect --tests``, ``--targets``).
"""

import json
import os
import posixpath
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build import Build
from harness.errors import HarnessError, InfrastructureError
from harness.process import Finished, run
from harness.sandbox import Sandbox

INTROSPECT_LIMIT_S = 300.0
SLOW = ("slow", "thorough")
"""Suites that ``make check`` leaves out (SPEED=quick, scripts/mtest2make.py)."""
BLOCK = "block"
"""Suite of the quick iotests (``-g auto``) of the format that ``make check`` tests."""
IOTESTS = "tests/qemu-iotests"
EVERY = "*"
"""Word of a test that consists of all files in its folders."""


@dataclass(frozen=True, kw_only=True)
class QemuTest:
    """One test. Paths are relative to the sources; those of ``programs`` to the build folder."""

    name: str
    suite: str
    """First of its suites."""
    programs: tuple[str, ...]
    """Files that have to be built before it runs."""
    sources: tuple[str, ...]
    """Sources of its own program, and files that its command names."""
    suites: tuple[str, ...] = ()
    """Its further suites."""
    folders: tuple[str, ...] = ()
    """Folders of the sources that its command names."""
    words: tuple[str, ...] = ()
    """Other words of its command, such as the number of an iotest."""
    search: tuple[str, ...] = ()
    """Folders that Python searches for modules (PYTHONPATH)."""

    def is_in(self, suite: str) -> bool:
        """Return whether the test belongs to ``suite``."""
        return suite == self.suite or suite in self.suites

    @property
    def is_slow(self) -> bool:
        """Whether ``make check`` leaves the test out unless it is asked for it."""
        return any(self.is_in(suite) for suite in SLOW)

    def owns(self, path: str) -> bool:
        """Return whether the test consists of ``path``: a source, its data or expected output.

        Data has the name of a source with another suffix (``001.out``, ``doc-good.json``), or that of a word
        of the command, in a folder of the command (``dtrace.h`` of tracetool's tests).
        """
        if path in self.sources:
            return True
        folder, _, name = path.rpartition("/")
        stem = name.partition(".")[0]
        beside = {source.rpartition("/")[0] for source in self.sources if _stem(source) == stem}
        inside = any(folder == one or folder.startswith(f"{one}/") for one in self.folders)
        if folder in beside and folder.startswith("tests"):
            return True
        return inside and (stem in self.words or EVERY in self.words)


def list_tests(build: Build, sandbox: Sandbox) -> tuple[QemuTest, ...]:
    """Return every test of a configured build. Raises InfrastructureError."""
    folder, source = Path(build.folder), Path(build.source)
    tests = _introspect(build, sandbox, "--tests")
    targets = {target["id"]: target for target in _introspect(build, sandbox, "--targets")}
    return tuple(_read(test, targets, folder, source) for test in tests)


def suites_of(tests: Iterable[QemuTest]) -> tuple[str, ...]:
    """Return the names of all suites, sorted."""
    return tuple(sorted({suite for test in tests for suite in (test.suite, *test.suites) if suite}))


def _read(
    test: Mapping[str, Any], targets: Mapping[str, Mapping[str, Any]], folder: Path, source: Path
) -> QemuTest:
    suites = tuple(dict.fromkeys(name.partition(":")[2] or name for name in test["suite"]))
    depends = [targets[name] for name in test.get("depends", ()) if name in targets]
    words = [os.path.normpath(word) if "/" in word else word for word in test["cmd"]]
    program = next((word for word in words if _is_below(word, folder) and not _is_python(word)), "")
    own = [target for target in targets.values() if program in target["filename"]]
    named = [word.removeprefix(f"{source}/") for word in words if _is_below(word, source)]
    folders = [path for path in named if (source / path).is_dir()]
    compiled = [
        _relative(path, source)
        for target in own
        for group in target["target_sources"]
        for path in group.get("sources", ())
    ]
    plain = [word for word in words[1:] if "/" not in word and not word.startswith("-")]
    listed = [*compiled, *(path for path in named if path not in folders)]
    if IOTESTS in folders:
        # `check` gets the name of a test alone. Tests without a number are in a folder of their own.
        listed += [
            path
            for word in plain
            for path in (f"{IOTESTS}/{word}", f"{IOTESTS}/tests/{word}")
            if (source / path).is_file()
        ]
    elif any(path.endswith("check-block.sh") for path in named) and BLOCK in suites:
        folders, plain = [IOTESTS], [EVERY]  # until 8.0, one test runs all iotests of a format
    path = test.get("env", {}).get("PYTHONPATH", "")
    return QemuTest(
        name=test["name"],
        suite=suites[0] if suites else "",
        suites=suites[1:],
        programs=tuple(
            dict.fromkeys(
                _relative(name, folder) for target in (*own, *depends) for name in target["filename"]
            )
        ),
        sources=tuple(dict.fromkeys(listed)),
        folders=tuple(folders),
        words=tuple(plain),
        search=tuple(one.removeprefix(f"{source}/") for one in path.split(os.pathsep) if one),
    )


def meson_of(build: Build) -> tuple[str, ...]:
    """Return the command of the meson that configured ``build``: QEMU's own since 8.1, else the harness's."""
    own = Path(build.folder) / "pyvenv" / "bin" / "meson"
    return (str(own),) if own.exists() else (sys.executable, "-m", "mesonbuild.mesonmain")


def environment_of(build: Build) -> dict[str, str]:
    """Return the variables that ``build`` was configured with."""
    return dict(build.commands[0].env)


def _introspect(build: Build, sandbox: Sandbox, what: str) -> list[dict[str, Any]]:
    def failed(ended: Finished) -> HarnessError:
        return InfrastructureError(
            f"meson introspect failed on {build.folder}: status {ended.returncode}",
            "remove that folder and run again",
        )

    ended = run(
        sandbox.wrap((*meson_of(build), "introspect", what, build.folder), Path(build.folder)),
        cwd=Path(build.folder),
        env=environment_of(build),
        merge_stderr=False,
        error=failed,
        timeout_s=INTROSPECT_LIMIT_S,
    )
    entries: list[dict[str, Any]] = json.loads(ended.output)
    return entries


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _is_below(word: str, folder: Path) -> bool:
    return word.startswith(f"{folder}/")


def _is_python(word: str) -> bool:
    return re.fullmatch(r"python[0-9.]*", posixpath.basename(word)) is not None


def _relative(path: str, folder: Path) -> str:
    return path.removeprefix(f"{folder}/") if path.startswith("/") else re.sub(r"^(?:\.\./)*src/", "", path)
