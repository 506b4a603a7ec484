"""Added lines that no test ran: the changed files compiled for coverage, the chosen tests run again.

Only the changed files are instrumented: a copy of build.ninja with --coverage for them. Everything else is as
it was built, so this costs some compile steps and the links, and no second build. gcov(1), which comes with
the compiler, prints what gcovr would read from it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from shutil import which

from harness.bisect.qtests import build_tests
from harness.bisect.testing import changed_by, choose, run_ready
from harness.bisect.walk import Walk
from harness.build import Build
from harness.build.graph import read_graph
from harness.check import CoveredFile, Finding, Judged
from harness.check.building import NOT_RUN
from harness.figures import ranges_of, shown
from harness.process import run

MANIFEST = "coverage.ninja"
PROGRAM = "gcov"
LIMIT_S = 300.0
SHOWN = 8
"""Maximum number of ranges of lines in a message."""
_BUILD = re.compile(r"build ((?:\$.|[^:])+): (\S+)(.*)$")


def measure(walk: Walk, built: Build, part: Judged) -> tuple[CoveredFile, ...]:
    """Return, for each patch and changed C file, the added lines that the chosen tests did not run.

    ``built`` is the build of the last commit of ``part``, which is checked out; it is restored. Raises the
    errors of the tests' build.
    """
    folder = Path(built.folder)
    sources = {path for path in changed_by(walk.judged) if path.endswith(".c")}
    chosen = choose(walk, built)
    graph = read_graph(folder)
    programs = [program for test in chosen for program in test.programs]
    objects = dict(
        sorted((path, name) for name, path in graph.objects_of(graph.reach(programs)) if name in sources)
    )
    if not objects or which(PROGRAM) is None or walk.extra.compiler != "gcc":
        why = "no chosen test is built from a changed C file" if not objects else "it needs gcc and gcov"
        walk.reporter.warn(f"no coverage: {why}")
        return ()
    text = (folder / "build.ninja").read_text(encoding="utf-8", errors="surrogateescape")
    (folder / MANIFEST).write_text(instrument(text, objects), encoding="utf-8", errors="surrogateescape")
    log = walk.log(walk.rows[-1].patch, "coverage")
    log.unlink(missing_ok=True)
    with walk.reporter.step("running the tests for coverage") as step:
        for path in objects:
            (folder / path).with_suffix(".gcda").unlink(missing_ok=True)
        build_tests(built, chosen, walk.sandbox, log, step, manifest=MANIFEST)
        run_ready(walk, walk.rows[-1].patch, built, chosen, log=log, step=step)
        counts = read_counts(walk, folder, objects)
        build_tests(built, chosen, walk.sandbox, log, step)
    return tuple(attribute(part, counts))


def instrument(text: str, objects: Collection[str]) -> str:
    """Return the build.ninja ``text`` with --coverage for ``objects``, and for each link."""
    lines = []
    variable = ""
    for line in text.splitlines():
        if match := _BUILD.match(line):
            rule = match[2]
            linked = "_LINKER" in rule and not rule.startswith("STATIC_LINKER")
            compiled = "_COMPILER" in rule and any(output in objects for output in match[1].split())
            variable = "LINK_ARGS" if linked else "ARGS" if compiled else ""
        elif variable and line.startswith(f" {variable} ="):
            line = f"{line} --coverage"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def read_counts(walk: Walk, folder: Path, objects: Iterable[str]) -> dict[str, dict[int, int]]:
    """Return how often each executable line of each source ran, over all ``objects``."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    notes = [str(Path(path).with_suffix(".gcno")) for path in objects if (folder / path).exists()]
    for note in notes:
        argv = (PROGRAM, "--json-format", "--stdout", note)
        ended = run(
            walk.sandbox.wrap(argv, folder), cwd=folder, check=False, merge_stderr=False, timeout_s=LIMIT_S
        )
        for line in ended.output.splitlines():
            if not line.startswith("{"):
                continue
            for file in json.loads(line)["files"]:
                name = re.sub(r"^(?:\.\./)*src/", "", file["file"])
                for entry in file["lines"]:
                    counts[name][entry["line_number"]] += entry["count"]
    return counts


def attribute(judged: Judged, counts: Mapping[str, Mapping[int, int]]) -> Iterator[CoveredFile]:
    """Yield the counts of the lines that the series adds, by patch and file."""
    patches = {patch.commit: patch.number for patch in judged.patches if patch.commit}
    for path in sorted(set(counts) & changed_by(judged)):
        added: dict[int, list[int]] = defaultdict(list)
        for line, commit in blame(judged, path):
            if commit in patches and line in counts[path]:
                added[patches[commit]].append(line)
        for number, lines in sorted(added.items()):
            missing = tuple(line for line in lines if not counts[path][line])
            ran = tuple(line for line in lines if counts[path][line])
            yield CoveredFile(patch=number, file=path, executable=len(lines), missing=missing, ran=ran)


def blame(judged: Judged, path: str) -> Iterator[tuple[int, str]]:
    """Yield each line number of ``path`` at the end of the series, and the commit that wrote the line."""
    listed = judged.git.read("blame", "--porcelain", f"{judged.base}..{judged.tip}", "--", path)
    for line in listed.splitlines():
        if match := re.match(r"([0-9a-f]{40,64}) \d+ (\d+)", line):
            yield int(match[2]), match[1]


def findings_of(covered: Iterable[CoveredFile], judged: Judged) -> Iterator[Finding]:
    """Yield a note for each file with added lines that no test ran."""
    for one in covered:
        if one.missing:
            text = (judged.read(judged.tip, one.file) or "").splitlines()
            yield NOT_RUN.finding(
                f"{len(one.missing)} of {one.executable} added lines were run by no test: "
                f"{shown(ranges_of(one.missing), SHOWN)}",
                patch=one.patch,
                file=one.file,
                line=one.missing[0],
                snippet=tuple(text[line - 1] for line in one.missing[:SHOWN] if line <= len(text)),
            )
