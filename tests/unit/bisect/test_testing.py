"""The tests of a commit that can be run get what they need, and those without it are skipped."""

from types import SimpleNamespace

from harness.bisect import testing as module
from harness.bisect.assets import Assets
from harness.bisect.suites import QemuTest
from harness.bisect.testing import run_ready
from harness.check import TestRow
from tests.unit.repositories import touch_files, write_files

NINJA = """\
build a.o: c_COMPILER ../src/a.c
build b.o: c_COMPILER ../src/b.c
build a: c_LINKER a.o
build b: c_LINKER b.o
"""


def row(name, outcome, reason="x"):
    return TestRow(patch=1, suite="func-quick", name=name, outcome=outcome, seconds=0, reason=reason)


def test_tests_whose_programs_were_built_are_run(monkeypatch, layout, tmp_path):
    folder = write_files(tmp_path / "native", {"build.ninja": NINJA})
    touch_files(folder, "a", "b")
    write_files(tmp_path / "src", {"a.py": "of the commit"})
    log = tmp_path / "log"
    log.write_text("FAILED: [code=1] b.o \nerror\n")
    built = SimpleNamespace(folder=str(folder), source=str(tmp_path / "src"))
    walk = SimpleNamespace(
        layout=layout,
        reporter="reporter",
        sandbox="sandbox",
        options=SimpleNamespace(jobs=2),
        broken={("a", ""): 1},
        judged=SimpleNamespace(
            base="c0", read=lambda *place: "of the base" if place == ("c0", "a.py") else None
        ),
    )
    tests = [QemuTest(name=name, suite="qtest", programs=(name,), sources=()) for name in ("a", "b", "lost")]
    firmware = []

    def provide_assets(tests, *rest, read, read_base):
        assert (tests, rest) == (ready, (folder, layout, "reporter"))
        texts = (read("a.py"), read("gone.py"), read_base("a.py"), read_base("gone.py"))
        assert texts == ("of the commit", "", "of the base", "")
        return Assets(env={"E": "1"}, missing=dict.fromkeys("abc", "URL is not cached"))

    def run_tests(*given, **named):
        assert given == (built, ready, "sandbox")
        assert named == {
            "patch": 1,
            "log": log,
            "processes": 2,
            "step": "step",
            "env": {"E": "1"},
            "known": walk.broken,
        }
        return tuple(map(row, "abcd", ("skipped", "failed", "ok", "failed")))

    monkeypatch.setattr(module, "add_firmware", lambda *given: firmware.append(given))
    monkeypatch.setattr(module, "provide_assets", provide_assets)
    monkeypatch.setattr(module, "run_tests", run_tests)
    ready = tests[:1]
    assert run_ready(walk, 1, built, tests, log=log, step="step") == (
        row("a", "skipped", "URL is not cached"),
        row("b", "skipped", "URL is not cached"),
        row("c", "ok"),
        row("d", "failed"),
    )
    assert firmware == [(built, layout, "reporter")]
    log.write_text("")
    ready = tests[:2]
    run_ready(walk, 1, built, tests, log=log, step="step")
    tests = ready = [QemuTest(name="a", suite="unit", programs=(), sources=())]
    run_ready(walk, 1, built, tests, log=log, step="step")
    assert len(firmware) == 2, "a unit test starts no QEMU"
