"""Read what a configured build compiles: the steps of build.ninja, and the headers that compilers reported.

Source: ninja manual, "Build statements"; ninja's src/deps_log.h for the format of .ninja_deps.
"""

import posixpath
import re
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

SOURCES = "../src/"
"""Relative path of the sources from each build folder (Layout.build_root)."""
_WORD = re.compile(r"(?:\$.|[^ $:|])+|:|\|")
_MAGIC = b"# ninjadeps\n"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One build statement. ``inputs`` are explicit. ``others`` are implicit ones, and the group of the
    order-only ones, which is a step of its own."""

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def is_compile(self) -> bool:
        return self.rule.endswith("_COMPILER") or "_COMPILER_" in self.rule

    @property
    def is_program(self) -> bool:
        """Whether it links a program or a shared library."""
        return "_LINKER" in self.rule and not self.is_archive

    @property
    def is_archive(self) -> bool:
        return self.rule.startswith("STATIC_LINKER")


@dataclass(frozen=True)
class Graph:
    """The steps of a build by output. Paths are as in build.ninja, sources begin with ``../src/``."""

    steps: dict[str, Step]

    def reach(self, goals: Iterable[str]) -> set[str]:
        """Return every path that ``goals`` need, themselves included."""
        seen: set[str] = set()
        waiting = [goal for goal in goals if goal in self.steps]
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                if step := self.steps.get(path):
                    waiting += (*step.inputs, *step.others)
        return seen

    def bound(self, paths: Iterable[str]) -> set[str]:
        """Return the headers from which steps that make ``paths`` generate code, as bindgen does for Rust."""
        steps = [self.steps[path] for path in paths if path in self.steps]
        inputs = (one for step in steps if step.rule == "CUSTOM_COMMAND_DEP" for one in step.inputs)
        return {name for path in inputs if (name := relative(path)).endswith(".h")}

    def configured(self, paths: Iterable[str]) -> set[str]:
        """Return the sources of which configure has written files among ``paths`` (configure_file of meson).

        The step that runs configure again names them: ``rust/trace/src/lib.rs`` of ``rust/trace/lib.rs``.
        """
        files = [PurePosixPath(path) for path in paths if path not in self.steps and not path.startswith("/")]
        again = self.steps.get("build.ninja")
        return {
            name
            for name in self.sources(again.inputs if again else ())
            if any(
                one.name == PurePosixPath(name).name and name.startswith(f"{one.parent}/") for one in files
            )
        }

    def sources(self, paths: Iterable[str]) -> set[str]:
        """Return the sources among ``paths``, relative to the tree."""
        return {name for path in paths if (name := relative(path))}

    def count(self, paths: Collection[str]) -> int:
        """Return the number of compile steps among the steps that make ``paths``."""
        return sum(path in self.steps and self.steps[path].is_compile for path in paths)

    def objects_of(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield source and object of each compile step whose object is in ``paths``."""
        for path in paths:
            step = self.steps.get(path)
            if step is not None and step.is_compile:
                for name in filter(None, map(relative, step.inputs)):
                    yield name, path

    @cached_property
    def programs(self) -> tuple[str, ...]:
        """Programs, shared libraries, and the archives whose objects no other one contains."""
        linked = [path for path, step in self.steps.items() if step.is_program]
        inside = self.reach(linked)
        archives = [path for path, step in self.steps.items() if step.is_archive]
        return (*linked, *(path for path in archives if not inside.issuperset(self.steps[path].inputs)))


def relative(path: str) -> str:
    """Return ``path`` of build.ninja relative to the sources; empty if it is not one of them."""
    if not path.startswith("../"):
        return ""
    clean = posixpath.normpath(path)
    return clean.removeprefix(SOURCES) if clean.startswith(SOURCES) else ""


def read_graph(folder: Path) -> Graph:
    """Read build.ninja below ``folder``. Raises OSError."""
    steps: dict[str, Step] = {}
    groups: dict[str, str] = {}  # the objects of a library wait for the same thousand generated headers
    text = (folder / "build.ninja").read_text(encoding="utf-8", errors="replace").replace("$\n", "")
    for top in {folder, folder.resolve()}:  # meson copies Rust code from absolute paths
        text = text.replace(f" {top.parent / 'src'}/", f" {SOURCES}")
    for line in text.splitlines():
        if not line.startswith("build "):
            continue
        explicit, _, late = line.removeprefix("build ").partition(" || ")
        if late and late not in groups:
            groups[late] = f"|| {len(groups)}"
            steps[groups[late]] = Step(rule="phony", outputs=(), inputs=tuple(_WORD.findall(late)), others=())
        step = _step(explicit, groups.get(late, ""))
        steps.update(dict.fromkeys(step.outputs, step))
    return Graph(steps)


def unknown_goals(folder: Path, goals: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``goals`` that build.ninja below ``folder`` does not build. Raises OSError."""
    text = (folder / "build.ninja").read_text(encoding="utf-8", errors="replace")
    return tuple(
        goal for goal in goals if not re.search(rf"^build {re.escape(goal)}[ :]", text, re.MULTILINE)
    )


def _step(line: str, group: str) -> Step:
    parts: dict[str, list[str]] = {"out": [], "in": [], "other": []}
    at = "out"
    for word in _WORD.findall(line):
        if word == ":" and at == "out":
            at = "in"
        elif word == "|":
            at = "other" if at == "in" else at
        else:
            parts[at].append(re.sub(r"\$(.)", r"\1", word) if "$" in word else word)
    rule, *inputs = parts["in"] or [""]
    others = (*parts["other"], *((group,) if group else ()))
    return Step(rule=rule, outputs=tuple(parts["out"]), inputs=tuple(inputs), others=others)


def read_headers(folder: Path, objects: Mapping[str, str], wanted: Collection[str]) -> dict[str, set[str]]:
    """Return those of ``wanted`` that compiling ``objects`` has read, with the sources of these objects.

    ``objects`` maps an object to its source. Sources and headers are relative to the tree.

    The compilers' reports are in .ninja_deps; ``ninja -t deps`` prints the same, but takes longer. A file of
    another version, or a damaged one, has no records.
    """
    try:
        data = (folder / ".ninja_deps").read_bytes()
    except OSError:
        return {}
    names: list[str] = []
    reports: dict[int, bytes] = {}
    at = len(_MAGIC) + 4
    if not data.startswith(_MAGIC) or int.from_bytes(data[at - 4 : at], sys.byteorder) not in (3, 4):
        return {}
    stamp = 4 if data[at - 4] == 3 else 8
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], sys.byteorder)
        record = data[at + 4 : at + 4 + (size & 0x7FFFFFFF)]
        at += 4 + len(record)
        if size >> 31:
            reports[int.from_bytes(record[:4], sys.byteorder)] = record[4 + stamp :]  # the last one counts
        else:
            names.append(record[:-4].rstrip(b"\0").decode("utf-8", "replace"))
    paths = {at: name for at, path in enumerate(names) if (name := relative(path)) in wanted}
    found: dict[str, set[str]] = {}
    for number, report in reports.items():
        if names[number : number + 1] and (source := objects.get(names[number])):
            for header in paths.keys() & set(array("I", report[: len(report) // 4 * 4])):
                found.setdefault(paths[header], set()).add(source)
    return found
