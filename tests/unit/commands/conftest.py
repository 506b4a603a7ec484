"""A checkout with a fake QEMU, and a fixture that calls commands in this process.

Fetching, importing, building and timing are real. Only avocado is replaced: its tests run in this process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import cli, commands
from harness.commands.request import Request
from harness.errors import HarnessError
from harness.job import JobEvent
from harness.layout import Layout
from harness.progress import Silent
from harness.teardown.model import TeardownRun
from harness.teardown.sample import take_samples
from tests.faults.world import WORDS, World
from tests.unit.programs import write_program
from tests.unit.repositories import touch_files

SMALL = (*WORDS, "-Dmemory=1M", "-Dccache=false")
"""Options that build the fake QEMU and time a guest of 1 MiB once."""


@dataclass(kw_only=True)
class Called:
    """A command that has ended."""

    code: int
    error: HarnessError | None
    out: str
    lines: list[str]
    """Notes, warnings and titles of steps, in order."""

    def fails(self, error, cause="", remedy=""):
        """Check that the command failed with ``error``, whose texts contain the given ones."""
        assert isinstance(self.error, error)
        assert cause in self.error.cause
        assert remedy in self.error.remedy


@dataclass
class Calls:
    """Names of called functions, in order, with their arguments. ``spy`` adds a function."""

    monkeypatch: pytest.MonkeyPatch
    made: list[str] = field(default_factory=list)
    given: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = field(default_factory=dict)

    def spy(self, place, instead=None):
        """Record calls of ``place``, a dotted name, and call it, or ``instead``."""
        module, _, name = place.rpartition(".")
        original = instead or getattr(__import__(module, fromlist=[name]), name)

        def called(*arguments, **words):
            self.made.append(name)
            self.given.setdefault(name, []).append((arguments, words))
            return original(*arguments, **words)

        self.monkeypatch.setattr(place, called)


Run = Callable[..., Called]


@pytest.fixture(scope="session")
def world(tmp_path_factory, known_options):
    world = World(tmp_path_factory.mktemp("world"))
    shutil.copytree(known_options, world.cache, dirs_exist_ok=True)
    yield world
    world.close()


@pytest.fixture
def layout(world):
    """Return the checkout of the fake QEMU, without results of earlier tests."""
    layout = Layout(root=world.root, build=world.build, trees=world.trees, cache=world.cache)
    for folder in (layout.results, layout.build / "outgoing"):
        shutil.rmtree(folder, ignore_errors=True)
    return layout


@pytest.fixture
def calls(monkeypatch):
    """Record calls. The installation of packages is replaced, and recorded."""
    calls = Calls(monkeypatch)
    for place in (
        "harness.pipeline.ensure",
        "harness.build.doctor.ensure",
        "harness.build.doctor.ensure_libraries",
    ):
        calls.spy(place, lambda *_, **__: ())
    return calls


@pytest.fixture(scope="session")
def parser():
    return cli.parser()


@pytest.fixture
def run(layout, calls, parser, monkeypatch, capsys):
    """Return a function that calls a command with the words of its command line."""
    monkeypatch.setattr("harness.teardown.runner.run_plan", run_samples)
    # On a busy machine it waits for a minute; it has its own tests.
    monkeypatch.setattr("harness.teardown.quiet.wait_for_quiet", lambda *_, **__: None)

    def call(stage, *words):
        arguments = parser.parse_args([stage, *words])
        request = Request(
            layout=layout,
            words=tuple(f"-D{option}" for option in arguments.options),
            arguments=arguments,
            reporter=Silent(),
            command=f"qemu-harness {stage}",
        )
        error = None
        try:
            code = commands.STAGES[stage](request)
        except HarnessError as raised:
            code, error = raised.code, raised
            assert all((raised.cause, raised.remedy)), "each error names its cause and a remedy"
        lines = request.reporter.lines
        out = capsys.readouterr().out
        assert "None" not in out.splitlines(), "something was printed that does not exist"
        return Called(code=code, error=error, out=out, lines=lines)

    return call


def run_samples(layout, test, items, board, on_result, **_):
    """Run tests/avocado/teardown.py in this process, without avocado."""
    assert test == "tests/avocado/teardown.py"
    folder = layout.build / "avocado" / "in-process"
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        event = JobEvent(index=item.index, status="PASS", whiteboard="", reason="")
        on_result(event, take_samples(item.task, folder=Path(folder)))


@pytest.fixture
def binaries(tmp_path):
    """Return arguments that name two programs, ``base`` and ``patched``. No test starts them as guests."""
    words = ["--no-build", "-Daccel=tcg", "-Drounds=1"]
    for variant, option in (("base", ""), ("patched", "-async-teardown enable it")):
        program = write_program(tmp_path / variant / "qemu-system-x86_64", f"echo '{option or variant}'")
        words += ["--binary", f"{variant}={program}"]
    return words


@pytest.fixture
def own_test(layout):
    """Return a file with the behaviour tests Count.test_first and test_count, which the series has."""
    folder = layout.root / "patches" / "async-teardown" / "tests"
    folder.mkdir()
    file = folder / "count.py"
    file.write_text(
        "class Count(BehaviourTest):\n    def test_first(self): pass\n    def test_count(self): pass\n"
    )
    yield file
    shutil.rmtree(folder)


@pytest.fixture
def empty_reports(monkeypatch):
    """Replace the reports, which take seconds to draw."""

    def write_reports(layout, results):
        page = touch_files(layout.results, "report.html") / "report.html"
        return (page,)

    monkeypatch.setattr("harness.report.write.write_reports", write_reports)


@pytest.fixture
def samples(monkeypatch, empty_reports):
    """Return a list for the test to fill: the samples of the next teardown, which starts no guests."""
    made = []

    def run_teardown(bench, *, floor, hooks):
        for sample in made:
            hooks.on_sample(sample)
        hooks.on_round(made)
        return TeardownRun(samples=tuple(made))

    monkeypatch.setattr("harness.teardown.record.run_teardown", run_teardown)
    monkeypatch.setattr("harness.teardown.record.build_programs", lambda *_: {"floor": Path("/floor")})
    return made
