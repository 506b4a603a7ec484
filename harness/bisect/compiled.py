"""Which changed source files a build has compiled, and why it has not compiled the others.

What counts is taken from the build afterwards: the objects that its own graph names and that exist, and the
headers that the compiler reported for them. No plan counts.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.bisect.cover import least
from harness.bisect.diagnostics import FAILED
from harness.build.features import Features, Needs
from harness.build.graph import SOURCES, read_graph, read_headers
from harness.build.libraries import missing_packages
from harness.build.plan import Extra, target_name
from harness.check import CompiledFiles, Finding, HeaderUse, JudgedPatch
from harness.check.building import NOT_COMPILED

SUFFIXES = (".c", ".h", ".inc", ".cc", ".cpp", ".hpp", ".m", ".S", ".s", ".rs", ".decode", ".hx", ".def")
COMPILED = (".c", ".h", ".inc", ".cc", ".cpp", ".m", ".S")
"""Suffixes of what only a compiler reads; from the others code is generated."""
NAMES = ("trace-events",)
RUST_NAMES = ("Cargo.toml", "Cargo.lock", "rustfmt.toml", "clippy.toml")
_PROCESSOR = re.compile(
    r"^(?:tcg/|host/include/|common-user/host/|linux-user/include/host/|linux-headers/asm-)"
    r"(?!tci/|generic/)([a-z0-9_]+)/"
)
_SYSTEM = re.compile(
    r"(?<![a-z0-9])(win32|windows|whpx|darwin|macos|hvf|[a-z]*bsd|nvmm|solaris|haiku)(?![a-z0-9])"
)
"""What no meson.build explains, such as a header, may have the name of an operating system."""


def is_source(path: str) -> bool:
    """Return whether ``path`` is a file that a compiler or a generator of code reads."""
    name = PurePosixPath(path or ".")
    schema = name.suffix == ".json" and name.parts[0] in ("qapi", "qga")
    return name.suffix in SUFFIXES or name.name in NAMES or schema


def is_rust(path: str) -> bool:
    """Return whether ``path`` is Rust code, or decides how Rust code is compiled or checked."""
    return path.endswith(".rs") or PurePosixPath(path).name in RUST_NAMES


def changed_sources(patches: Iterable[JudgedPatch]) -> dict[str, int]:
    """Return the source files that ``patches`` change, and the last patch that changes each."""
    return {
        change.path: patch.number for patch in patches for change in patch.changes if is_source(change.path)
    }


def own_source(header: str, users: Collection[str]) -> str:
    """Return the one of ``users`` with the name of ``header``: ``hw/virt.c`` of ``include/hw/virt.h``."""
    name = str(PurePosixPath(header.removeprefix("include/")).with_suffix(".c"))
    return name if name in users else ""


def nothing_compiled(patches: Iterable[JudgedPatch]) -> CompiledFiles:
    """Return the count of a run that builds nothing."""
    names = {change.new for patch in patches for change in patch.changes if is_source(change.new)}
    return CompiledFiles(compiled=0, changed=len(names))


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What a build has compiled."""

    sources: frozenset[str] = frozenset()
    """Every source that was compiled, and what code was generated from."""
    readers: dict[str, set[str]] = field(default_factory=dict)
    """Wanted header → sources for which the compiler has read it."""


def compiled_in(
    folder: Path, goals: Iterable[str], wanted: Collection[str], log: Sequence[str] | None = None
) -> Compiled:
    """Return what building ``goals`` in ``folder`` has compiled, with the readers of the headers ``wanted``.

    ``log`` is ninja's output if the build failed. Then a source that the compiler refused was compiled too,
    and an object that is older than its source is that of an earlier commit.
    """
    try:
        graph = read_graph(folder)
    except OSError:
        return Compiled()
    reached = graph.reach(goals)
    refused = {match[1] for line in log or () if (match := FAILED.match(line))}
    objects = {
        path: name
        for name, path in graph.objects_of(reached)
        if path in refused or _is_built(folder, path, name, failed=log is not None)
    }
    others = {name for name in graph.sources(reached) if PurePosixPath(name).suffix not in COMPILED}
    sources = others.union(objects.values(), graph.bound(reached), graph.configured(reached))
    rest = set(wanted) - sources
    readers: dict[str, set[str]] = {}
    if log is None and rest:
        readers = read_headers(folder, objects, rest)
    for name in rest if log is not None else ():
        newer = {
            path: source
            for path, source in objects.items()
            if path in refused or _is_built(folder, path, name, failed=True)
        }
        readers |= read_headers(folder, newer, {name})
    return Compiled(sources=frozenset(sources), readers=readers)


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

    def why(self, path: str, *, partly: bool = False) -> str:
        """Return why ``path`` was not compiled, or ``partly`` with few of its users, in one line."""
        named = self.needs.get(path) or self.features.needs_of(path)
        needs = named or Needs()
        if needs.system and not partly:
            return f"other operating system ({needs.system})"
        if not partly and (match := _PROCESSOR.match(path)):
            return f"other host processor ({match[1]})"
        if providers := tuple(map(_shown, self.elsewhere.get(path, ()))):
            shown = ", ".join(providers[:3]) + (" and others" if len(providers) > 3 else "")
            chosen = f"-Dtargets={','.join(self.targets)}" if self.restricted else ", ".join(self.targets)
            what = "the others" if partly else "it"
            return f"no target selected that compiles {what}: {shown} would, not {chosen}"
        if partly:
            return "the others are not part of this build"
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
    """The source files that a series changes, and what was compiled so far."""

    source: Path
    """The checkout of the last commit that was built."""
    files: dict[str, int] = field(default_factory=dict)
    """The last patch that changes each."""
    includers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Header → the sources that include it, as far as that is known before the build."""
    sources: set[str] = field(default_factory=set)
    readers: dict[str, set[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Compiled files of which no added line was compiled, and why."""

    def add(
        self,
        patches: Iterable[JudgedPatch],
        folder: Path,
        goals: Iterable[str],
        log: Sequence[str] | None = None,
    ) -> None:
        """Record what the build of a commit compiled of the files that ``patches`` change."""
        self.files |= changed_sources(patches)
        if rest := {path for path in self.files if not self._is_complete(path)}:
            found = compiled_in(folder, goals, rest, log)
            self.sources |= found.sources
            for path, sources in found.readers.items():
                self.readers.setdefault(path, set()).update(sources)

    @property
    def existing(self) -> dict[str, int]:
        """The files that exist after the series."""
        return {path: number for path, number in self.files.items() if (self.source / path).is_file()}

    def summary(self, targets: tuple[str, ...], extra: Extra) -> CompiledFiles:
        counts = {path: self._count(path) for path in sorted(self.existing)}
        return CompiledFiles(
            compiled=sum(map(self._is_compiled, counts)),
            changed=len(counts),
            targets=targets,
            programs=extra.goals,
            switches=extra.switches,
            headers=tuple(
                HeaderUse(file=path, compiled=done, sources=total)
                for path, (done, total) in counts.items()
                if done < total and path not in self.sources
            ),
        )

    def findings(self, reasons: Callable[[], Reasons]) -> list[Finding]:
        """Return a finding for each file that no build compiled, or with few of the sources it is for."""
        rest = {path: number for path, number in sorted(self.existing.items()) if not self._is_compiled(path)}
        if not rest:
            return []
        explain = reasons()
        return [
            NOT_COMPILED.finding(self._message(path, explain), patch=number, file=path)
            for path, number in rest.items()
        ]

    def _count(self, path: str) -> tuple[int, int]:
        """Return how many sources were compiled with the header ``path``, and how many include it.

        A source that was compiled without reading it includes it under another condition, and does not count.
        """
        readers = self.readers.get(path, set())
        known = self.includers.get(path) or frozenset(readers)
        return len(known & readers), len(known & readers) + len(known - readers - self.sources)

    def _is_compiled(self, path: str) -> bool:
        if path in self.left_out:
            return False
        done, total = self._count(path)
        return path in self.sources or (done > 0 and done >= least(total) and not self._lacks_own(path))

    def _lacks_own(self, path: str) -> str:
        own = own_source(path, self.includers.get(path, ()))
        return own if own not in self.sources else ""

    def _is_complete(self, path: str) -> bool:
        done, total = self._count(path)
        return path in self.sources or (path in self.includers and 0 < done == total)

    def _message(self, path: str, explain: Reasons) -> str:
        if path in self.left_out:
            return f"not compiled: {self.left_out[path]}"
        done, total = self._count(path)
        if not done:
            return f"not compiled: {explain.why(path)}"
        own = self._lacks_own(path)
        part = f"compiled with {done} of the {total} sources that include it, "
        part += f"not with {own}" if own else "fewer than half"
        return f"{part}: {explain.why(path, partly=True)}"
