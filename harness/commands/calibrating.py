"""The command that asks whether verdicts are to be trusted."""

from __future__ import annotations

import dataclasses

import msgspec

from harness.commands.request import Output, Request, say
from harness.lock import locked


def calibrate(request: Request) -> int:
    """Time a QEMU against itself, and against itself held up by 5 ms: can verdicts be trusted here?"""
    from harness.binaries import parse_binaries
    from harness.cycles import subjects_from
    from harness.guest import check_targets
    from harness.pipeline import build_all, check_request
    from harness.report.calibration import (
        calibration_file,
        check_calibration,
        record_calibration,
        render_calibration,
    )
    from harness.teardown import refuse_timing, subjects_of

    layout, reporter = request.layout, request.reporter
    options = dataclasses.replace(request.options(), variants=("base",), hosts=("native",))
    subjects = subjects_from(parse_binaries(request.arguments.binary), options.targets)
    if not subjects:
        check_request(layout, options)
        refuse_timing(options)
        check_targets(options.targets)
    with request.checkout():
        if not subjects:
            prepared, builds = build_all(layout, options, reporter, request.command)
            subjects = subjects_of(builds, prepared.pin.async_teardown)
        # Without the words for the feature: there is one end to look at, QEMU's own.
        subjects = tuple(msgspec.structs.replace(subject, options=()) for subject in subjects)
        targets = tuple(dict.fromkeys(subject.target for subject in subjects))
        options = dataclasses.replace(options, targets=targets, payload=("paused",))
        with locked(layout.measuring_lock, "the right to time guests on this machine", reporter):
            results = record_calibration(layout, options, subjects, reporter, command=request.command)
    Output().print(render_calibration(results))
    say(f"\nresults: {calibration_file(layout)}")
    check_calibration(layout, results)
    return 0
