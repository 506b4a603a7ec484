"""Fakes of the stages that run_bisect calls: checkout, build, QEMU's tests and Sphinx."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bisect import commits as module
from harness.bisect import proof, run_bisect, testing
from harness.bisect.choice import prefer_hosts
from harness.bisect.manual import Manual
from harness.bisect.scope import Scope
from harness.bisect.suites import QemuTest
from harness.build.plan import Extra
from harness.check import Judged, TestRow
from harness.errors import CompileError, ConfigureError
from harness.layout import Layout
from harness.options import Options
from tests.unit.build.support import make_options
from tests.unit.check.support import Recorder
from tests.unit.check.support import judged as series
from tests.unit.series.mails import DIFF, patch


def judged(count=4, diff=DIFF):
    """A series of ``count`` patches with the commits ``c1``, ``c2`` … on the base ``c0``."""
    return series(
        *(
            patch(f"[PATCH {n}/{count}] util: n{n}", ident=f"{n}@e.org", diff=diff)
            for n in range(1, count + 1)
        )
    )


@dataclass
class RecordingSandbox:
    """A sandbox that changes nothing and records the commands that it wraps, with their folders."""

    commands: list[tuple[str, Path]] = field(default_factory=list)
    name: str = "recorded"

    def wrap(self, argv, folder):
        self.commands.append((" ".join(argv), folder))
        return tuple(argv)

    def trusting(self):
        return TRUSTING


TRUSTING = RecordingSandbox(name="trusting")


@dataclass(kw_only=True)
class Walk:
    """Run run_bisect on commits that build and test as the fields specify, by commit id.

    Each fake checks that it gets the tree, pin, options, layout, reporter and sandbox of the run.
    """

    layout: Layout
    monkeypatch: pytest.MonkeyPatch
    series: Judged = field(default_factory=judged)
    reporter: Recorder = field(default_factory=Recorder)
    tree: Any = field(default_factory=lambda: SimpleNamespace(name="7.2"))
    sandbox: RecordingSandbox = field(default_factory=RecordingSandbox)
    logs: dict[str, list[str]] = field(default_factory=dict)
    """Output of the compiler; a line with ``error:`` makes the build fail."""
    again: dict[str, list[str]] = field(default_factory=dict)
    """Output of the second attempt, if it differs."""
    unconfigured: dict[str, list[str]] = field(default_factory=dict)
    """Output of configure, which fails."""
    once: bool = False
    """Whether a failed compilation succeeds at the second attempt."""
    reused: frozenset[str] = frozenset()
    cache: Any = None
    tests: tuple[QemuTest, ...] = (QemuTest(name="a", suite="unit", programs=(), sources=()),)
    test_logs: dict[str, list[str]] = field(default_factory=dict)
    """Output of building the tests; a line with ``error:`` makes it fail, and creates no programs."""
    failing: dict[str, list[str]] = field(default_factory=dict)
    """Commit → names of its failing tests, each with the parts that fail, if any: ``a:one two``."""
    skipping: dict[str, list[str]] = field(default_factory=dict)
    outcome: str = "failed"
    sphinx: str = ""
    manuals: dict[str, Manual] = field(default_factory=dict)
    trusts_base: bool = False
    trusted: list[str] = field(default_factory=list)
    """Commits that were built in the trusting sandbox."""
    builds: list[tuple[str, str, bool]] = field(default_factory=list)
    """Commit, host and keep_going of each build."""
    test_runs: list[tuple[str, list[str], int]] = field(default_factory=list)
    """Commit, names and number of processes of each run of tests."""
    known: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Commit → failures that its run of tests was told of."""
    asked: Any = None
    scope: Scope | None = None
    """What is built; the targets of the options alone if it is None."""
    present: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Commit → targets of its tree, if they are not those of the options."""
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Commit → targets that it was built for."""
    clock: float = 100.0

    def __call__(self, logs=None, failing=None, **options):
        self.logs = logs or {}
        self.failing = failing or {}
        self.builds, self.test_runs, self.reporter = [], [], Recorder()
        self.asked = make_options(**({"qemu_tests": ("all",)} | options))
        for name in ("build", "checkout_commit", "make_manual"):
            self.monkeypatch.setattr(module, name, getattr(self, f"_{name}"))
        for name in ("list_tests", "build_tests", "run_tests"):
            self.monkeypatch.setattr(testing, name, getattr(self, f"_{name}"))
        self.monkeypatch.setattr(proof, "list_tests", self._list_tests)
        self.monkeypatch.setattr(proof, "build_tests", self._build_tests)
        self.monkeypatch.setattr(proof, "with_test_files", self._with_test_files)
        self.monkeypatch.setattr(module, "choose_scope", self._choose_scope)
        self.monkeypatch.setattr(module, "find_sphinx", lambda: self.sphinx)
        self.monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self._monotonic))
        rest = (self.layout, self.reporter, self.sandbox)
        return run_bisect(self.series, self.tree, self.asked, *rest, trusts_base=self.trusts_base)

    def log(self, number, name):
        """The log of the tests or the manual of a patch."""
        return self.layout.logs / f"7.2-validate-x-native-{number:02}-{name}.log"

    def _monotonic(self):
        self.clock += 1.25
        return self.clock

    def _choose_scope(self, judged, *rest):
        assert judged is self.series
        tree, options, *others = rest
        assert tree == self.tree
        assert isinstance(options, Options)
        assert dataclasses.replace(options, targets=self.asked.targets) == self.asked
        assert others == [self.layout, self.reporter, self.sandbox, "validate-x", {}]
        return self.scope or Scope(targets=options.targets)

    def _checkout_commit(self, tree, label, commit, layout, reporter):
        assert (tree, label, layout, reporter) == (self.tree, "validate-x", self.layout, self.reporter)
        usual = (*prefer_hosts(self.asked).targets, *(self.scope.targets if self.scope else ()))
        targets = self.present.get(commit, usual)
        return SimpleNamespace(commit=commit, facts=SimpleNamespace(targets=targets), path=layout.root)

    def _build(self, checkout, options, layout, reporter, *, host, keep_going, sandbox, extra):
        if sandbox is TRUSTING:
            self.trusted.append(checkout.commit)
            sandbox = self.sandbox
        scope = self._choose_scope(
            *(self.series, self.tree, prefer_hosts(self.asked)),
            *(layout, reporter, sandbox),
            "validate-x",
            {},
        )
        targets = options.targets if checkout.commit in self.present else scope.targets
        self.targets[checkout.commit] = options.targets
        native = dataclasses.replace(self.asked, targets=targets)
        if host != "native":
            assert (options, extra) == (native, Extra())
        elif extra.compiler == "gcc":
            goals = () if checkout.commit == "t0" else scope.extra.goals
            assert (options, extra) == (native, dataclasses.replace(scope.extra, goals=goals))
        else:
            clang = (*scope.extra.switches, "--disable-werror")
            assert extra == dataclasses.replace(scope.extra, compiler="clang", switches=clang)
        commit = checkout.commit
        self.builds.append((commit, host, keep_going))
        self.clock += 0 if host == "native" else 10
        if commit in self.unconfigured:
            raise ConfigureError("configure failed", "fix it", details=tuple(self.unconfigured[commit]))
        output = self.logs.get(commit if extra.compiler == "gcc" else f"{commit} {extra.compiler}", [])
        if keep_going:
            output = self.again.get(commit, output)
        log = self.layout.root / f"{commit}.log"
        log.write_text("\n".join(output))
        repeated = [build[0] for build in self.builds].count(commit) > 1
        if any("error:" in line for line in output) and not (self.once and repeated):
            raise CompileError("compiling failed", "fix it", details=tuple(output), log=log)
        return SimpleNamespace(
            logs=("configure.log", "meson-log.txt", str(log)),
            reused=commit in self.reused,
            steps=7,
            cache=self.cache,
            folder=str(self.layout.root),
            source=str(self.layout.root / "src"),
            commit=commit,
            targets=options.targets,
        )

    def _with_test_files(self, judged, files):
        """The commit of the base with the test files of the series."""
        assert judged is self.series
        assert files == sorted(files)
        assert all(path.startswith("tests/") for path in files)
        return "t0"

    def _list_tests(self, build, sandbox):
        assert build.commit
        assert sandbox is self.sandbox
        return self.tests

    def _build_tests(self, build, tests, sandbox, log, step):
        assert (sandbox, step) == (self.sandbox, self.reporter)
        assert not log.exists(), "the log of an earlier run is removed"
        output = self.test_logs.get(build.commit, [])
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(output))
        failed = any("error:" in line for line in output)
        for path in [self.layout.root / name for test in tests for name in test.programs]:
            path.unlink(missing_ok=True)
            if not failed:
                path.touch()
        return SimpleNamespace(returncode=int(failed), output="\n".join(output))

    def _run_tests(self, build, tests, sandbox, *, patch, log, processes, step, env, known=()):
        assert env == {}
        assert (sandbox, step) == (self.sandbox, self.reporter)
        assert log == self.log(patch, "proof" if build.commit == "t0" else "tests")
        self.test_runs.append((build.commit, [test.name for test in tests], processes))
        self.known[build.commit] = set(known)
        outcomes = {
            name.partition(":")[0]: outcome
            for outcome, names in (("failed", self.failing), ("skipped", self.skipping))
            for name in names.get(build.commit, [])
        }
        pairs = (name.split(":") for name in self.failing.get(build.commit, []) if ":" in name)
        parts = {name: tuple(words.split()) for name, words in pairs}
        return tuple(
            TestRow(
                patch=patch,
                suite="unit",
                name=test.name,
                outcome={"failed": self.outcome}.get(found := outcomes.get(test.name, "ok"), found),
                seconds=0.1,
                reason="why it failed",
                failed_parts=parts.get(test.name, ()),
            )
            for test in tests
        )

    def _make_manual(self, program, build, sandbox, log):
        assert program == self.sphinx
        assert sandbox is self.sandbox
        assert log == self.log(int(build.commit[1:]), "manual")
        return self.manuals[build.commit]
