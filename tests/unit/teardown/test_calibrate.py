import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy
import pytest

from harness.build.programs import SOURCES
from harness.errors import CalibrationError, OptionError
from harness.report.calibration import render_calibration
from harness.teardown import calibrate
from harness.teardown.calibrate import exits, false_alarms, run_calibration, simulate, uncorrected_alarms
from harness.teardown.calibration import CalibrationResults, check_calibration
from harness.teardown.model import TeardownRun
from tests.structs import filled

from ..bench.support import make_bench
from .support import make_sample
from .test_scenario import options, subjects


def equal(sd=0.1, rounds=5, shift=1.0):
    """Ten cells with two variants; the second one is slower by the factor ``shift``."""
    draw = numpy.random.default_rng(5)
    return [
        make_sample(
            float(0.01 * size * factor * numpy.exp(draw.normal(0, sd))),
            variant=name,
            memory_mib=size,
            round=turn,
        )
        for turn in range(rounds)
        for size in range(1, 11)
        for name, factor in (("base", 1.0), ("again", shift))
    ]


@pytest.mark.slow
def test_simulated_runs_have_the_size_of_the_real_run_and_few_false_alarms():
    runs = simulate(equal(), count=200)
    assert [len(run) for run in runs] == [10] * 20
    rows = [row for run in runs for row in run]
    assert {(row.latency, row.samples) for row in rows} == {("exit", 5)}
    assert false_alarms(rows) <= 0.05 * len(rows)
    assert false_alarms(rows) <= uncorrected_alarms(rows) <= 0.1 * len(rows)


def test_only_unequal_binaries_give_alarms():
    assert false_alarms(exits(equal())) == 0
    assert false_alarms(exits(equal(shift=2.0))) == 10


def test_simulation_needs_a_good_sample():
    with pytest.raises(OptionError, match="no sample"):
        simulate([make_sample(outcome="failed", reason="x")])


def test_each_binary_runs_under_two_names_and_the_first_one_delayed(layout, reporter, monkeypatch):
    asked = []

    def run_teardown(bench):
        asked.append((bench.options, bench.subjects))
        return TeardownRun(samples=(make_sample(),))

    monkeypatch.setattr(calibrate, "run_teardown", run_teardown)
    bench = make_bench(layout, options(), subjects("base"), reporter=reporter)
    run_calibration(bench, delay=Path("/some where/delay"))
    (same, pairs), (late, pair) = asked
    assert [(each.variant, each.path) for each in pairs[:2]] == [("base", "/base"), ("again", "/base")]
    assert len(same.targets) * len(same.memory_mib) * len(same.triggers) == 20
    assert (same.restart, late.triggers) == ("none", ("sigterm",))
    assert same.rounds == late.rounds == 0  # adaptive, as the default run
    assert [each.variant for each in pair] == ["base", "late"]
    assert "exec '/some where/delay' 5000 '/base' \"$@\"" in Path(pair[1].path).read_text()


def results(**fields):
    return filled(
        CalibrationResults,
        **{
            "simulated_comparisons": 200,
            "simulated_false_alarm_rate": 0.05,
            "simulated_uncorrected_rate": 0.05,
            "real_comparisons": 20,
            "real_false_alarms": 1,
            "real_uncorrected_alarms": 1,
            "injected_delay_s": 0.005,
            "injected_delay_found": True,
            "found_delay_s": 0.0051,
            **fields,
        },
    )


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"simulated_false_alarm_rate": 0.055}, "5.5% of simulated"),
        ({"real_false_alarms": 2}, "2 of 20 real comparisons"),
        ({"injected_delay_found": False}, "was not detected"),
        ({"comparisons": tuple(exits(equal(rounds=2)))}, "no comparison of equal binaries got 3 samples"),
    ],
)
def test_unreliable_verdicts_are_an_error(layout, fields, cause):
    check_calibration(layout, results())
    with pytest.raises(CalibrationError, match=cause):
        check_calibration(layout, results(**fields))


def test_report_shows_alarms_and_the_detected_delay():
    late = msgspec.structs.replace(exits(equal(shift=2.0))[0], variant="late")
    lines = [part.plain for part in render_calibration(results(comparisons=(late,))).renderables]
    assert lines[1] == "real: 1 of 20 (1 without correction)"
    assert "5.00 ms was detected: medians differ by 5.10 ms" in lines[2]
    assert lines[3].startswith("  ")


@pytest.mark.slow
def test_wrapper_delays_the_exit_and_keeps_the_status(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path / "delay"
    subprocess.run([compiler, "-static", "-o", program, SOURCES / "delay.c"], check=True)
    script = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print(flush=True);"
        " time.sleep(60)"
    )
    for number, status in ((signal.SIGTERM, 7), (signal.SIGKILL, -9)):
        words = [program, "200000", sys.executable, "-IS", "-c", script]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            began = time.monotonic()
            child.send_signal(number)
            assert child.wait(20) == status
            if number == signal.SIGTERM:
                assert time.monotonic() - began >= 0.2
