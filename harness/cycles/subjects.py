"""What is cycled: builds of the harness, or binaries that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.build.binary import sha256
from harness.build.tools import first_line
from harness.cycles.sanitizer import QUIET
from harness.errors import OptionError
from harness.guest import check_targets
from harness.teardown import Subject

if TYPE_CHECKING:
    from harness.binaries import NamedBinary


def subjects_from(binaries: Sequence[NamedBinary], targets: Sequence[str]) -> tuple[Subject, ...]:
    """A subject for each of ``binaries``. The file name tells the target, else ``targets`` does.

    Raises OptionError: the target is not known, or no guests of it can be started.
    """
    subjects = []
    for binary in binaries:
        target = binary.target or (targets[0] if len(targets) == 1 else "")
        if not target:
            raise OptionError(
                f"--binary {binary.name}: {binary.path.name} does not say what it emulates",
                "name it with -Dtargets=, such as -Dtargets=x86_64-softmmu",
            )
        check_targets([target])
        subjects.append(
            Subject(
                variant=binary.name,
                host="native",
                target=target,
                path=str(binary.path),
                sha256=sha256(binary.path),
                version=first_line([binary.path, "--version"], env=QUIET),
                options=binary.words,
            )
        )
    return tuple(subjects)
