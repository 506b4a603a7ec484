"""Migration between base and series is tested in both directions, if the tree's test can do it."""

from pathlib import Path

import pytest

from harness.bisect.migration import migration_tests, run_between
from harness.bisect.suites import QemuTest
from harness.check import TestRow
from tests.unit.bisect.support import Walk
from tests.unit.repositories import write_files

SOURCE = "tests/qtest/migration/framework.c"
NAME = "qtest-x86_64/migration-test"
TEST = QemuTest(name=NAME, suite="qtest", programs=(), sources=(SOURCE,))


@pytest.fixture
def walk(layout, monkeypatch):
    """A tree whose migration test supports it; each build of a commit writes a binary."""
    walk = Walk(layout=layout, monkeypatch=monkeypatch, tests=(TEST,))
    write_files(layout.root / "src", {SOURCE: 'getenv("QTEST_QEMU_BINARY_SRC")'})
    build = walk._build

    def write(checkout, *rest, **more):
        (layout.root / "qemu-system-x86_64-base").unlink(missing_ok=True)  # as configure does
        (layout.root / "qemu-system-x86_64").write_text(checkout.commit)
        return build(checkout, *rest, **more)

    monkeypatch.setattr(walk, "_build", write)
    return walk


def runs(walk, monkeypatch, outcome="ok"):
    """Let run_tests record commit, variable and the content of its file of each run with variables."""
    found = []
    run = walk._run_tests

    def record(build, tests, sandbox, *, env, **more):
        if not env:
            return run(build, tests, sandbox, env=env, **more)
        assert (tests, sandbox) == ((TEST,), walk.sandbox)
        assert more == {"patch": 4, "log": walk.log(4, "tests"), "processes": 1, "step": walk.reporter}
        ((name, path),) = env.items()
        found.append((build.commit, name, Path(path).read_text()))
        return (TestRow(patch=more["patch"], suite="qtest", name=NAME, outcome=outcome, seconds=0),)

    monkeypatch.setattr(walk, "_run_tests", record)
    return found


def test_last_commit_is_tested_with_the_binary_of_the_base(walk, monkeypatch):
    found = runs(walk, monkeypatch)
    built = walk()
    assert found == [("c4", "QTEST_QEMU_BINARY_SRC", "c0"), ("c4", "QTEST_QEMU_BINARY_DST", "c0")]
    rows = [(row.patch, row.name) for row in built.tests if row.suite == "migration-compat"]
    assert rows == [(4, f"{NAME} from the base"), (4, f"{NAME} to the base")]
    assert built.findings == ()


def test_failing_migration_is_a_finding_of_the_last_patch(walk, monkeypatch):
    runs(walk, monkeypatch, "failed")
    found = [(one.rule, one.patch, one.message) for one in walk().findings]
    assert found == [
        ("test-fails", 4, f"{NAME} from the base fails"),
        ("test-fails", 4, f"{NAME} to the base fails"),
    ]


def test_migration_test_that_fails_anyway_is_not_repeated(walk, monkeypatch):
    found = runs(walk, monkeypatch)
    walk(failing={"c4": [NAME]})
    walk(failing={"c0": [NAME]})
    assert found == [], "even if the binary of another base is there"


def test_other_tests_and_older_trees_have_no_such_test():
    other = QemuTest(name="qtest-x86_64/other-test", suite="qtest", programs=(), sources=(SOURCE,))
    assert migration_tests([TEST, other], lambda _: "QTEST_QEMU_BINARY_SRC") == (TEST,)
    assert migration_tests([TEST], lambda _: "QTEST_QEMU_BINARY") == ()


def test_test_without_a_binary_of_the_base_is_not_run(tmp_path):
    assert list(run_between([TEST], tmp_path, lambda *_: pytest.fail("it would start nothing"))) == []
