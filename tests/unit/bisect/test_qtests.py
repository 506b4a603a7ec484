"""QEMU's own tests are compiled and run, and their results are read."""

import pytest

from harness.bisect import qtests as module
from harness.bisect.qtests import build_tests, run_tests
from harness.bisect.suites import QemuTest
from harness.check import TestRow
from harness.errors import TimeoutExpiredError
from tests.unit.check.support import Recorder
from tests.unit.repositories import write_files


def test_programs_of_the_tests_are_compiled(meson):
    tests = [
        QemuTest(name=name, suite="unit", programs=programs, sources=())
        for name, programs in (("a", ("tests/a", "data")), ("b", ("tests/b", "data")))
    ]
    ended = build_tests(meson.build, tests, meson.sandbox, meson.log, Recorder())
    assert ended.returncode == 0
    assert meson.calls == ["-j3 -k0 data tests/a tests/b"]
    assert meson.log.exists()


def test_failed_compilation_of_tests_is_a_result(meson):
    meson.ninja.write_text("#!/bin/sh\necho failed; exit 1\n")
    assert build_tests(meson.build, [], meson.sandbox, meson.log, Recorder()).returncode == 1
    assert "failed" in meson.log.read_text()


def test_programs_that_hang_are_ended(meson, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    meson.ninja.write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(TimeoutExpiredError):
        build_tests(meson.build, [], meson.sandbox, meson.log, Recorder())


def test_results_of_tests_are_rows(meson):
    meson.give({"qemu:unit / test-a": "OK", "unit+qtest - qemu:qtest-x/b": "OK"})
    assert meson.run("test-a", "qtest-x/b") == (
        TestRow(patch=3, suite="unit", name="test-a", outcome="ok", seconds=0.13),
        TestRow(patch=3, suite="unit", name="qtest-x/b", outcome="ok", seconds=0.13),
    )
    assert meson.calls == [
        "test --no-rebuild --no-stdsplit --logbase validate --timeout-multiplier 4 --num-processes 2 "
        "test-a qtest-x/b"
    ]
    assert meson.log.read_text().count("--num-processes") == 1


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("OK", "ok"),
        ("EXPECTEDFAIL", "ok"),
        ("FAIL", "failed"),
        ("ERROR", "failed"),
        ("UNEXPECTEDPASS", "failed"),
        ("TIMEOUT", "timeout"),
        ("SKIP", "skipped"),
        ("IGNORED", "skipped"),
        ("INTERRUPT", "infrastructure"),
        ("a later meson's", "failed"),
    ],
)
def test_results_of_meson_have_an_outcome(meson, result, outcome):
    given = {"result": result, "stdout": "why\n"}
    meson.give({"a": given}, {"a": given})
    (row,) = meson.run("a")
    assert (row.outcome, row.seconds) == (outcome, 0)
    assert row.reason == ("" if outcome in ("ok", "skipped") else "why")


def test_failed_test_is_repeated_alone_and_has_to_fail_twice(meson):
    meson.give(
        {"a": "OK", "b": "FAIL", "c": "TIMEOUT", "d": "SKIP"},
        {"b": {"result": "OK", "duration": 2}, "c": {"result": "FAIL", "duration": 9}},
    )
    rows = meson.run("a", "b", "c", "d")
    assert [(row.name, row.outcome, row.seconds) for row in rows] == [
        ("a", "ok", 0.13),
        ("b", "ok", 2),
        ("c", "timeout", 0.13),
        ("d", "skipped", 0.13),
    ]
    assert {row.patch for row in rows} == {3}
    assert [call.partition("--num-processes ")[2] for call in meson.calls] == ["2 a b c d", "1 b c"]
    assert meson.log.read_text().count("--num-processes") == 2


@pytest.mark.parametrize(
    ("second", "outcome", "reason"),
    [
        ("OK", "ok", "failed once, and passed when it ran again alone: not ok 1 x"),
        ("FAIL", "failed", "not ok 1 x"),
        ("SKIP", "skipped", ""),
        (None, "infrastructure", "meson test ended with status 1 and no result"),
    ],
)
def test_test_fails_only_if_it_fails_twice(meson, second, outcome, reason):
    meson.give({"a": {"result": "FAIL", "stdout": "not ok 1 x\n"}}, {"a": second} if second else {"b": "OK"})
    (row,) = meson.run("a")
    assert (row.outcome, row.reason) == (outcome, reason)


TAP = """\
1..6
ok 1 /a/good
not ok 2 /a/b - ERROR:test.c:3: odd
    not ok - nested
not ok qcow2 052
not ok 5 later # TODO not written
# not ok 6 comment
"""


def test_failed_parts_of_a_test_are_named(meson):
    given = {"result": "FAIL", "stdout": TAP}
    meson.give({"a": given}, {"a": given})
    (row,) = meson.run("a")
    assert row.failed_parts == ("/a/b", "nested", "qcow2 052")
    meson.give({"a": {"result": "OK", "stdout": TAP}})
    assert meson.run("a")[0].failed_parts == ()


@pytest.mark.parametrize(
    ("second", "parts"), [("x", ("x",)), ("z", ("x", "y")), ("", ("x", "y")), ("y x z", ("x", "y"))]
)
def test_part_that_passes_at_the_second_attempt_did_not_fail(meson, second, parts):
    runs = [
        {"a": {"result": "FAIL", "stdout": "".join(f"not ok {part}\n" for part in names.split())}}
        for names in ("x y", second)
    ]
    meson.give(*runs)
    assert meson.run("a")[0].failed_parts == parts


@pytest.mark.parametrize(
    ("known", "again"), [({("a", "x")}, 0), ({("a", "")}, 0), ({("a", "y")}, 1), ({("b", "x")}, 1)]
)
def test_failure_that_is_known_is_not_repeated(meson, known, again):
    meson.give({"a": {"result": "FAIL", "stdout": "not ok 1 x\n"}}, {"a": "OK"})
    (row,) = meson.run("a", known=known)
    assert (row.outcome, len(meson.calls)) == ("ok" if again else "failed", 1 + again)


def test_result_of_an_earlier_run_is_not_read(meson):
    (meson.folder / "meson-logs" / "validate.json").write_text('{"name": "a", "result": "OK"}\n')
    (row,) = meson.run("a")
    assert (row.outcome, row.seconds) == ("infrastructure", 0)
    assert row.reason == "meson test ended with status 1 and no result"


def test_test_run_that_exceeds_its_time_keeps_the_results_so_far(meson, monkeypatch):
    (meson.folder / "hang").touch()
    monkeypatch.setattr(module, "LIMIT_S", 0.5)
    monkeypatch.setattr(module, "EACH_S", 0.0)
    meson.give({"a": "OK"})
    one, two = meson.run("a", "b")
    assert (one.outcome, two.outcome) == ("ok", "infrastructure")
    assert "limit" in two.reason


def test_without_tests_meson_is_not_run(meson):
    assert meson.run() == ()
    assert not (meson.folder / "calls").exists()


def test_reason_of_a_failure_is_the_end_of_its_errors(meson):
    kinds = ["ERROR: b", "Assertion `c'", "assert(d)", "not ok 1 e", "Failed f", "failed g", "error: h"]
    given = {
        "result": "FAIL",
        "stdout": "a\n\n" + "\n".join(f"  {kind}\nnoise" for kind in kinds[:4]) + "\n",
        "stderr": "\n".join(kinds[4:]),
    }
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "not ok 1 e | Failed f | failed g | error: h"
    for kind in kinds:
        given = {"result": "FAIL", "stdout": f"x\n{kind}\ny\n"}
        meson.give({"a": given}, {"a": given})
        assert meson.run("a")[0].reason == kind


def test_reason_without_errors_is_the_end_of_the_output(meson):
    given = {"result": "FAIL", "stderr": "1\n2\n3\n4\n5\n"}
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "2 | 3 | 4 | 5"
    given = {"result": "FAIL", "stdout": None, "stderr": "x" * 601}
    meson.give({"a": given}, {"a": given})
    assert meson.run("a")[0].reason == "x" * 600


def test_skipped_parts_are_named_with_their_reasons(meson):
    whole = "TAP version 13\n1..0 # SKIP no KVM\n"
    part = "TAP version 13\n1..3\nok 1 - a.B.c # SKIP One or more assets\nok 2 d\nok 3 /e/f # skip slow\n"
    meson.give({"a": {"result": "SKIP", "stdout": whole}, "b": {"result": "OK", "stdout": part}})
    assert [(row.outcome, row.reason) for row in meson.run("a", "b")] == [
        ("skipped", "skipped: no KVM"),
        ("ok", "skipped: a.B.c: One or more assets; /e/f: slow"),
    ]


def test_variables_are_passed_to_both_runs(meson):
    (meson.folder / "pyvenv" / "bin" / "meson").write_text("#!/bin/sh\necho $WHERE >> calls\n")
    meson.run("a", WHERE="there")
    assert (meson.folder / "calls").read_text() == "there\n"


def test_reason_of_an_iotest_is_read_from_its_file(meson):
    reasons = {"qcow2-file-049/049.notrun": "no libgcrypt\n", "raw-file-050/050.notrun": "other\n"}
    write_files(meson.folder / "scratch", reasons)
    meson.give({f"io-qcow2-{word}": "SKIP" if word != "051" else "OK" for word in ("049", "050", "051")})
    tests = [
        QemuTest(name=f"io-qcow2-{word}", suite="block", programs=(), sources=(), words=(word,))
        for word in ("049", "050", "051")
    ]
    rows = run_tests(meson.build, tests, meson.sandbox, patch=1, log=meson.log, processes=1, step=Recorder())
    assert [row.reason for row in rows] == ["skipped: no libgcrypt", "", ""]
