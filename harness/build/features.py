"""Convert the conditions of a source into switches of configure and the libraries that they need."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mesonbuild import mparser  # type: ignore[import-untyped]

from harness.build.conditions import DEEPEST, Condition, Description, children, read_condition
from harness.build.configure import SWITCHES, Configure, read_configure

OTHER_SYSTEMS = {
    name: system
    for system, names in {
        "windows": "CONFIG_WIN32 CONFIG_WHPX dsound",
        "darwin": "CONFIG_DARWIN CONFIG_HVF cocoa coreaudio vmnet coref iokit",
        "BSD": "CONFIG_BSD CONFIG_BSD_USER CONFIG_FREEBSD CONFIG_NETBSD CONFIG_OPENBSD CONFIG_NVMM",
        "sunos": "CONFIG_SOLARIS",
        "haiku": "CONFIG_HAIKU",
        "emscripten": "CONFIG_WASM CONFIG_EMSCRIPTEN",
    }.items()
    for name in names.split()
}
"""Configuration symbols and variables of meson.build that hold on no Linux."""
HERE = ("CONFIG_LINUX", "CONFIG_POSIX", "CONFIG_LINUX_USER")
FOLDERS = {"bsd-user/": "BSD", "contrib/vmapple/": "darwin"}
_TARGETS = ("--enable-user", "--enable-linux-user", "--enable-bsd-user")
_SWITCHED_ON = ("--enable-rust", *_TARGETS, *(word.partition("=")[0] for word in SWITCHES))
"""Switches that other parts give: Rust needs its own tools too (-Drust=true), and targets are listed."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a source needs to be compiled: switches, libraries, or another machine."""

    switches: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    """Names for pkg-config or the linker, as in ``dependency()`` and ``find_library()``."""
    system: str = ""
    """Operating system, if it is another one than Linux."""
    processor: str = ""
    """Processors that the source is for, if it is only for some."""
    kvm: bool = False
    """Whether it is for KVM, which a target has only on hosts of its own kind."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    options: dict[str, None] = field(default_factory=dict)
    libraries: dict[str, None] = field(default_factory=dict)
    systems: dict[str, None] = field(default_factory=dict)
    processors: dict[str, None] = field(default_factory=dict)
    accelerators: dict[str, None] = field(default_factory=dict)


class Features:
    """The features of one commit. ``kconfig`` returns the text of all its Kconfig files."""

    def __init__(self, description: Description, configure: Configure, kconfig: Callable[[], str]) -> None:
        self.description = description
        self.configure = configure
        self.kconfig = cache(kconfig)
        self.assignments = cache(self._assignments)
        self.settings = cache(self._settings)

    def needs_of(self, path: str) -> Needs | None:
        """Return what the place that needs least has to have; None if no place names ``path``."""
        for folder, system in FOLDERS.items():
            if path.startswith(folder):
                return Needs(system=system)
        found = [self.needs(place) for place in self.description.places(path)]
        return min(found, key=lambda one: (bool(one.system), len(one.switches)), default=None)

    def needs(self, conditions: Iterable[Condition]) -> Needs:
        """Convert the ``conditions`` of one place."""
        found = _Found()
        for condition in conditions:
            self._add(condition, found, DEEPEST)
        return Needs(
            switches=tuple(dict.fromkeys(filter(None, map(self.switch, found.options)))),
            libraries=tuple(filter(None, found.libraries)),
            system=next(iter(found.systems), ""),
            processor=next(iter(found.processors), ""),
            kvm="KVM" in found.accelerators,
        )

    def switch(self, option: str) -> str:
        """Return the switch that enables an option of meson; empty if there is none or it is on anyway."""
        word = f"--enable-{option.lower().replace('_', '-')}"
        return word if word not in _SWITCHED_ON and self.configure.knows(word) else ""

    def _add(self, condition: Condition, found: _Found, depth: int) -> None:
        name = condition.name
        if condition.kind == "system":
            if not condition.fits_here:
                found.systems[name if condition.wanted else f"not {name}"] = None
        elif condition.kind == "processor":
            if condition.wanted:
                found.processors[name] = None
        elif not condition.wanted:
            if name in HERE:
                found.systems[f"not {name.removeprefix('CONFIG_').lower()}"] = None
        elif system := OTHER_SYSTEMS.get(name):
            found.systems[system] = None
        elif condition.kind == "option":
            found.options[name] = None
        elif depth and name not in HERE:
            symbol = name.removeprefix("CONFIG_")
            if condition.kind == "config":
                self._symbol(symbol, found, depth)
            else:
                self._variable(name, found, depth)

    def _variable(self, name: str, found: _Found, depth: int) -> None:
        before = len(found.options)
        for value, _ in self.assignments().get(name, ()):
            self._expression(value, found, depth - 1)
        if len(found.options) == before:
            guards = [guard.name for _, around in self.assignments().get(name, ()) for guard in around]
            own = name.removeprefix("have_")
            found.options.update(dict.fromkeys(guards or filter(self.switch, [own])))

    def _symbol(self, symbol: str, found: _Found, depth: int) -> None:
        if f"--enable-{symbol.lower().replace('_', '-')}" in _SWITCHED_ON:
            found.accelerators[symbol] = None
            return
        if self.switch(symbol):
            found.options[symbol] = None
            self._variable(symbol.lower(), found, depth)
        for condition in self.settings().get(symbol, ()):
            self._add(condition, found, depth - 1)
        for other in _depends(self.kconfig(), symbol):
            if other != symbol:
                self._symbol_of_kconfig(other, found, depth - 1)

    def _symbol_of_kconfig(self, symbol: str, found: _Found, depth: int) -> None:
        if depth > 0:
            self._add(Condition("config", f"CONFIG_{symbol}"), found, depth)

    def _expression(self, node: Any, found: _Found, depth: int) -> None:  # noqa: PLR0912 - kinds of nodes
        """Add the options and libraries that the value of a variable names, unless there are alternatives."""
        if isinstance(node, mparser.OrNode):
            return
        if isinstance(node, mparser.FunctionNode):
            names = [str(one.value) for one in node.args.arguments if isinstance(one, mparser.StringNode)]
            if node.func_name.value == "get_option":
                found.options.update(dict.fromkeys(names))
            elif node.func_name.value == "dependency":
                found.libraries.update(dict.fromkeys(names[:1]))
        if isinstance(node, mparser.MethodNode):
            if node.name.value == "find_library":
                names = [str(one.value) for one in node.args.arguments if isinstance(one, mparser.StringNode)]
                found.libraries.update(dict.fromkeys(names[:1]))
            elif node.name.value == "require":
                for argument in node.args.arguments:
                    for condition in read_condition(argument):
                        self._add(condition, found, depth)
                self._expression(node.source_object, found, depth)
                return
            elif node.name.value in ("has_function", "compiles", "links", "has_header", "disable_auto_if"):
                if node.name.value == "disable_auto_if":
                    self._expression(node.source_object, found, depth)
                return
        if isinstance(node, mparser.IdNode) and depth > 0:
            self._variable(str(node.value), found, depth)
        for child in children(node):
            self._expression(child, found, depth)

    def _assignments(self) -> dict[str, list[tuple[Any, tuple[Condition, ...]]]]:
        """Return the values that the top meson.build assigns to each variable, with the ``if``s around."""
        found: dict[str, list[tuple[Any, tuple[Condition, ...]]]] = {}
        for node, guards in _statements(self.description.tree(""), ()):
            if isinstance(node, mparser.AssignmentNode):
                found.setdefault(str(node.var_name.value), []).append((node.value, guards))
        return found

    def _settings(self) -> dict[str, tuple[Condition, ...]]:
        """Return what decides about each symbol: ``(x.found() ? ['CONFIG_X=y'] : [])`` and ``.set()``."""
        found: dict[str, tuple[Condition, ...]] = {}
        for node in _all(self.description.tree("")):
            if isinstance(node, mparser.TernaryNode):
                for one in children(node.trueblock):
                    if isinstance(one, mparser.StringNode) and str(one.value).endswith("=y"):
                        symbol = str(one.value)[:-2].removeprefix("CONFIG_")
                        found[symbol] = read_condition(node.condition)
            elif isinstance(node, mparser.MethodNode) and node.name.value == "set":
                words = node.args.arguments
                if len(words) == 2 and isinstance(words[0], mparser.StringNode):
                    symbol = str(words[0].value).removeprefix("CONFIG_")
                    found.setdefault(symbol, read_condition(words[1]))
        return found


def features_of(source: Path) -> Features:
    """Return the features of the sources below ``source``. Raises ConfigureError if it has no configure."""

    def read(path: str) -> str | None:
        try:
            return (source / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def kconfig() -> str:
        return "\n".join(
            read(str(path.relative_to(source))) or "" for path in sorted(source.rglob("Kconfig"))
        )

    return Features(Description(read), read_configure(source), kconfig)


def _statements(node: Any, guards: tuple[Condition, ...]) -> Iterator[tuple[Any, tuple[Condition, ...]]]:
    if isinstance(node, mparser.IfClauseNode):
        for branch in node.ifs:
            yield from _statements(branch.block, (*guards, *_options(branch.condition)))
        if isinstance(node.elseblock, mparser.ElseNode):
            yield from _statements(node.elseblock.block, guards)
    elif isinstance(node, mparser.ForeachClauseNode):
        yield from _statements(node.block, guards)
    elif isinstance(node, mparser.CodeBlockNode):
        for line in node.lines:
            yield from _statements(line, guards)
    elif node is not None:
        yield node, guards


def _options(node: Any) -> tuple[Condition, ...]:
    return tuple(one for one in read_condition(node) if one.kind == "option" and one.wanted)


def _all(node: Any) -> Iterator[Any]:
    for statement, _ in _statements(node, ()):
        waiting = [statement]
        while waiting:
            one = waiting.pop()
            yield one
            if isinstance(one, mparser.AssignmentNode | mparser.PlusAssignmentNode):
                waiting.append(one.value)
            waiting += children(one)


def _depends(kconfig: str, symbol: str) -> tuple[str, ...]:
    """Return the symbols that ``depends on`` of a symbol names, without those behind ``!`` or ``||``."""
    block = re.search(rf"^config {re.escape(symbol)}\n((?:[ \t]+.*\n|\n)*)", kconfig, re.MULTILINE)
    lines = re.findall(r"^\s+depends on (.*)$", block[1], re.MULTILINE) if block else []
    return tuple(
        name for line in lines if "||" not in line for name in re.findall(r"(?<![!\w])[A-Z]\w*", line)
    )
