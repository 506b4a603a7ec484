"""Builds → what is timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import OptionError
from harness.teardown.model import Subject

if TYPE_CHECKING:
    from harness.build import Build
    from harness.options import Options

WITHOUT_FEATURE = ("base",)


def refuse_timing(options: Options) -> None:
    """Raise OptionError when what ``options`` build is not to be timed.

    A sanitizer's shadow memory is an eighth of what the guest touches and is torn down with it: such
    latencies look like any other in a results file, and are none of QEMU's.
    """
    if options.profile != "release":
        raise OptionError(
            f"-Dprofile={options.profile} builds are not timed: the sanitizers' own memory is torn down too",
            "leave -Dprofile= out here; use such builds with nox -s cycles",
        )


def subjects_of(builds: Sequence[Build], async_teardown: tuple[str, ...]) -> tuple[Subject, ...]:
    """Each binary of ``builds``; all but base are started with ``async_teardown`` (Pin.async_teardown)."""
    return tuple(
        Subject(
            variant=build.variant,
            host=build.host,
            target=binary.target,
            path=binary.path,
            sha256=binary.sha256,
            version=binary.version,
            options=() if build.variant in WITHOUT_FEATURE else async_teardown,
        )
        for build in builds
        for binary in build.binaries
    )
