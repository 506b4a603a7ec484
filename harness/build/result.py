"""Format of ``build.json``, which is written next to the binaries and to ``build/results``.

The types contain the descriptions of the fields; docs/results.md is generated from them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from harness.jsonfile import about, write_json
from harness.layout import Layout

SCHEMA = 1
FILE_NAME = "build.json"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a build, which can be run again by hand."""

    purpose: Annotated[str, about("Purpose: configure or compile.")]
    folder: Annotated[str, about("Working folder, absolute.")]
    env: Annotated[dict[str, str], about("Variables added to the environment.")]
    argv: Annotated[tuple[str, ...], about("Program and arguments.")]
    shell: Annotated[str, about("Folder, variables and command as one line for a POSIX shell.")]


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """The C compiler of a build."""

    path: Annotated[str, about("Absolute path.")]
    version: Annotated[str, about("First line of its --version.")]
    launcher: Annotated[str, about("Absolute path of ccache, or empty without it.")]


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use of ccache during the compile step of this build."""

    direct_hits: Annotated[int, about("Results found by hashing the sources, without cpp.")]
    preprocessed_hits: Annotated[int, about("Results found by hashing the output of cpp.")]
    misses: Annotated[int, about("Files that were compiled.")]
    uncacheable: Annotated[int, about("Calls that ccache cannot cache; linking is not counted.")]

    @property
    def hits(self) -> int:
        """Number of files that were not compiled."""
        return self.direct_hits + self.preprocessed_hits


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """One QEMU binary."""

    target: Annotated[str, about("Guest architecture, such as x86_64-softmmu.")]
    path: Annotated[str, about("Absolute path.")]
    sha256: Annotated[str, about("Digest of the file.")]
    size: Annotated[int, about("Size in bytes, debug information included.")]
    version: Annotated[str, about("First line of its --version; empty if it cannot run here.")]

    @property
    def file(self) -> Path:
        """``path`` as a Path."""
        return Path(self.path)


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """Build of one tree, variant and host, with the binaries of its targets."""

    schema: Annotated[int, about("Version of this format.")] = SCHEMA
    tree: Annotated[str, about("Name of the tree: the pin's name, or that of a local source.")]
    pin: Annotated[str, about("Name of the pin.")]
    version: Annotated[str, about("QEMU release of the pin.")]
    variant: Annotated[str, about("State of the tree: pristine, base or patched.")]
    label: Annotated[str, about("Variant; for patched, followed by the name of the series.")]
    commit: Annotated[str, about("Commit id of the sources.")]
    host: Annotated[str, about("Machine that the binaries run on: native, or such as s390x.")]
    profile: Annotated[str, about("Compiler settings: release or sanitize.")] = "release"
    devices: str = "all"
    """Compiled devices of QEMU: all, or guests for those that timed guests use."""
    debug: Annotated[bool, about("Whether the binaries have debug information.")] = True
    targets: Annotated[tuple[str, ...], about("Configured guest architectures.")]
    folder: Annotated[str, about("Build folder, absolute.")]
    source: Annotated[str, about("Source folder, absolute.")]
    fingerprint: Annotated[str, about("Digest of all inputs of configure.")]
    commands: Annotated[tuple[Command, ...], about("Commands that reproduce the build.")]
    summary: dict[str, dict[str, str]]
    """Summary of configure: section, then name and value."""
    compiler: Annotated[Compiler, about("The C compiler.")]
    started: Annotated[str, about("Start of the build: UTC, ISO 8601.")]
    configure_s: Annotated[float, about("Seconds of the last run of configure.")]
    compile_s: Annotated[float, about("Seconds of the last run of ninja.")]
    steps: Annotated[int, about("Steps of the last run of ninja.")]
    cache: CacheUse | None
    """Use of ccache by the last run of ninja; null without ccache."""
    binaries: Annotated[tuple[Binary, ...], about("The binaries, one for each target.")]
    logs: Annotated[tuple[str, ...], about("Logs of configure and ninja, absolute.")]
    left_out: tuple[str, ...] = ()
    """What QEMU's own defaults would have added, and the option that adds it."""
    reused: bool = False
    """True if the build was up to date, so that configure and ninja did not run."""

    def binary(self, target: str) -> Binary:
        """Return the binary of ``target``. Raises KeyError if there is none."""
        for binary in self.binaries:
            if binary.target == target:
                return binary
        raise KeyError(target)


class BuildResults(msgspec.Struct, frozen=True, kw_only=True):
    """``build/results/build.json``: the builds of one run."""

    schema: Annotated[int, about("Version of this format.")] = SCHEMA
    command: Annotated[str, about("Command that reproduces the run.")]
    builds: Annotated[tuple[Build, ...], about("The builds, in the order of the run.")]


def write_build_results(layout: Layout, builds: Sequence[Build], command: str | Sequence[str]) -> Path:
    """Write ``build/results/build.json`` atomically and return its path. Raises StorageError."""
    line = command if isinstance(command, str) else " ".join(command)
    path = layout.results / FILE_NAME
    write_json(path, BuildResults(command=line, builds=tuple(builds)))
    return path
