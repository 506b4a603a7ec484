"""Sanitizer reports: parsed, and attributed to the series or to other code."""

import os
import shutil
import subprocess

import pytest

from harness.cycles.sanitizer import collect, environment, parse_reports

OVERFLOW = """\
=================================================================
==4242==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000014 at pc 0x55 bp 0x7f sp 0x7e
READ of size 4 at 0x602000000014 thread T0
    #0 0x555 in helper_reap ../src/util/async-teardown.c:391
    #1 0x556 in main ../src/softmmu/main.c:48

SUMMARY: AddressSanitizer: heap-buffer-overflow ../src/util/async-teardown.c:391 in helper_reap
"""
SHIFT = """\
../src/hw/timer/hpet.c:101:5: runtime error: left shift of 1 by 31 places cannot be represented in type 'int'
    #0 0x555 in hpet ../src/hw/timer/hpet.c:101
../src/util/async-teardown.c:55:9: runtime error: load of misaligned address 0x7f01 for type 'int'
"""


def test_report_that_names_a_file_of_the_series_is_ours():
    (report,) = parse_reports(OVERFLOW)
    assert (report.tool, report.ours) == ("AddressSanitizer", True)
    assert report.summary == "heap-buffer-overflow"
    (other,) = parse_reports(OVERFLOW.replace("util/async-teardown.c", "block/io.c"))
    assert not other.ours


def test_truncated_report_is_ours():
    (report,) = parse_reports(OVERFLOW.partition("    #0")[0].replace("async-teardown", "x"))
    assert report.ours


def test_each_place_of_undefined_behaviour_is_a_report():
    theirs, ours = parse_reports(SHIFT)
    assert (theirs.ours, ours.ours) == (False, True)
    assert theirs.summary.startswith("../src/hw/timer/hpet.c:101:5: left shift of 1")


def test_report_with_a_function_of_the_series_in_its_stack_is_ours():
    stack = SHIFT.replace("in hpet ../src/hw/timer/hpet.c:101", "in async_teardown_start x.c:1")
    assert all(report.ours for report in parse_reports(stack))


def test_deadly_signal_without_a_report_is_reported():
    (report,) = parse_reports("AddressSanitizer:DEADLYSIGNAL\n")
    assert report.summary == "a deadly signal without a report"
    assert parse_reports("qemu: warning: nothing of interest\n") == ()


def test_reports_are_read_from_files_and_from_the_log(tmp_path):
    folder, log = tmp_path / "reports", tmp_path / "qemu.log"
    folder.mkdir()
    (folder / "report.4242").write_text(OVERFLOW)
    log.write_text(SHIFT)
    assert len(collect(folder, log)) == 3
    assert collect(folder, tmp_path / "none")[0].ours


def test_leak_detection_is_off_and_reports_are_written_to_the_folder(tmp_path):
    words = environment(tmp_path)
    assert "detect_leaks=0" in words["ASAN_OPTIONS"]
    assert f"log_path={tmp_path}/report" in words["UBSAN_OPTIONS"]


FAULTY = """\
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    volatile int one = argc << 31;
    char *p = malloc(4 + !one);
    free(p);
    return p[strlen(argv[0]) > 0];
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("name", ["async-teardown.c", "other.c"])
def test_reports_of_gcc_are_parsed(tmp_path, name):
    reports, program = tmp_path / "reports", tmp_path / "program"
    reports.mkdir()
    (tmp_path / name).write_text(FAULTY)
    words = ["gcc", "-g", "-fsanitize=address,undefined", name, "-o", str(program)]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    log = tmp_path / "qemu.log"
    with log.open("wb") as stream:
        variables = {**os.environ, **environment(reports)}
        ended = subprocess.run([program], check=False, env=variables, stderr=stream)
    found = collect(reports, log)
    assert ended.returncode == 99
    assert {report.tool for report in found} == {"UndefinedBehaviorSanitizer", "AddressSanitizer"}
    assert {report.ours for report in found} == {name == "async-teardown.c"}
