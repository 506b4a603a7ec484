"""Added lines of compiled files that the preprocessor left out of every build.

The changed files are preprocessed again as the build did it. A group of lines between ``#if`` and ``#endif``
was compiled if the compiler has kept a line of it.
"""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from harness.bisect.compiled import COMPILED
from harness.bisect.conditions import WHOLE, Added, read_conditions
from harness.bisect.coverage import SHOWN, blame
from harness.bisect.testing import changed_by
from harness.build import Build
from harness.build.database import read_database, without_outputs
from harness.build.graph import read_graph, read_headers, relative
from harness.check import Finding, Judged
from harness.check.building import LEFT_OUT
from harness.figures import counted, ranges_of, shown
from harness.process import run
from harness.sandbox import Sandbox

LIMIT_S = 120.0
MOST = 40
"""Objects that are preprocessed for one file; each takes 0.1 to 0.3 s."""
PREPROCESS = ("-E", "-dD", "-dI")
"""Switches that print the directives ``#define``, ``#undef`` and ``#include`` too."""
SUFFIXES = (*COMPILED, ".h", ".hpp")
_MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"')
"""A linemarker: GCC manual, "Preprocessor Output"."""


def added_lines(judged: Judged) -> dict[str, Added]:
    """Return the changed C files of which a patch adds code below a condition."""
    numbers = {patch.commit: patch.number for patch in judged.patches if patch.commit}
    found = {}
    for path in sorted(changed_by(judged)):
        text = judged.read(judged.tip, path) if PurePosixPath(path).suffix in SUFFIXES else None
        conditions = read_conditions(text or "")
        if set(conditions.code.values()) <= {WHOLE}:
            continue
        lines = {line: numbers[commit] for line, commit in blame(judged, path) if commit in numbers}
        patches = {line: number for line, number in lines.items() if line in conditions.code}
        if any(conditions.code[line] for line in patches):
            found[path] = Added(conditions=conditions, patches=patches)
    return found


def preprocess(added: Mapping[str, Added], built: Build, goals: Iterable[str], sandbox: Sandbox) -> None:
    """Record which lines of ``added`` building ``goals`` of ``built``, the last commit, has compiled.

    Raises OSError if the build folder has no graph or no compilation database.
    """
    folder = Path(built.folder)
    if not added:
        return
    graph = read_graph(folder)
    objects = {path: name for name, path in graph.objects_of(graph.reach(goals)) if (folder / path).exists()}
    readers = read_headers(folder, objects, added)
    by_source: dict[str, list[str]] = defaultdict(list)
    for path, name in sorted(objects.items()):
        by_source[name].append(path)
    commands = {one.output: one.command for one in read_database(folder)}
    known: dict[str, dict[str, set[int]]] = {}
    for path, one in added.items():
        names = [name for user in (path, *sorted(readers.get(path, ()))) for name in by_source[user]]
        for at, name in enumerate(names):
            if one.objects and not one.excluded:
                break
            if at == MOST:
                one.more += len(names) - MOST
                break
            if name not in known:
                known[name] = _kept_lines(commands.get(name, ""), folder, sandbox)
            lines = known[name].get(path)
            if lines is not None:
                one.kept |= lines
                one.objects += 1


def _kept_lines(command: str, folder: Path, sandbox: Sandbox) -> dict[str, set[int]]:
    """Preprocess what ``command`` compiles. Returns the lines of each file of the tree that remain.

    Files that were not read are absent; so are all of them if the preprocessor fails.
    """
    words = [
        word for word in without_outputs(shlex.split(command)) if word != "-c" and not word.endswith("ccache")
    ]
    if not words:
        return {}
    ended = run(
        sandbox.wrap((*words, *PREPROCESS), folder),
        cwd=folder,
        check=False,
        merge_stderr=False,
        timeout_s=LIMIT_S,
    )
    kept: dict[str, set[int]] = {}
    file, number = "", 0
    # Not splitlines(): sources contain form feeds.
    for line in ended.output.split("\n") if ended.returncode == 0 else ():
        if match := _MARKER.match(line):
            file, number = _name(match[2], folder), int(match[1])
            kept.setdefault(file, set())
            continue
        if line.strip():
            kept[file].add(number)
        number += 1
    return kept


def _name(path: str, folder: Path) -> str:
    """Return ``path`` of a linemarker relative to the tree; empty if it is not in the tree."""
    source = f"{folder.parent / 'src'}/"
    return path.removeprefix(source) if path.startswith(source) else relative(path)


def only_excluded(added: Mapping[str, Added]) -> dict[str, str]:
    """Return the files of which no added line was compiled, and the conditions that they are below."""
    return {
        path: f"all added lines are below {_shown(one, one.excluded)}"
        for path, one in added.items()
        if one.is_excluded
    }


def excluded_findings(added: Mapping[str, Added]) -> Iterator[Finding]:
    """Yield a note for each patch and file with lines that were not compiled, unless it is all of them."""
    for path, one in added.items():
        if one.is_excluded:
            continue
        by_patch: dict[int, list[int]] = defaultdict(list)
        for line in one.excluded:
            by_patch[one.patches[line]].append(line)
        for number, lines in sorted(by_patch.items()):
            looked = f"none of {one.objects} of {one.objects + one.more} objects contains"
            who = looked if one.more else "no build compiled"
            yield LEFT_OUT.finding(
                f"{who} {counted(len(lines), 'added line')}: "
                f"{', '.join(ranges_of(lines)[:SHOWN])}, below {_shown(one, lines)}",
                patch=number,
                file=path,
                line=lines[0],
            )


def _shown(one: Added, lines: Iterable[int]) -> str:
    texts = dict.fromkeys(one.conditions.texts[one.conditions.code[line]] for line in lines)
    return shown(list(texts), 3)
