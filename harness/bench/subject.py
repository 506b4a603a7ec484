"""Subjects: QEMU binaries under the names of their variants, with the arguments that enable the feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from harness.errors import OptionError
from harness.jsonfile import about

if TYPE_CHECKING:  # tests under avocado import this package
    from harness.build import Build
    from harness.options import Options

WITHOUT_FEATURE = ("base",)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A QEMU binary that is run and compared, under the name of its variant."""

    variant: Annotated[str, about("pristine, base, patched, or the name given with --binary")]
    host: Annotated[str, about("where the binary runs: native, or a machine such as s390x")] = "native"
    target: Annotated[str, about("guest architecture, such as x86_64-softmmu")]
    path: Annotated[str, about("the binary")]
    sha256: Annotated[str, about("digest of the binary")] = ""
    version: Annotated[str, about("first line of --version; empty if it cannot run on this machine")] = ""
    options: Annotated[
        tuple[str, ...], about("arguments that enable asynchronous teardown; empty: it runs without")
    ] = ()
    able: Annotated[bool, about("whether the binary has the option, used or not")] = False

    @property
    def label(self) -> str:
        """The name in a table. A binary that has the option and runs without it has its own name."""
        return f"{self.variant} without" if self.able and not self.options else self.variant


def subjects_of(builds: Sequence[Build], async_teardown: tuple[str, ...]) -> tuple[Subject, ...]:
    """Return each binary of ``builds``. All except base have the arguments of Pin.async_teardown."""
    return tuple(
        Subject(
            variant=build.variant,
            host=build.host,
            target=binary.target,
            path=binary.path,
            sha256=binary.sha256,
            version=binary.version,
            options=() if build.variant in WITHOUT_FEATURE else async_teardown,
            able=build.variant not in WITHOUT_FEATURE,
        )
        for build in builds
        for binary in build.binaries
    )


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
