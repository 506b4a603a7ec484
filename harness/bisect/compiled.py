"""Which changed source files a build has compiled, and why it has not compiled the others.

What counts is taken from the build afterwards: the objects that its own graph names and that exist, and the
headers that the compiler reported for them. No plan counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.build.features import Features, Needs
from harness.build.graph import SOURCES, read_graph, read_headers
from harness.build.libraries import missing_packages
from harness.build.plan import Extra, target_name
from harness.check import CompiledFiles, Finding, JudgedPatch
from harness.check.building import NOT_COMPILED

SUFFIXES = (".c", ".h", ".inc", ".cc", ".cpp", ".hpp", ".m", ".S", ".s", ".rs", ".decode", ".hx", ".def")
NAMES = ("trace-events",)
_PROCESSOR = re.compile(
    r"^(?:tcg/|host/include/|common-user/host/|linux-user/include/host/|linux-headers/asm-)"
    r"(?!tci/|generic/)([a-z0-9_]+)/"
)
_SYSTEM = re.compile(
    r"(?<![a-z0-9])(win32|windows|whpx|darwin|macos|hvf|[a-z]*bsd|nvmm|solaris|haiku)(?![a-z0-9])"
)
"""What no meson.build explains, such as a header, may have the name of an operating system."""
FAILED = re.compile(r"^FAILED: (?:\[code=\d+\] )?(\S+)")
"""ninja's line on a step that failed; the group is its first output."""


def is_source(path: str) -> bool:
    """Return whether ``path`` is a file that a compiler or a generator of code reads."""
    name = PurePosixPath(path or ".")
    schema = name.suffix == ".json" and name.parts[0] in ("qapi", "qga")
    return name.suffix in SUFFIXES or name.name in NAMES or schema


def changed_sources(patches: Iterable[JudgedPatch]) -> dict[str, int]:
    """Return the source files that ``patches`` change, and the last patch that changes each."""
    return {
        change.path: patch.number for patch in patches for change in patch.changes if is_source(change.path)
    }


def nothing_compiled(patches: Iterable[JudgedPatch]) -> CompiledFiles:
    """Return the count of a run that builds nothing."""
    names = {change.new for patch in patches for change in patch.changes if is_source(change.new)}
    return CompiledFiles(compiled=0, changed=len(names))


def compiled_in(
    folder: Path, goals: Iterable[str], wanted: Collection[str], log: Sequence[str] | None = None
) -> set[str]:
    """Return those of ``wanted`` that building ``goals`` in ``folder`` has compiled.

    ``log`` is ninja's output if the build failed. Then a source that the compiler refused was compiled too,
    and an object that is older than its source is that of an earlier commit.
    """
    try:
        graph = read_graph(folder)
    except OSError:
        return set()
    reached = graph.reach(goals)
    refused = {match[1] for line in log or () if (match := FAILED.match(line))}
    objects = {
        path: name
        for name, path in graph.objects_of(reached)
        if path in refused or _is_built(folder, path, name, failed=log is not None)
    }
    found = {name for name in objects.values() if name in wanted}
    found |= {
        name
        for name in graph.sources(reached)
        if name in wanted
        and PurePosixPath(name).suffix not in (".c", ".h", ".inc", ".cc", ".cpp", ".m", ".S")
    }
    rest = set(wanted) - found
    if log is None:
        return found | read_headers(folder, objects, rest) if rest else found
    for name in rest:
        newer = {path for path in objects if _is_built(folder, path, name, failed=True)}
        found |= read_headers(folder, newer, {name})
    return found


def _is_built(folder: Path, path: str, source: str, *, failed: bool) -> bool:
    """Whether the object ``path`` exists and, after a build that failed, is not older than ``source``."""
    try:
        built = (folder / path).stat().st_mtime
        return not failed or built >= (folder / SOURCES / source).stat().st_mtime
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """What explains why a file was not compiled."""

    features: Features
    elsewhere: dict[str, tuple[str, ...]]
    """Programs of the tree's widest configuration that compile a file, if those that were chosen do not."""
    needs: dict[str, Needs]
    """What a file needs that the usual configuration lacks; a header needs what a source of it needs."""
    targets: tuple[str, ...]
    restricted: bool
    """Whether -Dtargets= was given."""
    rust: bool
    """Whether -Drust=true was given."""
    refused: dict[str, str]
    """Switches of configure that failed, and why."""

    def why(self, path: str) -> str:
        """Return why ``path`` was not compiled, in one line."""
        named = self.needs.get(path) or self.features.needs_of(path)
        needs = named or Needs()
        if needs.system:
            return f"other operating system ({needs.system})"
        if match := _PROCESSOR.match(path):
            return f"other host processor ({match[1]})"
        if providers := tuple(map(_shown, self.elsewhere.get(path, ()))):
            shown = ", ".join(providers[:3]) + (" and others" if len(providers) > 3 else "")
            chosen = f"-Dtargets={','.join(self.targets)}" if self.restricted else ", ".join(self.targets)
            return f"no target selected that compiles it: {shown} would, not {chosen}"
        if path.endswith(".rs") and not self.rust:
            return "Rust is off: -Drust=true compiles it"
        if needs.processor:
            return f"other host processor ({needs.processor})"
        for switch in needs.switches:
            if switch in self.refused:
                return f"configure refuses {switch}: {self.refused[switch]}"
        if needs.libraries and (missing := missing_packages(needs.libraries)):
            return f"missing library: {', '.join(missing)}"
        if needs.kvm:
            return "other host processor (KVM of this target)"
        if match := _SYSTEM.search(path):
            return f"other operating system ({match[1]})"
        if named is None:
            return "not part of the build at all: no meson.build names it, and no compiled file includes it"
        return "not part of this build: the conditions in meson.build and Kconfig do not hold"


def _shown(program: str) -> str:
    return target_name(program) if program.startswith("qemu-system-") else program


@dataclass(kw_only=True)
class Changed:
    """The source files that a series changes: those that were compiled so far, and the others."""

    source: Path
    """The checkout of the last commit that was built."""
    files: dict[str, int] = field(default_factory=dict)
    """The last patch that changes each."""
    compiled: set[str] = field(default_factory=set)

    def add(
        self,
        patches: Iterable[JudgedPatch],
        folder: Path,
        goals: Iterable[str],
        log: Sequence[str] | None = None,
    ) -> None:
        """Record what the build of a commit compiled of the files that ``patches`` change."""
        self.files |= changed_sources(patches)
        if rest := set(self.files) - self.compiled:
            self.compiled |= compiled_in(folder, goals, rest, log)

    @property
    def existing(self) -> dict[str, int]:
        """The files that exist after the series."""
        return {path: number for path, number in self.files.items() if (self.source / path).is_file()}

    def summary(self, targets: tuple[str, ...], extra: Extra) -> CompiledFiles:
        return CompiledFiles(
            compiled=len(set(self.existing) & self.compiled),
            changed=len(self.existing),
            targets=targets,
            programs=extra.goals,
            switches=extra.switches,
        )

    def findings(self, reasons: Callable[[], Reasons]) -> list[Finding]:
        """Return a finding for each file that no build compiled."""
        rest = {path: number for path, number in sorted(self.existing.items()) if path not in self.compiled}
        if not rest:
            return []
        explain = reasons()
        return [
            NOT_COMPILED.finding(f"not compiled: {explain.why(path)}", patch=number, file=path)
            for path, number in rest.items()
        ]
