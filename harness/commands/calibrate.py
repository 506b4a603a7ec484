"""The command that shows whether verdicts can be trusted on this machine."""

import dataclasses

from harness.commands.guests import BINARIES, choose_subjects, make_subjects, show_results
from harness.commands.request import Argument, Request

CALIBRATE: tuple[Argument, ...] = (BINARIES,)


def calibrate(request: Request) -> int:
    """Can verdicts be trusted on this machine? Compare QEMU with itself, and with itself delayed by 5 ms."""
    from harness.bench import open_bench, refuse_timing
    from harness.report.calibration import render_calibration
    from harness.teardown.calibration import calibration_file, check_calibration, record_calibration
    from harness.teardown.quiet import wait_for_quiet

    layout = request.layout
    options = dataclasses.replace(request.options(), variants=("base",), hosts=("native",))
    build = not request.arguments.binary
    if build:
        refuse_timing(options)
    chosen = choose_subjects(request, options, build=build)
    with request.checkout():
        subjects, _ = make_subjects(request, chosen)
        with open_bench(
            layout, chosen.bench_options(payload=("paused",)), subjects, request.reporter
        ) as bench:
            wait_for_quiet(request.reporter)
            results = record_calibration(bench, command=request.command)
    show_results(render_calibration(results), calibration_file(layout))
    check_calibration(layout, results)
    return 0
