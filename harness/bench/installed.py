"""The distribution's own QEMU as a subject, with its option off and on."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.bench.named import named_subjects
from harness.bench.subject import INSTALLED, Subject
from harness.errors import OptionError

WITH_OPTION = f"{INSTALLED}+option"


def program_of(target: str) -> str:
    """Return the name of the program that emulates ``target``, such as qemu-system-s390x."""
    return f"qemu-system-{target.removesuffix('-softmmu')}"


def installed_targets(wanted: Sequence[str], *, asked: bool) -> tuple[str, ...]:
    """Return the targets to time: ``wanted`` if the user ``asked`` for them, else those of them on PATH.

    Without any on PATH it is that of this machine, which the doctor then installs.
    """
    found = tuple(target for target in wanted if asked or shutil.which(program_of(target)))
    return found or (f"{platform.machine()}-softmmu",)


def installed_subjects(targets: Sequence[str]) -> tuple[Subject, ...]:
    """Return the QEMU on PATH of each of ``targets``, without its option and with it.

    Raises OptionError for one that does not have the option, as those before 7.2 do not.
    """
    found = []
    for target in targets:
        path = Path(shutil.which(program_of(target)) or program_of(target))
        (subject,) = named_subjects([f"{INSTALLED}={path}"], [target])
        if not subject.options:
            raise OptionError(
                f"-Dpreset=installed: {path} ({subject.version}) has no option for asynchronous teardown",
                "use a QEMU from 7.2 on, or omit the preset to build one",
            )
        found.append(msgspec.structs.replace(subject, options=()))
        found.append(msgspec.structs.replace(subject, variant=WITH_OPTION))
    return tuple(found)
