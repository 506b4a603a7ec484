"""Facts that a QEMU tree itself states: its release, its targets, the spelling of asynchronous teardown."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import TreeError
from harness.machine import text_of
from harness.tree.git import Git

TARGET_FOLDERS = ("configs/targets/", "default-configs/targets/")
"""Folders with a file for each target; the second one is that of releases before 6.0."""
OPTIONS = "qemu-options.hx"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is read from a commit. ``targets`` are those of system emulation, such as ``x86_64-softmmu``."""

    version: str
    targets: tuple[str, ...]


def read_facts(git: Git, commit: str, origin: str) -> Facts:
    """Read the facts of ``commit``; ``origin`` names its source in messages. Raises TreeError."""
    version = git.blob(f"{commit}:VERSION")
    if version is None:
        raise TreeError(f"{origin} is not a QEMU source: it has no file VERSION", "pass a QEMU source")
    listed = git.read("ls-tree", "--name-only", commit, *TARGET_FOLDERS).splitlines()
    targets = sorted(PurePosixPath(path).stem for path in listed if path.endswith("-softmmu.mak"))
    return Facts(version=version.strip(), targets=tuple(targets))


def targets_below(source: Path) -> tuple[str, ...]:
    """Return the targets of system emulation that the sources below ``source`` have."""
    files = (path for folder in TARGET_FOLDERS for path in (source / folder).glob("*-softmmu.mak"))
    return tuple(sorted({path.stem for path in files}))


def teardown_arguments(source: Path) -> tuple[str, ...]:
    """Return the arguments that enable asynchronous teardown in the sources below ``source``, else ()."""
    return feature_words(text_of(source / OPTIONS))


def feature_words(text: str) -> tuple[str, ...]:
    """Return the arguments that enable asynchronous teardown, else ().

    ``text`` is the output of ``-help``, or qemu-options.hx, which has its lines in quotes. The option is
    ``-async-teardown`` from 7.2 on, and a property of ``-run-with`` from 8.1 on (removed-features.rst).
    """
    if re.search(r'^[\s"]*-run-with\b.*\basync-teardown=', text, re.MULTILINE):
        return ("-run-with", "async-teardown=on")
    if re.search(r'^(DEF\("|[\s"]*-)async-teardown\b', text, re.MULTILINE):
        return ("-async-teardown",)
    return ()
