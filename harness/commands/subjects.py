"""The binaries that a command is about: those that are built for it, and those that the user names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.commands.request import Request
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.options import Options
    from harness.teardown import Subject


def named_subjects(request: Request, options: Options) -> tuple[Subject, ...]:
    """Binaries of --binary; one without words of its own is asked for those that switch the feature on."""
    from harness.binaries import parse_binaries
    from harness.cycles import subjects_from
    from harness.properties.subjects import help_of, words_of

    arguments = request.arguments
    named = parse_binaries(arguments.binary, by_target=True)
    if arguments.no_build and not named:
        raise OptionError("--no-build: there is nothing to time", "name a QEMU with --binary NAME=PATH")
    taken = () if arguments.no_build else options.variants
    for each in named:
        if each.name in taken:
            raise OptionError(f"--binary: {each.name} is also built here", "give it another name")
    asked = [dataclasses.replace(each, words=each.words or words_of(help_of(each.path))) for each in named]
    return subjects_from(asked, options.targets)


def built_subjects(request: Request, options: Options, targets: Sequence[str]) -> tuple[Subject, ...]:
    """Build the variants of ``options``, and give those binaries that run guests of ``targets``."""
    from harness.pipeline import build_all
    from harness.teardown import subjects_of

    prepared, builds = build_all(request.layout, options, request.reporter, request.command)
    return tuple(one for one in subjects_of(builds, prepared.pin.async_teardown) if one.target in targets)


def accels_by_target(
    request: Request, options: Options, targets: tuple[str, ...], subjects: Sequence[Subject]
) -> dict[str, str]:
    """By target, what paused guests are started with: the accelerator that runs, else the one asked for."""
    from harness.teardown import probe_accels

    probed = dataclasses.replace(options, targets=targets, payload=("paused",))
    return {
        accel.target: accel.name if accel.runs else options.accel.replace("auto", "tcg")
        for accel in probe_accels(request.layout, probed, subjects, request.reporter).values()
    }
