"""Read from a tree's meson.build files under which conditions a source is compiled.

Meson's own parser reads the files, and nothing runs them. Only what decides about a source is followed:
``if``, ``foreach`` over rows, ``when:``, and source sets that are added to others. Source: Meson manual,
"Syntax" and "Source set module".
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from mesonbuild import mparser  # type: ignore[import-untyped]

Kind = Literal["name", "config", "option", "system", "processor"]
SYSTEMS = ("targetos", "host_os")
PROCESSORS = ("cpu", "host_arch", "ARCH")
DEEPEST = 4


@dataclass(frozen=True)
class Condition:
    """One condition: a variable of meson, ``CONFIG_…``, an option, an operating system or a processor."""

    kind: Kind
    name: str
    wanted: bool = True

    @property
    def fits_here(self) -> bool:
        """Whether it holds on Linux, as far as it is about the operating system."""
        return self.kind != "system" or (self.name in ("linux", "posix")) == self.wanted


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A literal or variable in a meson.build, with what has to hold there; ``owner`` is the variable that it
    is added or assigned to."""

    text: str
    is_name: bool
    conditions: tuple[Condition, ...]
    owner: str


class Description:
    """The build description of one commit. ``read`` returns the text of a file of it, or None."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self.mentions = cache(self._mentions)
        self.tree = cache(self._tree)

    def places(self, path: str) -> tuple[tuple[Condition, ...], ...]:
        """Return the conditions of each place that names ``path``; empty if none does."""
        found: list[tuple[Condition, ...]] = []
        folder = posixpath.dirname(path)
        while True:
            for mention in self.mentions(folder):
                if not mention.is_name and _names(mention.text, folder, path):
                    above = self._folder(folder)
                    rest = (mention.conditions, *self._owner(folder, mention.owner, DEEPEST))
                    found.append(tuple(dict.fromkeys((*above, *(one for part in rest for one in part)))))
            if found or not folder:
                return tuple(found)
            folder = posixpath.dirname(folder)

    def _owner(self, folder: str, name: str, depth: int) -> Iterator[tuple[Condition, ...]]:
        """Yield the conditions under which the variable ``name`` is added to another source set."""
        if not name or depth == 0:
            return
        used = [
            one for one in self.mentions(folder) if one.is_name and one.text == name and one.owner != name
        ]
        if used:
            best = min(used, key=lambda one: len(one.conditions))
            yield best.conditions
            yield from self._owner(folder, best.owner, depth - 1)

    def _folder(self, folder: str) -> tuple[Condition, ...]:
        """Return the conditions of the ``subdir()`` calls that lead to ``folder``."""
        above: list[Condition] = []
        while folder:
            parent = posixpath.dirname(folder)
            name = posixpath.basename(folder)
            calls = [one.conditions for one in self.mentions(parent) if one.text == f"subdir {name}"]
            above += sorted(calls, key=len)[0] if calls else ()
            folder = parent
        return tuple(above)

    def _tree(self, folder: str) -> Any:
        text = self._read(posixpath.join(folder, "meson.build"))
        if text is None:
            return None
        try:
            return mparser.Parser(text, "meson.build").parse()
        except (mparser.MesonException, RecursionError, ValueError):
            return None  # the build reports it

    def _mentions(self, folder: str) -> tuple[Mention, ...]:
        tree = self.tree(folder)
        return tuple(_visit(tree, (), "")) if tree is not None else ()


def _names(text: str, folder: str, path: str) -> bool:
    """Whether a literal of ``folder`` names ``path``; tests are named without suffix, others by a pattern."""
    name = posixpath.normpath(posixpath.join(folder, text))
    stem, suffix = posixpath.splitext(path)
    if name == path or (folder.startswith("tests") and stem == name):
        return True
    pattern = re.fullmatch(r"([\w./-]+)@\d@" + re.escape(suffix), name)  # 'coroutine-@0@.c'
    return pattern is not None and not pattern[1].endswith("/") and path.startswith(pattern[1])


def _visit(  # noqa: PLR0912 - a branch for each kind of node
    node: Any, conditions: tuple[Condition, ...], owner: str
) -> Iterator[Mention]:
    if isinstance(node, mparser.StringNode | mparser.IdNode):
        is_name = isinstance(node, mparser.IdNode)
        yield Mention(text=str(node.value), is_name=is_name, conditions=conditions, owner=owner)
    elif isinstance(node, mparser.IfClauseNode):
        passed = conditions
        for branch in node.ifs:
            yield from _visit(branch.block, (*passed, *read_condition(branch.condition)), owner)
            passed = (*passed, *read_condition(branch.condition, wanted=False))
        if isinstance(node.elseblock, mparser.ElseNode):
            yield from _visit(node.elseblock.block, passed, owner)
    elif isinstance(node, mparser.CodeBlockNode):
        for line in node.lines:
            yield from _visit(line, conditions, owner)
            if isinstance(line, mparser.IfClauseNode) and _leaves(line.ifs[0].block):
                conditions = (*conditions, *read_condition(line.ifs[0].condition, wanted=False))
    elif isinstance(node, mparser.ForeachClauseNode):
        for row in children(node.items):
            names = [one for one in children(row) if isinstance(one, mparser.IdNode)]
            extra = tuple(Condition("name", str(one.value)) for one in names)
            yield from _visit(row, (*conditions, *extra), owner)
        yield from _visit(node.block, conditions, owner)
    elif isinstance(node, mparser.MethodNode):
        yield from _method(node, conditions, owner)
    elif isinstance(node, mparser.AssignmentNode | mparser.PlusAssignmentNode):
        yield from _visit(node.value, conditions, str(node.var_name.value))
    elif isinstance(node, mparser.FunctionNode) and node.func_name.value == "subdir":
        for one in node.args.arguments:
            if isinstance(one, mparser.StringNode):
                yield Mention(text=f"subdir {one.value}", is_name=True, conditions=conditions, owner="")
    elif node is not None:
        for child in children(node):
            yield from _visit(child, conditions, owner)


def _leaves(block: Any) -> bool:
    """Whether ``block`` calls ``subdir_done()``."""
    calls = [line for line in children(block) if isinstance(line, mparser.FunctionNode)]
    return any(call.func_name.value == "subdir_done" for call in calls)


def _method(node: Any, conditions: tuple[Condition, ...], owner: str) -> Iterator[Mention]:
    source = node.source_object
    if isinstance(source, mparser.StringNode):  # '….c'.format(…)
        yield from _visit(source, conditions, owner)
    mine = str(source.value) if isinstance(source, mparser.IdNode) else owner
    words = {str(key.value): value for key, value in node.args.kwargs.items()}
    when = words.pop("when", None)
    for key, value in words.items():
        extra: tuple[Condition, ...] = ()
        if when is not None and key in ("if_true", "if_false"):
            extra = read_condition(when, wanted=key == "if_true")
        yield from _visit(value, (*conditions, *extra), mine)
    extra = read_condition(when) if when is not None else ()
    for value in node.args.arguments:
        yield from _visit(value, (*conditions, *extra), mine)


def children(node: Any) -> tuple[Any, ...]:
    """Return the expressions and statements inside ``node``, in their order."""
    if isinstance(node, mparser.ArrayNode | mparser.DictNode | mparser.FunctionNode):
        return children(node.args)
    if isinstance(node, mparser.ArgumentNode):
        names = [key for key in node.kwargs if isinstance(key, mparser.StringNode)]  # of a dictionary
        return (*node.arguments, *names, *node.kwargs.values())
    if isinstance(node, mparser.CodeBlockNode):
        return tuple(node.lines)
    if isinstance(node, mparser.BinaryOperatorNode):
        return (node.left, node.right)
    if isinstance(node, mparser.ParenthesizedNode):
        return (node.inner,)
    if isinstance(node, mparser.MethodNode):
        return (node.source_object, node.args)
    if isinstance(node, mparser.TernaryNode):
        return (node.condition, node.trueblock, node.falseblock)
    if isinstance(node, mparser.UnaryOperatorNode):
        return (node.value,)
    return ()


def read_condition(node: Any, *, wanted: bool = True) -> tuple[Condition, ...]:
    """Return what has to hold so that ``node`` is true (or false); what is not understood holds."""
    if isinstance(node, mparser.IdNode):
        return (Condition("name", str(node.value), wanted),)
    if isinstance(node, mparser.StringNode):
        return (Condition("config", str(node.value), wanted),)
    if isinstance(node, mparser.ParenthesizedNode):
        return read_condition(node.inner, wanted=wanted)
    if isinstance(node, mparser.NotNode):
        return read_condition(node.value, wanted=not wanted)
    if isinstance(node, mparser.AndNode | mparser.OrNode):
        left, right = read_condition(node.left, wanted=wanted), read_condition(node.right, wanted=wanted)
        if isinstance(node, mparser.AndNode) == wanted:
            return (*left, *right)
        return left if all(one.fits_here for one in left) else right
    if isinstance(node, mparser.ArrayNode):
        parts = [read_condition(one, wanted=wanted) for one in children(node)]
        return tuple(one for part in parts for one in part) if wanted or len(parts) == 1 else ()
    if isinstance(node, mparser.ComparisonNode):
        return _comparison(node, wanted=wanted)
    if isinstance(node, mparser.FunctionNode) and node.func_name.value == "get_option":
        return tuple(Condition("option", str(one.value), wanted) for one in children(node))
    if isinstance(node, mparser.MethodNode):
        match str(node.name.value):
            case "disabled":
                return read_condition(node.source_object, wanted=not wanted)
            case "found" | "allowed" | "enabled" | "disable_auto_if" | "require" | "enable_auto_if":
                return read_condition(node.source_object, wanted=wanted)
    return ()


def _comparison(node: Any, *, wanted: bool) -> tuple[Condition, ...]:
    wanted = wanted != (node.ctype in ("!=", "notin", "not in"))
    values = [
        str(one.value) for one in (node.right, *children(node.right)) if isinstance(one, mparser.StringNode)
    ]
    subject = node.left
    name = str(subject.value) if isinstance(subject, mparser.IdNode) else ""
    if isinstance(subject, mparser.MethodNode) and subject.name.value == "system":
        name = "host_os"
    if name in SYSTEMS and values:
        return (Condition("system", "linux" if "linux" in values else values[0], wanted),)
    if name in PROCESSORS and values:
        return (Condition("processor", " ".join(values), wanted),)
    if isinstance(subject, mparser.StringNode) and str(subject.value).startswith("CONFIG_"):
        return (Condition("config", str(subject.value), wanted),)
    return ()
