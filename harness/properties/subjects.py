"""Builds and named binaries → what is checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import OptionError
from harness.process import run
from harness.properties.model import CheckedBinary

if TYPE_CHECKING:
    from pathlib import Path

    from harness.binaries import NamedBinary
    from harness.build import Build

WITHOUT_FEATURE = ("base",)


def built_binaries(
    builds: Sequence[Build], targets: Sequence[str], async_teardown: tuple[str, ...]
) -> tuple[CheckedBinary, ...]:
    """The binaries of ``builds`` for ``targets`` that run here, all but base with ``async_teardown``."""
    return tuple(
        CheckedBinary(
            variant=build.variant,
            target=binary.target,
            path=binary.path,
            words=() if build.variant in WITHOUT_FEATURE else async_teardown,
        )
        for build in builds
        if build.host == "native"
        for binary in build.binaries
        if binary.target in targets
    )


def named_binaries(named: Sequence[NamedBinary], taken: Sequence[str]) -> tuple[CheckedBinary, ...]:
    """Those of ``--binary``; without words, its own -help is asked.

    Raises OptionError: a name in ``taken``, or a file name that does not say what it emulates.
    """
    found = []
    for each in named:
        if each.name in taken:
            raise OptionError(f"--binary: {each.name} is also built here", "give it another name")
        if not each.target:
            raise OptionError(
                f"--binary: {each.path.name} does not say what it emulates",
                "name the program qemu-system-TARGET, by a symbolic link if need be",
            )
        words = each.words or words_of(help_of(each.path))
        found.append(CheckedBinary(variant=each.name, target=each.target, path=str(each.path), words=words))
    return tuple(found)


def help_of(path: Path) -> str:
    """What ``-help`` prints; empty when it cannot be run."""
    return run([path, "-help"], check=False, timeout_s=30).output


def words_of(text: str) -> tuple[str, ...]:
    """The words that switch asynchronous teardown on, as the text of ``-help`` has them, or none."""
    if re.search(r"^-run-with\b.*\basync-teardown=", text, re.MULTILINE):
        return ("-run-with", "async-teardown=on")
    if re.search(r"^-async-teardown\b", text, re.MULTILINE):
        return ("-async-teardown",)
    return ()
