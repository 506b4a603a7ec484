"""cycles.json, its table, and the end of a run."""

import msgspec
import pytest

from harness.cycles import record as module
from harness.cycles.judge import judge_memory
from harness.cycles.model import Report
from harness.cycles.record import CyclesResults, check_cycles, record_cycles
from harness.errors import CyclesError
from harness.report.cycles import render_cycles
from harness.results import with_words

from ..bench.support import make_bench
from ..cycles.support import make_row
from ..screen import rendered
from ..teardown.test_scenario import options, subjects

COMMAND = "nox -s cycles"


def record(layout, monkeypatch, rows, lost=0.0):
    def run_cycles(*_, on_row, **__):
        for row in rows:
            on_row(row)
        if not rows[-1].target:
            raise KeyboardInterrupt
        return (judge_memory("patched", "cgroup", 0.0, lost, peak_mib=600.0),)

    monkeypatch.setattr(module, "run_cycles", run_cycles)
    return record_cycles(make_bench(layout, options(), subjects("patched"), seed=7), (), command=COMMAND)


def stored(layout):
    return msgspec.json.decode((layout.results / "cycles.json").read_bytes(), type=CyclesResults)


def shown(results):
    return rendered(render_cycles(results), width=160)


def test_failures_include_the_command_that_repeats_one(layout, monkeypatch):
    rows = [make_row(), make_row("qemu: SIGSEGV", number=2), make_row("qemu: SIGSEGV", number=3)]
    results = record(layout, monkeypatch, rows)
    assert msgspec.json.encode(stored(layout)) == msgspec.json.encode(results)
    assert [(count.life, count.cycles, count.failed) for count in results.counts] == [("paused", 3, 2)]
    assert results.failures[0].command == "nox -s cycles -- -Dseed=7 --only 2"
    with pytest.raises(CyclesError, match="2 of 3 cycles failed") as caught:
        check_cycles(layout, results)
    assert caught.value.code == 16
    text = shown(results)
    assert "seed 7" in text
    assert "patched: qemu: SIGSEGV (2 cycles, such as 2)" in text


def test_clean_run_passes_and_leaked_memory_fails(layout, monkeypatch):
    check_cycles(layout, record(layout, monkeypatch, [make_row()]))
    leaked = record(layout, monkeypatch, [make_row()], lost=256.0)
    with pytest.raises(CyclesError, match="memory was not freed"):
        check_cycles(layout, leaked)
    assert "memory was not freed: 0 MiB before, 256 after" in shown(leaked)


def test_stopped_run_keeps_its_rows(layout, monkeypatch):
    last = msgspec.structs.replace(make_row(number=2), target="")
    with pytest.raises(KeyboardInterrupt):
        record(layout, monkeypatch, [make_row(), last])
    assert (len(stored(layout).rows), stored(layout).complete) == (2, False)


def test_unrelated_sanitizer_reports_are_counted_and_listed(layout, monkeypatch):
    other = Report(tool="UndefinedBehaviorSanitizer", summary="hw/x.c:1:1: shift", ours=False)
    row = msgspec.structs.replace(make_row(), reports=(other, other))
    results = record(layout, monkeypatch, [row])
    check_cycles(layout, results)
    assert "0 name files of the series, 2 others" in shown(results)
    assert "2 x hw/x.c:1:1: shift" in shown(results)


def test_existing_argument_is_not_added_again():
    assert with_words("nox -s cycles -- -Dseed=1", "-Dseed=1") == "nox -s cycles -- -Dseed=1"
    assert with_words("qemu-harness cycles", "--only", "3") == "qemu-harness cycles --only 3"
