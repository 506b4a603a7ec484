"""Facts that a QEMU tree itself states: its release, its targets, the spelling of asynchronous teardown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import TreeError
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
    version = git.run("cat-file", "blob", f"{commit}:VERSION", check=False, merge_stderr=False)
    if version.returncode != 0:
        raise TreeError(f"{origin} is not a QEMU source: it has no file VERSION", "pass a QEMU source")
    listed = git.read("ls-tree", "--name-only", commit, *TARGET_FOLDERS).splitlines()
    targets = sorted(PurePosixPath(path).stem for path in listed if path.endswith("-softmmu.mak"))
    return Facts(version=version.output.strip(), targets=tuple(targets))


def teardown_arguments(source: Path) -> tuple[str, ...]:
    """Return the arguments that enable asynchronous teardown in the sources below ``source``; () without it.

    They are read from the option table: the option is ``-async-teardown`` in 7.2 to 8.2, and a property of
    ``-run-with`` since 8.1 (docs/about/removed-features.rst).
    """
    try:
        text = (source / OPTIONS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    if re.search(r"-run-with \[.*\basync-teardown=", text):
        return ("-run-with", "async-teardown=on")
    if re.search(r'^DEF\("async-teardown"', text, re.MULTILINE):
        return ("-async-teardown",)
    return ()
