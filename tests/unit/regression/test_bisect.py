"""Bisections of a clone of the stand-in for QEMU: a planted delay, commands of the user, interruptions."""

import json
from types import SimpleNamespace

import pytest

from tests.faults.standin import release
from tests.faults.world import WORDS, World
from tests.unit.programs import wait_until
from tests.unit.repositories import git, make_repository, unpack, write_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
COMMITS = 40
DELAYED, BROKEN = 23, 20
"""The commit that delays the end of the fake QEMU by 5 ms, and one that does not compile; from 1."""


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A clone with COMMITS commits above the release: its folder, and the ids of all commits."""
    folder = tmp_path_factory.mktemp("bisected") / "qemu"
    unpack(release(), folder.parent)
    (folder.parent / "qemu-7.2.0").rename(folder)
    commits = [git(make_repository(folder), "rev-parse", "HEAD")]
    plain = (folder / "vl.c").read_text()
    late = plain.replace("    (void)number;\n", "    (void)number;\n    usleep(5000);\n")
    assert late != plain
    for number in range(1, COMMITS + 1):
        text = late if number >= DELAYED else plain
        text = "this does not compile;\n" if number == BROKEN else text
        write_files(folder, {"count": f"{number}\n", "vl.c": text})
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", f"--message=commit {number}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return SimpleNamespace(folder=folder, commits=commits)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def bisect(world, history, *words, good="HEAD~40", bad="HEAD"):
    ends = ("--good", good, "--bad", bad)
    return world.run("bisect", f"-Dsource={history.folder}", *ends, *WORDS, *words)


def results(world):
    return dict(json.loads((world.build / "results" / "bisect.json").read_text()))


def test_planted_delay_is_found(world, history):
    ended = bisect(world, history)
    found = results(world)
    # On a very busy machine commits may be skipped, but none is judged wrongly.
    for row in found["commits"]:
        number = history.commits.index(row["commit"])
        wrong = "skip" if number == BROKEN else "bad" if number < DELAYED else "good"
        assert (row["term"] == wrong) == (number == BROKEN), row
    planted = history.commits[DELAYED]
    assert planted in found["first_bad"]
    assert ended.code == (0 if len(found["first_bad"]) == 1 else 40), ended.error
    assert f"first bad commit: {planted}" in ended.out
    judged = next(
        (row for row in found["commits"] if row["commit"] == planted and row["term"] == "bad"), None
    )
    if judged:
        assert judged["effect"] > found["commits"][1]["effect"] / 2
        assert "median" in ended.out
    # The log is git's own.
    log = world.build / "results" / "bisect.log"
    assert log.read_text() == found["log"]
    git(history.folder, "bisect", "replay", str(log))
    assert f"first bad commit: [{planted}]" in git(history.folder, "bisect", "log")
    git(history.folder, "bisect", "reset")


def test_exit_status_of_a_command_judges(world, history):
    run = (
        'test -x "$QEMU_BINARY" -a -d "$QEMU_BUILD" || exit 200; '
        "n=$(cat count 2>/dev/null || echo 0); test $n -ne 9 || exit 125; test $n -lt 9"
    )
    ended = bisect(world, history, "--run", run, bad=f"HEAD~{COMMITS - 15}")
    assert ended.code == 40, ended.error
    assert "skipped commits hide the first bad one: it is one of 2" in ended.error
    assert results(world)["first_bad"] == [history.commits[10], history.commits[9]]
    ended = bisect(world, history, "--run", "exit 1", bad="HEAD~30")
    assert ended.code == 40
    assert "--run finds the good end bad, and the bad end bad" in ended.error
    ended = bisect(world, history, "--run", "kill -9 $$", bad="HEAD~30")
    assert "judges nothing" in ended.error


def test_numbers_of_a_command_are_compared(world, history):
    run = "n=$(cat count 2>/dev/null || echo 0); echo speed: $((n < 12 ? 100 + $$ % 3 : 90 + $$ % 3)) MiB"
    words = ("--run", run, "--better", "higher", "--unit", "MiB")
    ended = bisect(world, history, *words, bad=f"HEAD~{COMMITS - 16}")
    assert ended.code == 0, ended.error
    assert results(world)["first_bad"] == [history.commits[12]]
    assert results(world)["unit"] == "MiB"
    ended = bisect(world, history, "--run", run, "--better", "lower", bad=f"HEAD~{COMMITS - 16}")
    assert ended.code == 40
    assert "the bad end is better than the good one" in ended.error
    assert "swap --good and --bad" in ended.error
    ended = bisect(world, history, "--run", "echo nothing", "--better", "lower", bad="HEAD~30")
    assert "the ends cannot be measured: --run printed no number" in ended.error


BEHAVIOUR = """
from harness.behaviour.api import BehaviourTest

class Count(BehaviourTest):
    \"\"\":avocado: enable\"\"\"

    def test_count(self):
        assert self.feature == ("-some", "thing")
        file = self.binary.parents[1] / "src" / "count"
        count = int(file.read_text()) if file.exists() else 0
        self.metric("count", 1 if count < 7 else 2, unit="", better="lower")
        if count >= 7:
            self.fail("too many")
"""


def test_behaviour_test_judges(world, history):
    file = world.root / "patches" / "async-teardown" / "tests" / "count.py"
    file.parent.mkdir()
    file.write_text(BEHAVIOUR)
    words = ("--guest", "-some thing", "--metric")
    ended = bisect(world, history, *words, "count.py:Count.test_count", bad=f"HEAD~{COMMITS - 8}")
    assert ended.code == 0, ended.error
    assert results(world)["first_bad"] == [history.commits[7]]


def test_killed_bisection_continues(world, history):
    run = 'n=$(cat count 2>/dev/null || echo 0); echo $n >> "$HOME/judged"; test $n -lt 7'
    words = (f"-Dsource={history.folder}", "--good", "HEAD~40", "--bad", f"HEAD~{COMMITS - 16}", *WORDS)
    running = world.start("bisect", *words, "--run", run)
    assert running.wait_for("commits are left, about 3 steps")
    running.process.kill()
    running.finish()
    wait_until(lambda: world.leftovers() == "", 30)
    ended = world.run("bisect", *words, "--run", run)
    assert ended.code == 0, ended.error
    assert "continuing: " in ended.error
    assert results(world)["first_bad"] == [history.commits[7]]
    judged = (world.home / "judged").read_text().split()
    assert judged.count("0") == judged.count("16") == 1, "the ends are judged once"
    assert not list((world.build / "bisect").glob("*/git")), "a finished bisection leaves no state"


def test_ends_that_do_not_differ_or_are_unknown_are_refused(world, history):
    for good, message in (("HEAD", "is not before --bad"), ("nowhere", "has no commit 'nowhere'")):
        ended = bisect(world, history, good=good, bad="HEAD~1")
        assert (ended.code, message in ended.error) == (2, True)
    # Nothing differs between the ends.
    ended = bisect(world, history, "--pairs", "4", bad="HEAD~38")
    assert ended.code == 40
    assert "is not clearly worse than the good one" in ended.error
    assert not list((world.build / "bisect").glob("*")), "there is nothing to continue"
