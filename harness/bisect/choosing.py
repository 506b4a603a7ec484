"""Which of QEMU's own tests a series affects: chosen by the files that it changes."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.bisect.compiled import is_rust
from harness.bisect.imports import Imports
from harness.bisect.suites import BLOCK, IOTESTS, QemuTest, suites_of
from harness.check.files import is_covered
from harness.options import check_choice

ALL, TOUCHED, NONE = "all", "touched", "none"
RUST = "rust"
"""Suite of the tests in Rust; crates depend on each other, so a change of one affects all."""
BLOCK_LIST = "qemu-block@"
"""Mailing list of the sections of MAINTAINERS that are the block layer."""
_COMMON = ("meson", "main", "common", "test", "util", "misc", "build", "core", "base", "posix", "linux")
"""Words that are too common to match a file with a test."""


def choose_tests(
    tests: Iterable[QemuTest], changed: Collection[str], modes: Sequence[str], read: Callable[[str], str]
) -> tuple[QemuTest, ...]:
    """Return the tests that ``modes`` select, and those that consist of a changed file, in their order.

    A mode is ``all`` (without slow tests), the name of a suite, ``touched`` or ``none``, which excludes the
    others. ``read`` returns the text of a file of the sources. Raises OptionError for an unknown suite.
    """
    if NONE in modes:
        return ()
    listed = tuple(tests)
    suites = [mode for mode in modes if mode not in (ALL, TOUCHED)]
    check_choice("qemu-tests", suites, (*suites_of(listed), "unit", "qtest"), where="the tree")
    affected = _Affected(listed, changed, read) if TOUCHED in modes else None
    return tuple(
        test
        for test in listed
        if (ALL in modes and not test.is_slow)
        or any(test.is_in(suite) for suite in suites)
        or any(test.owns(path) for path in changed if is_test_file(path))
        or (affected is not None and affected(test))
    )


class _Affected:
    """Decides which tests a change affects that does not change the test itself."""

    def __init__(
        self, tests: Sequence[QemuTest], changed: Collection[str], read: Callable[[str], str]
    ) -> None:
        stems = {
            plain(Path(path).stem)
            for path in changed
            if Path(path).suffix in (".c", ".h", ".hx", ".json", ".rs")
        }
        self._stems = {stem for stem in stems if len(stem) >= 4 and stem not in _COMMON}
        self._changed = changed
        self._read = read
        self._modules = {path for path in changed if path.endswith(".py")}
        self._imports = Imports(read)
        self._data = {
            path for path in changed if is_test_file(path) and not any(test.owns(path) for test in tests)
        }
        self._rust = any(map(is_rust, changed))
        self._block = touches_block(changed, read("MAINTAINERS"))

    def __call__(self, test: QemuTest) -> bool:
        if (test.is_in(BLOCK) and self._block) or (test.is_in(RUST) and self._rust):
            return True
        if any(map(test.owns, self._changed)):
            return True
        if test.is_slow:
            return False
        return (
            self._is_named(test) or self._uses_folder(test) or self._runs_module(test) or self._mentions(test)
        )

    def _is_named(self, test: QemuTest) -> bool:
        """A changed file has the name of the test, or one that is part of it."""
        name = plain(test.name.rpartition("/")[2])
        return any(
            stem == name or stem in name.split("-") or (len(stem) >= 6 and stem in name)
            for stem in self._stems
        )

    def _uses_folder(self, test: QemuTest) -> bool:
        """A shared file changed in a folder that the command names."""
        return any(path.startswith(f"{folder}/") for folder in test.folders for path in self._data)

    def _runs_module(self, test: QemuTest) -> bool:
        """A Python module changed that a script of the command imports, directly or not."""
        scripts = [path for path in test.sources if path.endswith(".py") or path == f"{IOTESTS}/check"]
        return bool(self._modules) and any(
            self._imports.reach(script, test.search, self._modules) for script in scripts
        )

    def _mentions(self, test: QemuTest) -> bool:
        """A source of the test names a changed file, or its folder, below tests/."""
        words = {word for path in self._data for word in _names(PurePosixPath(path))}
        texts = (self._read(path) for path in test.sources if is_test_file(path)) if words else ()
        return any(re.search(rf"{re.escape(word)}(?![\w-])", text) for text in texts for word in words)


def _names(path: PurePosixPath) -> Iterator[str]:
    """Yield the texts by which a test may name a shared file: its name or header, and its folders."""
    if path.name != "meson.build" and len(path.stem) > 3:
        yield path.with_suffix(".h").name if path.suffix == ".c" else path.name
    for folder in path.parents:
        if len(folder.parts) > 2:
            yield str(folder)


def is_test_file(path: str) -> bool:
    """Return whether ``path`` belongs to QEMU's tests: it is in a folder ``tests``."""
    return "tests" in path.split("/")[:-1]


def touches_block(changed: Iterable[str], maintainers: str) -> bool:
    """Return whether a changed file is block code, except devices: they have qtests.

    Block code is what MAINTAINERS assigns to the block layer's mailing list.
    """
    patterns = [
        pattern
        for section in re.split(r"\n\s*\n", maintainers)
        if re.search(rf"^L:\s*{BLOCK_LIST}", section, re.MULTILINE)
        for pattern in re.findall(r"^F:\s*(\S+)\s*$", section, re.MULTILINE)
    ]
    return any(
        is_covered(path, patterns)
        for path in changed
        if not path.startswith(("hw/", "include/hw/", "docs/")) and not is_test_file(path)
    )


def plain(name: str) -> str:
    """Return the subject of a test or file: ``async-teardown-test``, ``test_async_teardown`` →
    ``async-teardown``."""
    return re.sub(r"^(?:test|check)-|-(?:test|tests)$", "", name.lower().replace("_", "-"))
