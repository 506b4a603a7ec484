"""``--binary NAME=PATH[,ARG...]``: QEMUs that were built elsewhere, and the words to start them with."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from harness.bench.subject import Subject
from harness.build.binary import sha256
from harness.build.tools import first_line
from harness.errors import OptionError
from harness.guest import check_targets
from harness.process import run

QUIET = {"ASAN_OPTIONS": "detect_leaks=0"}
"""For calls such as ``--version``: a leak found by a sanitizer would change their exit status."""


def named_subjects(
    texts: Iterable[str], targets: Sequence[str], *, built: Collection[str] = (), ask: bool = True
) -> tuple[Subject, ...]:
    """A subject for each ``NAME=PATH[,ARG...]``; one NAME may have a binary for each of several targets.

    The file name gives the target, else the only one of ``targets``. Without ARG the words that switch the
    feature on are those that the binary's ``-help`` lists; with ``ask`` false there are none then.

    Raises OptionError: not of that form, no such program, a name given twice or in ``built`` (variants that
    are built here), a target that is not known or cannot be started.
    """
    found: dict[tuple[str, str], Subject] = {}
    for text in texts:
        name, path, words = _parse(text)
        if name in built:
            raise OptionError(f"--binary: {name} is also built here", "give it another name")
        target = _target_of(path) or (targets[0] if len(targets) == 1 else "")
        if not target:
            raise OptionError(
                f"--binary {name}: the file name {path.name} does not contain the target",
                "name it with -Dtargets=, such as -Dtargets=x86_64-softmmu",
            )
        if (name, target) in found:
            raise OptionError(f"--binary: {name} is given twice", "give each binary a name of its own")
        check_targets([target])
        words = words or (feature_words(read_help(path)) if ask else ())
        found[name, target] = Subject(
            variant=name,
            target=target,
            path=str(path),
            sha256=sha256(path),
            version=first_line([path, "--version"], env=QUIET),
            options=words,
            able=bool(words),
        )
    return tuple(found.values())


def _parse(text: str) -> tuple[str, Path, tuple[str, ...]]:
    """Name, program and words of ``NAME=PATH[,ARG...]``."""
    name, separator, rest = text.partition("=")
    place, *words = rest.split(",")
    if not name or not separator or not place:
        raise OptionError(
            f"--binary: {text!r} is not NAME=PATH[,ARG...]",
            "write, say, --binary mine=/usr/bin/qemu-system-x86_64,-async-teardown",
        )
    path = Path(place).absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise OptionError(f"--binary: {path} is not a program", "check the path and its mode")
    return name, path, tuple(word for word in words if word)


def _target_of(path: Path) -> str:
    """The target that a file name such as qemu-system-s390x contains; empty if it contains none."""
    _, found, rest = path.name.partition("qemu-system-")
    return f"{rest}-softmmu" if found else ""


def read_help(path: Path) -> str:
    """What ``-help`` prints; empty if the binary cannot be run."""
    return run([path, "-help"], check=False, timeout_s=30).output


def feature_words(text: str) -> tuple[str, ...]:
    """The words that switch asynchronous teardown on, by the text of ``-help``; none without the option."""
    if re.search(r"^-run-with\b.*\basync-teardown=", text, re.MULTILINE):
        return ("-run-with", "async-teardown=on")
    if re.search(r"^-async-teardown\b", text, re.MULTILINE):
        return ("-async-teardown",)
    return ()
