"""Migration between the base and the series, by QEMU's own migration test with a binary of each.

The test takes one of its two binaries from a variable, in trees that have it (8.2 and later). This is what
QEMU's CI does with the previous release. Source: .gitlab-ci.d/buildtest.yml (migration-compat).
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from harness.bisect.suites import QemuTest
from harness.check import TestRow

SUITE = "migration-compat"
VARIABLES = {"QTEST_QEMU_BINARY_SRC": "from the base", "QTEST_QEMU_BINARY_DST": "to the base"}
COPY = "-base"
"""Suffix of the base's binary: in the build folder, it finds its firmware."""

Run = Callable[[tuple[QemuTest, ...], dict[str, str]], tuple[TestRow, ...]]


def migration_tests(tests: Iterable[QemuTest], read: Callable[[str], str]) -> tuple[QemuTest, ...]:
    """Return the tests that can take one of two binaries from a variable; ``read`` reads a source."""
    return tuple(
        test
        for test in tests
        if "migration" in test.name and any(next(iter(VARIABLES)) in read(path) for path in test.sources)
    )


def keep_binaries(tests: Iterable[QemuTest], folder: Path) -> None:
    """Copy the base's binaries that ``tests`` start, before the build replaces them.

    They are kept next to the build folder, which a commit that changes configure empties.
    """
    for name in {binary_of(test) for test in tests}:
        shutil.copyfile(folder / name, _kept(folder, name))


def _kept(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}-{name}{COPY}")


def run_between(tests: Iterable[QemuTest], folder: Path, run: Run) -> Iterator[TestRow]:
    """Yield the results of each test in both directions, with the binary of the base and that of the series.

    ``run`` runs tests with further variables.
    """
    for test in tests:
        name = binary_of(test)
        binary, kept = folder / (name + COPY), _kept(folder, name)
        if not kept.exists():
            continue
        binary.unlink(missing_ok=True)
        shutil.copyfile(kept, binary)
        binary.chmod(0o755)
        for variable, direction in VARIABLES.items():
            for row in run((test,), {variable: str(binary)}):
                yield msgspec.structs.replace(row, suite=SUITE, name=f"{row.name} {direction}")


def binary_of(test: QemuTest) -> str:
    """Return the name of the binary that a qtest starts: ``qtest-x86_64/a`` → ``qemu-system-x86_64``."""
    return "qemu-system-" + re.sub(r"^qtest-|/.*$", "", test.name)
