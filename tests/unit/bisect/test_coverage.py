"""Added lines that no test ran: changed files compiled for coverage, counts, and their patches."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bisect import coverage as module
from harness.bisect.coverage import attribute, findings_of, instrument, measure, read_counts
from harness.bisect.suites import QemuTest
from harness.check import CoveredFile, Judged
from harness.errors import TimeoutExpiredError
from harness.figures import ranges_of
from harness.sandbox import NO_SANDBOX
from harness.tree.git import Git
from tests.unit.bisect.support import RecordingSandbox
from tests.unit.check.support import Recorder, judged
from tests.unit.repositories import git, touch_files
from tests.unit.series.mails import DIFF, patch

NINJA = """\
cc = gcc
rule c_COMPILER
 command = $cc $ARGS -c $in -o $out
rule c_LINKER
 command = $cc $in -o $out $LINK_ARGS
rule STATIC_LINKER
 command = rm -f $out && gcc-ar csr $out $in
build util_a.c.o: c_COMPILER ../src/util/a.c
 ARGS = -O0
 DESC = util/a
build main.c.o: c_COMPILER ../src/main.c
 ARGS = -O0
build lib.a: STATIC_LINKER util_a.c.o
 LINK_ARGS = csr
build test-a: c_LINKER main.c.o lib.a
 LINK_ARGS = -lm
"""
A = """\
int a(int n)
{
    if (n > 1) {
        return 7;
    }
    return 8;
}
"""


def test_changed_files_and_links_get_the_flag():
    assert instrument(NINJA, {"util_a.c.o"}) == NINJA.replace(
        "a.c\n ARGS = -O0", "a.c\n ARGS = -O0 --coverage"
    ).replace("-lm", "-lm --coverage")


def test_lines_are_shown_as_ranges():
    assert ranges_of([9, 3, 4, 5, 7]) == ["3-5", "7", "9"]
    assert ranges_of([]) == []


def repository(folder):
    """A clone with a base and two patches to util/a.c."""

    def commit(text):
        (folder / "util" / "a.c").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "x")
        return git(folder, "rev-parse", "HEAD")

    (folder / "util").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "main.c").write_text("int a(int); int main(void) { return a(0) == 8 ? 0 : 1; }\n")
    lines = A.splitlines(keepends=True)
    base = commit("".join(lines[:2] + lines[5:]))
    first = commit("".join(lines[:3] + lines[3:5] + lines[5:]))
    second = commit("/* new */\n" + A)
    found = judged(
        patch("[PATCH 1/2] util: a", ident="1@e.org", diff=DIFF),
        patch("[PATCH 2/2] util: b", ident="2@e.org", diff=DIFF),
    )
    patches = tuple(
        dataclasses.replace(one, commit=commit)
        for one, commit in zip(found.patches, (first, second), strict=True)
    )
    return Judged(
        input=found.input,
        patches=patches,
        pin="7.2",
        git=Git(repository=folder / ".git"),
        base=base,
        tip=second,
    )


def test_lines_are_attributed_to_the_patch_that_adds_them(tmp_path):
    series = repository(tmp_path)
    counts = {"util/a.c": {2: 1, 3: 1, 4: 1, 5: 0, 7: 1}, "util/other.c": {1: 0}}
    covered = list(attribute(series, counts))
    assert covered == [CoveredFile(patch=1, file="util/a.c", executable=2, missing=(5,), ran=(4,))]
    (finding,) = findings_of(covered, series)
    assert (finding.rule, finding.severity, finding.patch) == ("lines-not-run", "note", 1)
    assert (finding.file, finding.line, finding.snippet) == ("util/a.c", 5, ("        return 7;",))
    assert finding.message == "1 of 2 added lines were run by no test: 5"


def test_lines_that_ran_are_no_finding(tmp_path):
    covered = CoveredFile(patch=1, file="util/a.c", executable=2, missing=())
    assert list(findings_of([covered], judged(patch("[PATCH] a", diff=DIFF)))) == []
    many = CoveredFile(patch=1, file="util/a.c", executable=40, missing=tuple(range(2, 41, 2)))
    (finding,) = findings_of([many], repository(tmp_path))
    assert finding.message.endswith("14, 16 and 12 more")
    assert finding.snippet == ("int a(int n)", "    if (n > 1) {", "    }", "}"), "the file has 8 lines"


GCOV = """\
#!/bin/sh
[ "$1 $2" = "--json-format --stdout" ] || exit 9
echo noise
echo '{"files": [{"file": "../src/a.c", "lines": [{"line_number": 7, "count": 2}]}]}'
echo '{"no data": ' >&2
echo "$3" >> notes
exit 1
"""


def test_counts_of_all_objects_are_added(tmp_path, monkeypatch):
    program = tmp_path / "gcov"
    program.write_text(GCOV)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder = tmp_path / "native"
    touch_files(folder, "x.o", "y.o")
    walk = SimpleNamespace(sandbox=RecordingSandbox())
    assert read_counts(walk, folder, ["x.o", "y.o", "gone.o"]) == {"a.c": {7: 4}}
    assert (folder / "notes").read_text().split() == ["x.gcno", "y.gcno"]
    assert [where for _, where in walk.sandbox.commands] == [folder] * 2
    program.write_text("#!/bin/sh\nsleep 60\n")
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    with pytest.raises(TimeoutExpiredError):
        read_counts(walk, folder, ["x.o"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcov") is None or shutil.which("gcc") is None, reason="needs gcc and gcov")
def test_tests_run_with_the_instrumented_files(tmp_path, monkeypatch):
    series = repository(tmp_path / "src")
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "build.ninja").write_bytes(b"# \xff\n" + NINJA.encode())
    ninja = str(Path(sys.executable).parent / "ninja")
    subprocess.run([ninja, "-C", folder, "test-a"], check=True, stdout=subprocess.DEVNULL)
    before = (folder / "test-a").stat().st_size
    commands = (SimpleNamespace(purpose="compile", env={}, argv=(ninja, "-j1")),)
    built = SimpleNamespace(folder=str(folder), source=str(tmp_path / "src"), commands=commands)
    test = QemuTest(name="test-a", suite="unit", programs=("test-a",), sources=())
    chosen = [test]

    def choose(*given):
        assert given == (walk, built)
        return tuple(chosen)

    def run_ready(*given, log, step):
        assert (given, log) == ((walk, 2, built, (test,)), tmp_path / "2-coverage.log")
        assert "coverage.ninja" in log.read_text()
        assert step is walk.reporter
        subprocess.run([folder / "test-a"], check=True)

    monkeypatch.setattr(module, "choose", choose)
    monkeypatch.setattr(module, "run_ready", run_ready)
    walk = SimpleNamespace(
        judged=series,
        sandbox=NO_SANDBOX,
        extra=SimpleNamespace(compiler="gcc"),
        reporter=Recorder(),
        rows=[SimpleNamespace(patch=2)],
        log=lambda number, what: tmp_path / f"{number}-{what}.log",
    )
    for _ in range(2):
        assert measure(walk, built, walk.judged) == (
            CoveredFile(patch=1, file="util/a.c", executable=2, missing=(5,), ran=(4,)),
        )
        assert (tmp_path / "2-coverage.log").read_text().count(" -k0 ") == 2
        (folder / "util_a.c.gcda").write_text("of another build")
    assert (folder / "test-a").stat().st_size == before, "the build is restored"
    walk.extra.compiler = "clang"
    assert measure(walk, built, walk.judged) == ()
    assert "no coverage: it needs gcc and gcov" in walk.reporter.lines[-1]
    walk.extra.compiler = "gcc"
    chosen.clear()
    assert measure(walk, built, walk.judged) == ()
    assert "no chosen test" in walk.reporter.lines[-1]
