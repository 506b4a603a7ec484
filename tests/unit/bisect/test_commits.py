"""Each new problem is attributed to the commit that introduces it, and problems of the base to none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bisect import commits as module
from harness.bisect import run_bisect
from harness.bisect.commits import BisectResult, cost_of
from harness.bisect.diagnostics import read_diagnostics
from harness.bisect.qtests import QemuTest, choose_tests
from harness.check import CommitBuild, Judged, JudgedPatch, TestRow
from harness.errors import CompileError, InfrastructureError, StorageError
from harness.layout import Layout
from harness.progress import Silent
from harness.sandbox import NO_SANDBOX
from harness.series import Input, find_thread, read_mail
from harness.series.series import SeriesFile
from harness.tree.git import Git
from tests.unit.build.support import make_options, make_pin
from tests.unit.series.mails import patch

WARNING = "../src/util/a.c:{line}:5: error: unused variable 'x' [-Werror=unused-variable]"
ERROR = "../src/util/b.c:7:1: error: unknown type name 'y'"


def judged(count: int = 4) -> Judged:
    mails = tuple(
        read_mail(patch(f"[PATCH {n}/{count}] util: n{n}", ident=f"{n}@e.org"), f"{n}")
        for n in range(1, count + 1)
    )
    found = Input(
        kind="mailbox",
        source="x",
        name="x",
        mails=mails,
        thread=find_thread(mails),
        metadata=SeriesFile(title="x"),
    )
    return Judged(
        input=found,
        patches=tuple(
            JudgedPatch(number=n, mail=mail, commit=f"c{n}", parent=f"c{n - 1}")
            for n, mail in enumerate(mails, 1)
        ),
        pin="7.2",
        git=Git(repository=Path("/nowhere")),
        base="c0",
        tip=f"c{count}",
    )


@pytest.fixture
def walk(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BisectResult]:
    """Build four commits with the compiler output in ``logs`` and the failing tests in ``failing``.

    Both are by commit id. ``once``: a failed compilation succeeds at the second attempt.
    """

    def run(
        logs: dict[str, list[str]] | None = None,
        failing: dict[str, list[str]] | None = None,
        *,
        once: bool = False,
        **options: Any,
    ) -> BisectResult:
        attempts: list[str] = []

        def build(checkout: Any, *_: object, **__: object) -> Any:
            attempts.append(checkout.commit)
            output = (logs or {}).get(checkout.commit, [])
            log = layout.root / f"{checkout.commit}.log"
            log.write_text("\n".join(output))
            repeated = attempts.count(checkout.commit) > 1
            if any("error:" in line for line in output) and not (once and repeated):
                raise CompileError("compiling failed", "fix it", details=tuple(output), log=log)
            return SimpleNamespace(
                logs=(str(log),),
                reused=False,
                steps=1,
                cache=None,
                folder=str(layout.root),
                commit=checkout.commit,
            )

        def run_tests(build: Any, tests: Any, *_: object, patch: int, **__: object) -> tuple[TestRow, ...]:
            bad = (failing or {}).get(build.commit, [])
            return tuple(
                TestRow(
                    patch=patch,
                    suite="unit",
                    name=test.name,
                    outcome="failed" if test.name in bad else "ok",
                    seconds=0.1,
                )
                for test in tests
            )

        tests = (QemuTest(name="a", suite="unit", programs=(), sources=()),)
        monkeypatch.setattr(module, "build", build)
        monkeypatch.setattr(
            module,
            "checkout_commit",
            lambda tree, label, commit, *_: SimpleNamespace(commit=commit, label=label),
        )
        monkeypatch.setattr(module, "list_tests", lambda *_: tests)
        monkeypatch.setattr(module, "build_tests", lambda *_: SimpleNamespace(returncode=0))
        monkeypatch.setattr(module, "run_tests", run_tests)
        parsed = make_options(**({"qemu_tests": "all"} | options))
        tree: Any = SimpleNamespace(name="7.2")
        return run_bisect(judged(), tree, make_pin(), parsed, layout, Silent(), NO_SANDBOX)

    return run


def places(built: BisectResult) -> list[tuple[str, int, str, int]]:
    return [(one.rule, one.patch, one.file, one.line) for one in built.findings]


def test_each_commit_is_built(walk: Callable[..., BisectResult]) -> None:
    built = walk()
    assert [(row.patch, row.outcome) for row in built.rows] == [(n, "ok") for n in range(5)]
    assert built.findings == ()
    assert built.tip_builds
    assert [row.patch for row in walk(bisect="ends").rows] == [0, 4]
    (finding,) = walk({"c4": [ERROR]}, bisect="ends").findings
    assert "-Dbisect=each" in finding.message


def test_single_patch_is_built_after_its_predecessor(walk: Callable[..., BisectResult]) -> None:
    assert [row.patch for row in walk(patches=("3",)).rows] == [0, 2, 3]
    assert [row.patch for row in walk(patches=("1", "4"), bisect="ends").rows] == [0, 1, 3, 4]
    plain = ["../src/util/a.c:3:5: warning: unused variable 'x' [-Wunused-variable]"]
    assert places(walk({"c2": plain, "c3": plain}, patches=("3",))) == [("build-warning", 2, "util/a.c", 3)]


def test_warning_is_attributed_to_the_first_commit_that_has_it(walk: Callable[..., BisectResult]) -> None:
    warn = [WARNING.format(line=3)]
    built = walk({"c2": warn, "c3": [WARNING.format(line=9)], "c4": []})
    assert places(built) == [("build-warning", 2, "util/a.c", 3)]
    assert [row.outcome for row in built.rows] == ["ok", "ok", "failed", "failed", "ok"]
    assert built.rows[3].reason == "same errors as patch 2"
    plain = ["../src/util/a.c:3:5: warning: unused variable 'x' [-Wunused-variable]"]
    assert places(walk({"c0": plain, "c1": plain})) == [], "the base has it"
    assert places(walk({"c3": plain})) == [("build-warning", 3, "util/a.c", 3)]


def test_errors_and_warnings_are_both_reported(walk: Callable[..., BisectResult]) -> None:
    built = walk({"c1": [WARNING.format(line=3), ERROR], "c2": [ERROR], "c3": [ERROR], "c4": [ERROR]})
    assert places(built) == [("build-warning", 1, "util/a.c", 3), ("build-fails", 1, "util/b.c", 7)]
    assert not built.tip_builds
    other = walk({"c1": [ERROR], "c2": [ERROR, "../src/util/c.c:1:1: error: another"]})
    assert [(rule, number) for rule, number, _, _ in places(other)] == [
        ("build-fails", 1),
        ("build-fails", 2),
    ]


def test_broken_base_or_killed_compiler_is_an_infrastructure_error(
    walk: Callable[..., BisectResult],
) -> None:
    with pytest.raises(InfrastructureError, match="the base does not build"):
        walk({"c0": [ERROR]})
    with pytest.raises(InfrastructureError, match="memory"):
        walk({"c2": ["gcc: fatal error: Killed signal terminated program cc1"]})


def test_failure_that_is_not_reproducible_is_ignored(walk: Callable[..., BisectResult]) -> None:
    built = walk({"c2": [ERROR]}, once=True)
    assert built.tip_builds
    assert [row.outcome for row in built.rows] == ["ok"] * 5


def test_full_disk_ends_the_run(walk: Callable[..., BisectResult], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full", "free some")

    walk()
    monkeypatch.setattr(module, "_one", full)
    with pytest.raises(StorageError):
        run_bisect(
            judged(), SimpleNamespace(name="7.2"), make_pin(), make_options(), _layout(), Silent(), NO_SANDBOX
        )


def _layout() -> Layout:
    here = Path("/nowhere")
    return Layout(root=here, build=here, trees=here, cache=here)


def test_failing_test_is_attributed_to_the_first_commit_that_it_fails_on(
    walk: Callable[..., BisectResult],
) -> None:
    assert places(walk(failing={"c2": ["a"], "c3": ["a"], "c4": ["a"]})) == [("test-fails", 2, "", 0)]
    assert places(walk(failing={f"c{n}": ["a"] for n in range(5)})) == [], "fails on the base"
    again = walk(failing={"c1": ["a"], "c3": ["a"]})
    assert [number for _, number, _, _ in places(again)] == [1, 3], "fixed in between"


def test_diagnostics_have_a_place_and_a_switch() -> None:
    one, two = read_diagnostics(
        ["noise", WARNING.format(line=3), WARNING.format(line=3), ERROR, "x.c: In function"]
    )
    assert (one.file, one.line, one.switch, one.is_warning) == ("util/a.c", 3, "unused-variable", True)
    assert one.text == "unused variable 'x'"
    assert not two.is_warning


def test_tests_are_selected_by_source_and_name() -> None:
    def test(name: str, *sources: str) -> QemuTest:
        return QemuTest(name=name, suite="unit", programs=(), sources=sources)

    tests = (
        test("check-qdict", "tests/unit/check-qdict.c"),
        test("test-util-sockets", "tests/unit/test-util-sockets.c"),
        test("qtest-x86_64/async-teardown-test"),
        test("qtest-x86_64/boot-serial-test"),
    )

    def chosen(*changed: str) -> list[str]:
        return [one.name for one in choose_tests(tests, changed, "touched")]

    assert chosen("tests/unit/check-qdict.c") == ["check-qdict"]
    assert chosen("util/async-teardown.c") == ["qtest-x86_64/async-teardown-test"]
    assert chosen("meson.build", "util/main.c", "docs/x.rst") == []
    assert choose_tests(tests, (), "all") == choose_tests(tests, (), "unit") == tests
    assert choose_tests(tests, (), "qtest") == ()
    assert choose_tests(tests, ("tests/unit/check-qdict.c",), "none") == ()


def test_ratio_is_computed_only_for_a_cold_base() -> None:
    def row(n: int, seconds: float, hits: int, misses: int) -> CommitBuild:
        return CommitBuild(
            patch=n,
            commit="c",
            host="native",
            outcome="ok",
            seconds=seconds,
            cache_hits=hits,
            cache_misses=misses,
        )

    cold = cost_of([row(0, 100, 1, 999), row(1, 20, 5, 5)])
    warm = cost_of([row(0, 100, 900, 100), row(1, 20, 5, 5)])
    assert cold is not None
    assert warm is not None
    assert (cold.ratio, warm.ratio, warm.all_s) == (1.2, 0.0, 120)
