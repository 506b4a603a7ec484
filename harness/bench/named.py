"""``--binary NAME=PATH[,ARG...]``: other QEMU binaries, and the arguments that enable their feature."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from harness.bench.subject import Subject
from harness.build.binary import sha256
from harness.build.tools import first_line
from harness.errors import OptionError
from harness.guest.model import check_targets
from harness.process import run
from harness.tree.facts import feature_words

QUIET = {"ASAN_OPTIONS": "detect_leaks=0"}
"""For calls such as ``--version``: a leak that a sanitizer finds would change their exit status."""


def named_subjects(
    texts: Iterable[str], targets: Sequence[str], *, built: Collection[str] = (), ask: bool = True
) -> tuple[Subject, ...]:
    """Return a subject for each ``NAME=PATH[,ARG...]``. A NAME may have binaries of several targets.

    The target is in the file name; else it is the only one of ``targets``. Without ARG, the arguments that
    enable the feature are read from the binary's ``-help`` if ``ask`` is true, else there are none.

    Raises OptionError: invalid format, not a program, a name given twice or in ``built`` (the variants that
    are built), a target that is unknown or cannot be started.
    """
    subjects: dict[tuple[str, str], Subject] = {}
    for text in texts:
        name, path, words = _parse(text)
        if name in built:
            raise OptionError(f"--binary: {name} is also the name of a build", "choose another name")
        target = _target_of(path) or (targets[0] if len(targets) == 1 else "")
        if not target:
            raise OptionError(
                f"--binary {name}: the file name {path.name} does not contain the target",
                "specify it, for example with -Dtargets=x86_64-softmmu",
            )
        if (name, target) in subjects:
            raise OptionError(f"--binary: {name} is given twice", "choose a different name for each binary")
        check_targets([target])
        words = words or (feature_words(read_help(path)) if ask else ())
        subjects[name, target] = Subject(
            variant=name,
            target=target,
            path=str(path),
            sha256=sha256(path),
            version=first_line([path, "--version"], env=QUIET),
            options=words,
            able=bool(words),
        )
    return tuple(subjects.values())


def _parse(text: str) -> tuple[str, Path, tuple[str, ...]]:
    """Split ``NAME=PATH[,ARG...]`` into name, program and arguments."""
    name, separator, rest = text.partition("=")
    place, *words = rest.split(",")
    if not name or not separator or not place:
        raise OptionError(
            f"--binary: {text!r} is not NAME=PATH[,ARG...]",
            "example: --binary mine=/usr/bin/qemu-system-x86_64,-async-teardown",
        )
    path = Path(place).absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise OptionError(f"--binary: {path} is not a program", "check the path and its mode")
    return name, path, tuple(word for word in words if word)


def _target_of(path: Path) -> str:
    """Return the target in a file name such as qemu-system-s390x; empty if there is none."""
    _, found, rest = path.name.partition("qemu-system-")
    return f"{rest}-softmmu" if found else ""


def read_help(path: Path) -> str:
    """Return the output of ``-help``; empty if the binary cannot be run."""
    return run([path, "-help"], check=False, timeout_s=30).output
