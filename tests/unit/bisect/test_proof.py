"""A test that a series adds or changes has to fail on the base and to pass with the series."""

import dataclasses
from types import SimpleNamespace

import pytest

from harness.bisect.proof import OnBase, changed_tests, conclude, with_test_files
from harness.bisect.scope import Scope
from harness.bisect.suites import QemuTest
from harness.build.plan import Extra
from harness.check import TestProof, TestRow
from harness.tree.git import Git
from tests.unit.bisect.support import Walk
from tests.unit.check.support import judged
from tests.unit.repositories import git
from tests.unit.series.mails import DIFF, patch

ERROR = "../src/tests/unit/test-a.c:7:3: error: implicit declaration of function 'new'"
TEST_DIFF = DIFF.replace("util/a.c", "tests/unit/test-a.c")


def series(*messages, tests=TEST_DIFF):
    """A patch to util/a.c, then one to the test for each message."""
    count = len(messages) + 1
    return judged(
        patch(f"[PATCH 1/{count}] util: fix", ident="1@e.org", diff=DIFF),
        *(
            patch(f"[PATCH {n}/{count}] tests: test", ident=f"{n}@e.org", diff=tests, message=message)
            for n, message in enumerate(messages, 2)
        ),
    )


TESTS = (
    QemuTest(name="test-a", suite="unit", programs=("a",), sources=("tests/unit/test-a.c",)),
    QemuTest(name="other", suite="unit", programs=(), sources=("tests/unit/other.c",)),
)


@pytest.fixture
def walk(layout, monkeypatch):
    walk = Walk(layout=layout, monkeypatch=monkeypatch)
    walk.series, walk.tests = series("It is a test."), TESTS
    return walk


def outcomes(built):
    return [(proof.test, proof.patch, proof.outcome) for proof in built.proofs]


def nothing(built):
    return [(one.patch, one.severity) for one in built.findings if one.rule == "test-proves-nothing"]


def test_test_that_fails_on_the_base_alone_proves(walk):
    walk.scope = Scope(targets=("x86_64-softmmu",), extra=Extra(goals=("a",), exact=True))
    built = walk(failing={"t0": ["test-a"]})
    assert outcomes(built) == [("test-a", 2, "proves")]
    assert built.proofs[0].reason == "why it failed"
    assert built.findings == ()
    assert [commit for commit, _, _ in walk.builds] == ["c0", "t0", "c1", "c2"]
    assert [names for commit, names, _ in walk.test_runs if commit == "t0"] == [["test-a"]]
    assert {row.patch for row in built.tests if row.outcome == "failed"} == set(), (
        "it is no result of a commit"
    )


def test_test_that_passes_on_the_base_proves_nothing(walk):
    built = walk(bisect="ends")
    assert outcomes(built) == [("test-a", 2, "passes on the base")]
    assert nothing(built) == [(2, "note")]
    (finding,) = built.findings
    assert finding.message == "test-a passes on the base with the test files of the series alone"
    assert finding.file == "tests/unit/test-a.c"
    walk.series = series("It is a test.", tests=TEST_DIFF.replace("test-a.c", "test-a.json"))
    (finding,) = walk().findings
    assert finding.file == "tests/unit/test-a.json", "data of the test"


@pytest.mark.parametrize(
    "message",
    [
        "This tests the fix of the previous patch.",
        "Add a regression test.",
        "A test for the bug.",
        "It fails without the previous patch.",
        "Check the previous fix.",
        "Reproduce the crash.",
        'Fixes: 14055ce53c2d ("util: x")',
        "Resolves: https://example.org/1",
    ],
)
def test_claim_of_the_message_makes_it_a_warning(walk, message):
    walk.series = series(message)
    assert nothing(walk()) == [(2, "warning")]
    assert nothing(walk(failing={"t0": ["test-a"]})) == []


@pytest.mark.parametrize("message", ["Add a test for size_to_str().", "Test the parser.", "A fix of a typo."])
def test_message_without_a_claim_leaves_a_note(walk, message):
    walk.series = series(message)
    assert nothing(walk()) == [(2, "note")]


def test_finding_is_on_the_last_patch_that_changes_the_test(walk):
    walk.series = series("One.", "Two.")
    assert nothing(walk()) == [(3, "note")]


def test_series_of_tests_alone_is_named_as_such(walk):
    walk.series = judged(patch("[PATCH] tests: test", ident="1@e.org", diff=TEST_DIFF))
    (finding,) = walk().findings
    assert finding.message.endswith("alone (it changes nothing else)")


def test_test_that_cannot_be_built_on_the_base_is_neither(walk):
    walk.test_logs = {"t0": [ERROR]}
    built = walk()
    assert outcomes(built) == [("test-a", 2, "not built on the base")]
    reason = "tests/unit/test-a.c:7: implicit declaration of function 'new'"
    assert built.proofs[0].reason == reason
    assert built.findings == ()


OTHER = "../src/util/b.c:1:1: error: odd"
UNDEFINED = "/usr/bin/ld: test-a.o: undefined reference to `new'"
COLLECT = "collect2: error: ld returned 1 exit status"
TREATED = "cc1: error: all warnings being treated as errors"


def warning(file, text="error: odd [-Werror=odd]"):
    return f"../src/{file}:2:3: {text}"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ([OTHER, ERROR], "tests/unit/test-a.c:7: implicit declaration of function 'new'"),
        ([warning("tests/unit/test-a.c"), OTHER], "util/b.c:1: odd"),
        ([warning("util/b.c"), warning("tests/unit/test-a.c"), TREATED], "tests/unit/test-a.c:2: odd"),
        (["FAILED: a", UNDEFINED, COLLECT], UNDEFINED),
        (["FAILED: a", COLLECT], "FAILED: a"),
        (["FAILED: build.ninja", "src/meson.build:1:0: ERROR: x", COLLECT], "src/meson.build:1:0: ERROR: x"),
        (["error:"], "the program was not built"),
    ],
)
def test_reason_is_the_first_error_that_concerns_the_test(walk, log, reason):
    walk.test_logs = {"t0": log}
    (walk.layout.root / "build.ninja").write_text("build a: phony\n")
    assert [proof.reason for proof in walk().proofs] == [reason]


@pytest.mark.parametrize("configures", [True, False])
def test_base_that_does_not_build_with_the_test_files_is_neither(walk, configures):
    line = '../src/tests/unit/meson.build:9:0: ERROR: Unknown variable "new".'
    if not configures:
        walk.unconfigured = {"t0": [line]}
        built = walk()
    else:
        built = walk({"t0": ["FAILED: build.ninja", line, "ninja: error: rebuilding 'build.ninja'"]})
    assert outcomes(built) == [("test-a", 2, "not built on the base")]
    assert built.proofs[0].reason == (line if configures else "configure failed")
    assert built.findings == ()
    assert [row.outcome for row in built.rows] == ["ok"] * 3, "it is no build of a commit"


def test_skipped_test_shows_nothing(walk):
    for commit in ("t0", "c2"):
        walk.skipping = {commit: ["test-a"]}
        built = walk()
        assert outcomes(built) == [("test-a", 2, "skipped")]
        assert built.proofs[0].reason == "why it failed"
        assert built.findings == ()


def test_test_that_fails_anyway_shows_nothing(walk):
    assert outcomes(walk(failing={"t0": ["test-a"], "c0": ["test-a"]})) == [
        ("test-a", 2, "fails on the base already")
    ]
    built = walk(failing={"t0": ["test-a"], "c2": ["test-a"]})
    assert outcomes(built) == [("test-a", 2, "fails with the series")]
    assert [one.rule for one in built.findings] == ["test-fails"]


@pytest.mark.parametrize(
    ("base", "with_files", "tip", "outcome"),
    [
        (":old", ":old new", ":old", "proves"),
        (":old", ":old new", None, "proves"),
        (":old", ":old", ":old", "fails on the base already"),
        (":old", ":old new", ":old new", "fails with the series"),
        (":old", "", ":old", "fails on the base already"),
        ("", ":old new", ":old", "fails on the base already"),
        (":old", ":old", "", "fails with the series"),
    ],
)
def test_part_that_fails_on_the_base_hides_no_other(walk, base, with_files, tip, outcome):
    failing = {"c0": base, "t0": with_files, "c1": base, "c2": tip}
    names = {commit: [f"test-a{parts}"] for commit, parts in failing.items() if parts is not None}
    assert outcomes(walk(failing=names)) == [("test-a", 2, outcome)]


@pytest.mark.parametrize(
    ("base", "with_files", "tip", "outcome", "reason"),
    [
        ("", "failed", "ok", "proves", "t0"),
        ("ok", "timeout", "ok", "proves", "t0"),
        ("skipped", "ok", "ok", "passes on the base", ""),
        ("failed", "failed", "ok", "fails on the base already", "t0"),
        ("timeout", "ok", "ok", "passes on the base", ""),
        ("", "ok", "timeout", "fails with the series", "c2"),
        ("", "skipped", "failed", "fails with the series", "c2"),
        ("", "", "ok", "skipped", "it is not in the base"),
        ("", "", "skipped", "skipped", "c2"),
        ("", "skipped", "ok", "skipped", "t0"),
        ("", "skipped", "skipped", "skipped", "c2"),
        ("", "infrastructure", "ok", "skipped", "t0"),
        ("", "failed", "infrastructure", "skipped", "c2"),
    ],
)
def test_results_on_the_base_and_with_the_series_are_compared(base, with_files, tip, outcome, reason):
    def rows(patch, outcome, reason):
        both = {"patch": patch, "suite": "unit", "seconds": 0, "outcome": outcome, "reason": reason}
        return [TestRow(name=name, **both) for name in ("test-a", "other")] if outcome else []

    walk = SimpleNamespace(
        judged=series("It is a test."),
        listed=(dataclasses.replace(TESTS[0], name="not run"), *TESTS),
        rows=[SimpleNamespace(patch=2)],
        tests=[*rows(0, base, "c0"), *rows(1, "failed", "c1"), *rows(2, tip, "c2")],
    )
    on_base = OnBase(rows={row.name: row for row in rows(0, with_files, "t0")})
    proof = TestProof(test="test-a", suite="unit", patch=2, outcome=outcome, reason=reason)
    assert conclude(walk, on_base)[0] == (proof,)


def test_series_without_changed_tests_builds_nothing_more(walk):
    walk.series = judged(patch("[PATCH] util: fix", ident="1@e.org", diff=DIFF))
    assert walk().proofs == ()
    assert [commit for commit, _, _ in walk.builds] == ["c0", "c1"]
    walk.series = series("Test.")
    assert walk(qemu_tests=("none",)).proofs == ()
    assert walk(patches=("2",)).proofs == ()
    assert "t0" not in [commit for commit, _, _ in walk.builds]


def test_nothing_is_concluded_if_the_last_commit_does_not_build(walk):
    assert walk({"c2": [ERROR]}).proofs == ()


def test_shared_file_makes_no_test_a_changed_one():
    def one(name, *sources):
        return QemuTest(name=name, suite="qtest", programs=(), sources=sources)

    tests = (
        one("qtest-x86_64/a", "tests/a.c", "tests/libqtest.c"),
        one("qtest-s390x/a", "tests/a.c", "tests/libqtest.c"),
        one("qtest-x86_64/b", "tests/b.c", "tests/libqtest.c"),
    )
    assert changed_tests(tests, ["tests/libqtest.c"]) == ()
    assert changed_tests(tests, ["tests/libqtest.c", "tests/a.c"]) == tests[:2]


def test_base_gets_the_test_files_and_nothing_else(tmp_path):
    def commit(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", "x")
        return git(tmp_path, "rev-parse", "HEAD")

    git(tmp_path, "init", "-q")
    base = commit(util__a="old", tests__a="old", tests__gone="old", tests__same="old", tests__file="old")
    tip = commit(
        util__a="new",
        tests__a="new",
        tests__added="new",
        tests__gone=None,
        tests__file=None,
        tests__file__b="new",
    )
    both = SimpleNamespace(git=Git(repository=tmp_path / ".git"), base=base, tip=tip)
    made = with_test_files(both, ["tests/a", "tests/added", "tests/file", "tests/file/b", "tests/gone"])
    listed = git(tmp_path, "ls-tree", "-r", "--name-only", made).split()
    assert listed == ["tests/a", "tests/added", "tests/file/b", "tests/same", "util/a"]
    texts = [git(tmp_path, "show", f"{made}:{path}") for path in listed]
    assert texts == ["new", "new", "new", "old", "old"]
    assert git(tmp_path, "log", "-1", "--format=%P %s", made).startswith(f"{base} test files")
    assert git(tmp_path, "status", "--porcelain") == "", "the index of the repository is not used"
    assert made[:12] in git(tmp_path, "for-each-ref", "--contains", made), (
        "a checkout that leaves it saves nothing"
    )
