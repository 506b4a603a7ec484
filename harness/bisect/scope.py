"""Choose what to build so that every source file that a series changes is compiled.

The usual configuration is tried first. What it does not compile is looked up in the tree's widest
configuration and in its build description. The answer is the smallest set of targets, the programs (tools,
tests) for what no target contains, and the features that are off by default.
"""

import dataclasses
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType

from harness.bisect.compiled import changed_sources, own_source
from harness.bisect.cover import Demand, cover, demand_of, least, smallest, within
from harness.bisect.guards import joined, needs_of, targets_of
from harness.bisect.includes import Includes, read_includes
from harness.build.configure import base_of_target, user_targets
from harness.build.doctor import ensure_libraries
from harness.build.features import Features, Needs, features_of
from harness.build.libraries import library
from harness.build.plan import Extra, binary_name
from harness.build.probe import Sources, probe
from harness.check import Judged
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.sandbox import Sandbox
from harness.tree import Checkout, Tree, checkout_commit
from harness.tree.git import Git

DESCRIPTION = re.compile(
    r"(^|/)(meson\.build|meson_options\.txt|Kconfig[^/]*|configure|[^/]+\.mak|meson-buildoptions\.sh)$"
)
"""Files that decide what is compiled."""
SOURCES = (".c", ".m", ".cc", ".cpp", ".S")
"""Suffixes of files that are compiled on their own."""
MOST = 50
"""Sources that are asked what a header needs."""
EXACT = Extra(exact=True)
NOTHING = Sources()
_TARGET = re.compile(r"^configs/(?:targets/([^/]+)\.mak|devices/([^/]+)/)")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is built. ``refused`` are switches that configure refuses, and why."""

    targets: tuple[str, ...]
    extra: Extra = EXACT
    refused: dict[str, str] = field(default_factory=dict)
    sources: Sources = NOTHING
    """What this compiles, as far as it is known before the build."""
    elsewhere: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """File that this does not compile → programs of the widest configuration that do."""
    needs: dict[str, Needs] = field(default_factory=dict)
    """What files need that the usual configuration lacks."""
    steps: dict[str, int] = field(default_factory=dict)
    """Changed file → sources that are compiled again because of it."""
    changes: dict[int, frozenset[str]] = field(default_factory=dict)
    """Number of a patch → files that it changes."""
    includers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Changed header → sources that include it and that some target can compile, as far as that is known."""

    def again(self, numbers: Iterable[int]) -> int:
        """Return how many sources are compiled again because of the patches ``numbers``, at most."""
        paths = {path for number in numbers for path in self.changes.get(number, ())}
        return min(sum(self.steps.get(path, 0) for path in paths), self.sources.needed)


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Looks up the configurations of one checkout."""

    checkout: Checkout
    options: Options
    layout: Layout
    reporter: Reporter
    sandbox: Sandbox

    def probe(self, targets: tuple[str, ...], extra: Extra) -> Sources:
        options = dataclasses.replace(self.options, targets=targets)
        return probe(self.checkout, options, self.layout, self.reporter, sandbox=self.sandbox, extra=extra)

    @cached_property
    def includes(self) -> Includes:
        return read_includes(Git(repository=self.checkout.path / ".git", at=self.checkout.path))

    @cached_property
    def features(self) -> Features:
        return features_of(self.checkout.path)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target of the tree."""
        return (*self.checkout.facts.targets, *user_targets(self.checkout.path))

    @cached_property
    def widest(self) -> Sources:
        """What every target compiles with the default features, without what configure fails on here."""
        targets, extra = self.targets, Extra(default_features=True)
        installed: set[str] = set()
        while (found := self.probe(targets, extra)).error:
            text = " ".join(found.error)
            program = re.search(r"Program '?([\w.-]+)'? not found", text)
            need = library(program[1], "a target or feature") if program else None
            if need and need.name not in installed:
                installed.add(need.name)
                ensure_libraries([need], self.layout, self.reporter)
                continue
            folder = re.search(r"target/(\w+)/meson\.build", text)
            fewer = tuple(
                name
                for name in targets
                if not folder or base_of_target(self.checkout.path, name) != folder[1]
            )
            if 0 < len(fewer) < len(targets):
                self.reporter.warn(f"configure fails for {folder[1] if folder else ''}: {found.error[0]}")
                targets = fewer
            elif extra.default_features:
                extra = Extra()
            else:
                break
        return found

    def needs(self, path: str) -> Needs | None:
        """Return what ``path`` needs; a header needs what that of its sources needs that needs least."""
        if found := self.features.needs_of(path):
            return found
        if PurePosixPath(path).suffix in SOURCES:
            return None
        users = sorted(user for user in self.includes.users(path) if PurePosixPath(user).suffix in SOURCES)
        known = [need for user in users[:MOST] if (need := self.features.needs_of(user))]
        return min(known, key=lambda need: (bool(need.system), len(need.switches)), default=None)

    def includers(self, path: str, sources: Sources | None = None) -> frozenset[str]:
        """Return the sources that include ``path`` and that ``sources`` compile (all without it).

        Those of emulators count, or if there are none, those of tools, or else those of tests.
        """
        users = {user for user in self.includes.users(path) if PurePosixPath(user).suffix in SOURCES}
        if sources is not None:
            users = {user for user in users if user in sources.users}
            emulators = set(map(binary_name, self.targets))
            inside = {user for user in users if emulators.intersection(sources.programs_of(user))}
            users = inside or users
        return frozenset({user for user in users if not user.startswith("tests/")} or users)

    def demand(self, path: str, sources: Sources) -> Demand:
        """Return the programs that compile ``path``, or the sources that include it, or its folder's."""
        if own := sources.programs_of(path):
            return demand_of([frozenset(own)])
        users = self.includers(path, sources)
        if users or PurePosixPath(path).suffix in SOURCES:
            return demand_of(frozenset(sources.programs_of(user)) for user in users)
        return demand_of([self._near(path, sources)])

    def demands(self, paths: Sequence[str], sources: Sources) -> list[Demand]:
        """Return the demands of ``paths``. A header's source of the same name has to be compiled too."""
        owned = [own_source(path, self.includers(path, sources)) for path in paths]
        return [self.demand(path, sources) for path in (*paths, *filter(None, owned))]

    def suffices(self, path: str, sources: Sources) -> bool:
        """Whether ``sources`` compile ``path``, or half of the sources that include it and its own one."""
        users = self.includers(path)
        own = own_source(path, users)
        found = sum(self.demand(path, sources).values())
        enough = found >= least(len(users)) and (not own or own in sources.users)
        return bool(found) and (path in sources.users or enough)

    def lacking(self, path: str, sources: Sources) -> tuple[str, ...]:
        """Return programs of the widest configuration that compile what ``sources`` lack of ``path``.

        Those that compile most come first. None if ``sources`` compile enough.
        """
        users = {path} if path in self.widest.users else self.includers(path, self.widest)
        rest = {user for user in users if user not in sources.users}
        if (own := own_source(path, rest)) or len(users) - len(rest) < least(len(users)):
            rest = {own} if own else rest
            counts = Counter(program for user in rest for program in self.widest.programs_of(user))
        elif not users and not self.programs(path, sources):
            counts = Counter(self.programs(path, self.widest))
        else:
            return ()
        # 10.x: libsystem_arm.a
        return tuple(sorted(counts, key=lambda name: (-counts[name], name.endswith(".a"), name)))

    def aims(self, guards: Collection[Sequence[str]]) -> list[str]:
        """Return the targets that lines below conditions with these symbols are for."""
        bases = {name: base_of_target(self.checkout.path, name) for name in self.targets} if guards else {}
        return [name for symbols in guards for name in targets_of(symbols, self.options.targets, bases)]

    def programs(self, path: str, sources: Sources) -> frozenset[str]:
        """Return the programs that compile ``path``, or a source that includes it, or one of its folder."""
        return frozenset[str]().union(*self.demand(path, sources))

    def _near(self, path: str, sources: Sources) -> frozenset[str]:
        folder = posixpath.dirname(path)
        while folder:
            near = [name for name in sources.users if posixpath.dirname(name) == folder]
            if near:
                return frozenset(program for name in near for program in sources.programs_of(name))
            folder = posixpath.dirname(folder)
        return frozenset()

    def steps(self, path: str, sources: Sources) -> int:
        """Return the number of sources that are compiled again after a change to ``path``, at most."""
        if PurePosixPath(path).suffix in (".json", ".hx") or path.endswith("trace-events"):
            return sources.needed  # generated headers, which nearly every source includes
        return int(path in sources.users) + sum(user in sources.users for user in self.includes.users(path))


def choose_scope(  # noqa: PLR0917 - the results of earlier stages
    judged: Judged,
    tree: Tree,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    sandbox: Sandbox,
    label: str,
    guards: Mapping[str, Sequence[str]],
) -> Scope:
    """Return what to build for ``judged``, whose added lines of a file need the symbols in ``guards``.

    Raises the errors of ``harness.build.build``.
    """
    asked = options.patch_numbers
    patches = [one for one in judged.patches if one.commit and (not asked or one.number in asked)]
    paths = {path for patch in patches for change in patch.changes for path in change.paths}
    moved = any(change.old != change.new for patch in patches for change in patch.changes)
    described = {path for path in paths if DESCRIPTION.search(path)}
    commit = patches[-1].commit if patches and (moved or described) else judged.base
    checkout = checkout_commit(tree, label, commit, layout, reporter)
    files = {path for path in changed_sources(patches) if (checkout.path / path).is_file()}
    chooser = Chooser(checkout=checkout, options=options, layout=layout, reporter=reporter, sandbox=sandbox)
    scope = choose(chooser, files, described, guards)
    return dataclasses.replace(
        scope,
        steps={path: chooser.steps(path, scope.sources) for path in sorted(files | described)},
        changes={
            patch.number: frozenset(path for change in patch.changes for path in change.paths)
            for patch in patches
        },
    )


def choose(
    chooser: Chooser,
    files: set[str],
    described: set[str],
    guards: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Scope:
    """Return what compiles ``files`` and their lines below conditions with the symbols in ``guards``.

    The targets that the changed build ``described`` is about are among it.
    """
    options = chooser.options
    usual = tuple(name for name in options.targets if name in chooser.targets) or chooser.targets[:1]
    given = usual if options.has("targets") else ()
    targets = given or usual[:1]
    plain = chooser.probe(targets, Extra())
    rest = {path for path in files if not chooser.suffices(path, plain)}
    special = {
        path
        for path in described
        if _TARGET.match(path) or (posixpath.dirname(path) and not chooser.programs(path, plain))
    }
    if plain.error:
        return Scope(targets=targets)
    found = {path: need for path in sorted(rest) if (need := chooser.needs(path))}
    needs = {path: need for path, need in found.items() if not need.system}
    is_compiled = not special and all(path in found and path not in needs for path in rest)
    for path, symbols in guards.items():
        if (more := needs_of(symbols, chooser.features)).switches:
            needs[path] = joined(needs.get(path, Needs()), more)
    aims = [] if given else chooser.aims(guards.values())
    if is_compiled and not needs and set(aims) <= set(targets):
        return _finish(chooser, files, targets, (), plain, Scope(targets=targets, needs=found))
    _install(chooser, needs)
    if is_compiled:
        targets = tuple(dict.fromkeys((*targets, *aims)))
        extra, sources, refused = _enable(chooser, targets, needs)
        scope = Scope(targets=targets, needs=found, refused=refused)
        return _finish(chooser, files, targets, extra.switches, sources, scope)
    widest = chooser.widest
    if not given:
        names = [
            name for path in sorted(special) if (match := _TARGET.match(path)) for name in match.groups()
        ]
        demands = chooser.demands(sorted(files | special), widest)
        names += aims
        demands += [demand_of([frozenset({binary_name(name)})]) for name in names if name in chooser.targets]
        targets = cover(demands, usual, chooser.targets, widest)
    extra, sources, refused = _enable(chooser, targets, needs)
    elsewhere = _elsewhere(chooser, files, sources)
    if elsewhere and not given:
        # The description did not explain which feature is missing, or a header is for many of them.
        default = Extra(switches=extra.switches, default_features=True)
        wider = chooser.probe(targets, default)
        if not wider.error and len(fewer := _elsewhere(chooser, files, wider)) < len(elsewhere):
            extra, sources, elsewhere = default, wider, fewer
    includers = {path: users for path in sorted(files) if (users := chooser.includers(path, widest))}
    scope = Scope(targets=targets, extra=extra, refused=refused, elsewhere=elsewhere, needs=found)
    scope = dataclasses.replace(scope, includers=includers)
    return _finish(chooser, files, targets, extra.switches, sources, scope)


def _elsewhere(chooser: Chooser, files: Iterable[str], sources: Sources) -> dict[str, tuple[str, ...]]:
    """Return, for each of ``files`` that ``sources`` do not compile enough of, the programs that do."""
    return {path: programs for path in sorted(files) if (programs := chooser.lacking(path, sources))}


def _enable(
    chooser: Chooser, targets: tuple[str, ...], needs: Mapping[str, Needs]
) -> tuple[Extra, Sources, dict[str, str]]:
    """Return a configuration with ``needs``, what it compiles, and the switches that configure refuses."""
    switches = tuple(dict.fromkeys(switch for need in needs.values() for switch in need.switches))
    refused: dict[str, str] = {}
    while True:
        extra = Extra(switches=switches)
        sources = chooser.probe(targets, extra)
        if not sources.error or not switches:
            return extra, sources, refused
        bad = _refused(switches, needs, sources.error)
        refused |= dict.fromkeys(bad, sources.error[0])
        switches = tuple(switch for switch in switches if switch not in bad)


def _finish(  # noqa: PLR0917 - the parts of the answer
    chooser: Chooser,
    files: Iterable[str],
    targets: tuple[str, ...],
    switches: tuple[str, ...],
    sources: Sources,
    scope: Scope,
) -> Scope:
    """Add the programs for those ``files`` that the binaries of ``targets`` do not contain."""
    binaries = set(map(binary_name, targets))
    demands = chooser.demands(sorted(files), sources)
    goals = smallest([demand for demand in demands if not within(demand, binaries)], sources, ())
    includers = scope.includers or {path: users for path in files if (users := chooser.includers(path))}
    extra = dataclasses.replace(scope.extra, switches=switches, goals=goals, exact=True)
    return dataclasses.replace(scope, extra=extra, sources=sources, includers=includers)


def _install(chooser: Chooser, needs: dict[str, Needs]) -> None:
    """Install the libraries of the features that changed files belong to, as far as that is permitted."""
    wanted = {
        name: library(name, f"{path}, which the series changes")
        for path, need in needs.items()
        for name in need.libraries
    }
    ensure_libraries([need for need in wanted.values() if need], chooser.layout, chooser.reporter)


def _refused(switches: Sequence[str], needs: Mapping[str, Needs], error: Sequence[str]) -> tuple[str, ...]:
    """Return the ``switches`` that the ``error`` of configure is about; all if it names none."""
    text = " ".join(error)
    named = [
        switch
        for switch in switches
        for names in [
            {
                switch.removeprefix("--enable-"),
                *(name for need in needs.values() if switch in need.switches for name in need.libraries),
            }
        ]
        if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for name in names)
    ]
    return tuple(named or switches)
