"""Format of ``build.json``, which is written next to the binaries and to ``build/results``.

The types contain the descriptions of the fields; docs/results.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from harness.jsonfile import UNREADABLE, write_json
from harness.layout import Layout

SCHEMA = 1
FILE_NAME = "build.json"
T = TypeVar("T")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a build, which can be run again by hand."""

    purpose: Annotated[str, Meta(description="Purpose: configure or compile.")]
    folder: Annotated[str, Meta(description="Working folder, absolute.")]
    env: Annotated[dict[str, str], Meta(description="Variables added to the environment.")]
    argv: Annotated[tuple[str, ...], Meta(description="Program and arguments.")]
    shell: Annotated[str, Meta(description="Folder, variables and command as one line for a POSIX shell.")]


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """The C compiler of a build."""

    path: Annotated[str, Meta(description="Absolute path.")]
    version: Annotated[str, Meta(description="First line of its --version.")]
    launcher: Annotated[str, Meta(description="Absolute path of ccache, or empty without it.")]


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use of ccache during the compile step of this build."""

    direct_hits: Annotated[int, Meta(description="Results found by hashing the sources, without cpp.")]
    preprocessed_hits: Annotated[int, Meta(description="Results found by hashing the output of cpp.")]
    misses: Annotated[int, Meta(description="Files that were compiled.")]
    uncacheable: Annotated[int, Meta(description="Calls that ccache cannot cache; linking is not counted.")]

    @property
    def hits(self) -> int:
        """Number of files that were not compiled."""
        return self.direct_hits + self.preprocessed_hits


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """One QEMU binary."""

    target: Annotated[str, Meta(description="Guest architecture, such as x86_64-softmmu.")]
    path: Annotated[str, Meta(description="Absolute path.")]
    sha256: Annotated[str, Meta(description="Digest of the file.")]
    size: Annotated[int, Meta(description="Size in bytes, debug information included.")]
    version: Annotated[str, Meta(description="First line of its --version; empty if it cannot run here.")]

    @property
    def file(self) -> Path:
        """``path`` as a Path."""
        return Path(self.path)


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """Build of one tree, variant and host, with the binaries of its targets."""

    schema: Annotated[int, Meta(description="Version of this format.")] = SCHEMA
    tree: Annotated[str, Meta(description="Name of the tree: the pin's name, or that of a local source.")]
    pin: Annotated[str, Meta(description="Name of the pin.")]
    version: Annotated[str, Meta(description="QEMU release of the pin.")]
    variant: Annotated[str, Meta(description="State of the tree: pristine, base or patched.")]
    label: Annotated[str, Meta(description="Variant; for patched, followed by the name of the series.")]
    commit: Annotated[str, Meta(description="Commit id of the sources.")]
    host: Annotated[str, Meta(description="Machine that the binaries run on: native, or such as s390x.")]
    profile: Annotated[str, Meta(description="Compiler settings: release or sanitize.")] = "release"
    devices: Annotated[
        str, Meta(description="Compiled devices of QEMU: all, or guests for those that timed guests use.")
    ] = "all"
    debug: Annotated[bool, Meta(description="Whether the binaries have debug information.")] = True
    targets: Annotated[tuple[str, ...], Meta(description="Configured guest architectures.")]
    folder: Annotated[str, Meta(description="Build folder, absolute.")]
    source: Annotated[str, Meta(description="Source folder, absolute.")]
    fingerprint: Annotated[str, Meta(description="Digest of all inputs of configure.")]
    commands: Annotated[tuple[Command, ...], Meta(description="Commands that reproduce the build.")]
    summary: Annotated[
        dict[str, dict[str, str]], Meta(description="Summary of configure: section, then name and value.")
    ]
    compiler: Annotated[Compiler, Meta(description="The C compiler.")]
    started: Annotated[str, Meta(description="Start of the build: UTC, ISO 8601.")]
    configure_s: Annotated[float, Meta(description="Seconds of the last run of configure.")]
    compile_s: Annotated[float, Meta(description="Seconds of the last run of ninja.")]
    steps: Annotated[int, Meta(description="Steps of the last run of ninja.")]
    cache: Annotated[
        CacheUse | None, Meta(description="Use of ccache by the last run of ninja; null without ccache.")
    ]
    binaries: Annotated[tuple[Binary, ...], Meta(description="The binaries, one for each target.")]
    logs: Annotated[tuple[str, ...], Meta(description="Logs of configure and ninja, absolute.")]
    left_out: Annotated[
        tuple[str, ...],
        Meta(description="What QEMU's own defaults would have added, and the option that adds it."),
    ] = ()
    reused: Annotated[
        bool, Meta(description="True if the build was up to date, so that configure and ninja did not run.")
    ] = False

    def binary(self, target: str) -> Binary:
        """Return the binary of ``target``. Raises KeyError if there is none."""
        for binary in self.binaries:
            if binary.target == target:
                return binary
        raise KeyError(target)


class BuildResults(msgspec.Struct, frozen=True, kw_only=True):
    """``build/results/build.json``: the builds of one run."""

    schema: Annotated[int, Meta(description="Version of this format.")] = SCHEMA
    command: Annotated[str, Meta(description="Command that reproduces the run.")]
    builds: Annotated[tuple[Build, ...], Meta(description="The builds, in the order of the run.")]


def write_build_results(layout: Layout, builds: Sequence[Build], command: str | Sequence[str]) -> Path:
    """Write ``build/results/build.json`` atomically and return its path. Raises StorageError."""
    line = command if isinstance(command, str) else " ".join(command)
    path = layout.results / FILE_NAME
    write_json(path, BuildResults(command=line, builds=tuple(builds)))
    return path


def load(path: Path, kind: type[T]) -> T | None:
    """Read a ``kind`` from ``path``; None if the file is missing, damaged or of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *UNREADABLE):
        return None
