"""Subjects: QEMU binaries under the names of their variants, with the arguments that enable the feature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from harness.build import Build
from harness.errors import OptionError
from harness.jsonfile import about
from harness.options import Options
from harness.tree.facts import teardown_arguments

BASE, PRISTINE, PRISTINE_WITH_OPTION = "base", "pristine", "pristine+option"
INSTALLED = "installed"
"""The distribution's own QEMU, without the option."""
REFERENCES = (BASE, PRISTINE, INSTALLED)
"""Subjects without the feature, which others are compared with; the first one that a run has."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A QEMU binary that is run and compared, under the name of its variant."""

    variant: Annotated[str, about("pristine, base, patched, or the name given with --binary")]
    host: Annotated[str, about("where the binary runs: native, or a machine such as s390x")] = "native"
    target: Annotated[str, about("guest architecture, such as x86_64-softmmu")]
    path: Annotated[str, about("the binary")]
    sha256: Annotated[str, about("digest of the binary")] = ""
    version: Annotated[str, about("first line of --version; empty if it cannot run on this machine")] = ""
    options: tuple[str, ...] = ()
    """arguments that enable asynchronous teardown; empty: it runs without"""
    able: Annotated[bool, about("whether the binary has the option, used or not")] = False
    left_out: Annotated[tuple[str, ...], about("what QEMU's own defaults would have added to the build")] = ()

    @property
    def label(self) -> str:
        """The name in a table. A reference runs without the option; another one that does is marked."""
        marked = self.able and not self.options and self.variant not in REFERENCES
        return f"{self.variant} without" if marked else self.variant


def subjects_of(builds: Sequence[Build]) -> tuple[Subject, ...]:
    """Each binary of ``builds``, started with the arguments that enable the feature in its sources.

    ``pristine`` of a release that has the feature is called ``pristine+option`` then. Unless there is a
    ``base``, which lacks the feature, the same binary without them is the reference: ``pristine``.
    """
    has_base = any(build.variant == BASE for build in builds)
    found = []
    for build in builds:
        arguments = teardown_arguments(Path(build.source))
        names = [(build.variant, arguments)]
        if build.variant == PRISTINE and arguments:
            names = [(PRISTINE_WITH_OPTION, arguments)]
            if not has_base:
                names.insert(0, (PRISTINE, ()))
        found += [
            Subject(
                variant=name,
                host=build.host,
                target=binary.target,
                path=binary.path,
                sha256=binary.sha256,
                version=binary.version,
                options=options,
                able=bool(arguments),
                left_out=build.left_out,
            )
            for name, options in names
            for binary in build.binaries
        ]
    return tuple(found)


def refuse_timing(options: Options) -> None:
    """Raise OptionError if builds of ``options`` cannot be timed.

    The shadow memory of a sanitizer is an eighth of the memory that the guest touches, and is freed with it.
    A results file cannot distinguish such latencies from others.
    """
    if options.profile != "release":
        raise OptionError(
            f"-Dprofile={options.profile} builds are not timed: their exit also frees the sanitizers' memory",
            "omit -Dprofile=, or use such builds with nox -s cycles",
        )
