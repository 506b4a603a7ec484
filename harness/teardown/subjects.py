"""Builds → what is timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.teardown.model import Subject

if TYPE_CHECKING:
    from harness.build import Build

WITHOUT_FEATURE = ("base",)


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
